"""Filter selection: the filters that metrics of input resampling select, where they look, and how good they are."""

from collections.abc import Hashable, Mapping, Sequence
from functools import partial

import pandas as pd
import streamlit as st

from core.explain.target_name import TargetName
from core.figures.sheet import Kind
from core.figures.units import selections as charts
from core.images import Picture
from core.measure.intervals import bracketed
from core.progress import Report, subrange
from core.units.convolutions import convolutions
from core.units.resampling import METRICS, Patch, Resampled, patches, picture, resample
from core.units.resampling.findings import (
    FOLDER,
    METRICS_FILE,
    PAPER,
    TOPS,
    TRAININGS,
    Training,
    claims,
    epochs,
    metrics,
)
from core.workbench import Workbench
from pages.ui.session import location, parameters
from pages.ui.widgets import messages
from pages.ui.widgets.on_demand import on_demand, takes
from pages.ui.widgets.text import plain

_SAMPLES, _TOP = 50, 5
_FIRST, _LAST = 2 / 13, 9 / 13  # the paper looks at the layers 3 to 9 of 13: earlier patches are small, later ones all
_MOST = 7  # layers, as there
_SIGNS = {True: "✓ as the paper says", False: "✗ not here", None: "– in part, or undecided"}
_FILES: Mapping[Kind, str] = {"png": "image/png", "svg": "image/svg+xml"}

_WHAT = (
    "Which filters matter for one prediction? Lengerich et al. (2017) make copies of the image with a little noise and "
    "score every filter by what it does over them. Their two metrics are **activation–output correlation**, high for "
    "filters that vary together with the output of the network, and **activation precision**, high for those that "
    "hardly vary at all. A filter's patch is the part of the image that it responds to."
)

Selected = Mapping[str, tuple[Resampled, tuple[Patch, ...]]]  # by metric


def layers_of(bench: Workbench) -> list[str]:
    """The convolutions in the middle of a network, at most seven of them."""
    names = [layer.name for layer in convolutions(bench.model)]
    middle = names[round(_FIRST * len(names)) : max(round(_LAST * len(names)), round(_FIRST * len(names)) + 1)]
    step = max(1, -(-len(middle) // _MOST))
    return middle[::step]


def selected(bench: Workbench, subject: Picture, target: TargetName, pair: Sequence[str], report: Report) -> Selected:
    """The best filters of each layer by two metrics, with their patches."""
    query = bench.query(subject, target, report=subrange(report, 0, 0.6))
    found = resample(query, layers_of(bench), samples=_SAMPLES)
    parts = {}
    for place, metric in enumerate(pair):
        part = query.with_report(subrange(report, 0.6 + 0.2 * place, 0.8 + 0.2 * place))
        filters = {layer: numbers.tolist() for layer, numbers in found.selected(metric, top=_TOP).items()}
        parts[metric] = found, patches(part, filters)
    return parts


@st.fragment
@messages.error_boundary("Patches of the selected filters")
def on_current_image() -> None:
    """The patches of the filters that two metrics select for the current image: figure 4 of the paper."""
    with st.container(horizontal=True):
        pair = tuple(
            parameters.choice(label, list(METRICS), key, default=default).draw(
                st.selectbox, format_func=lambda name: METRICS[name].title, width=280
            )
            for label, key, default in (("Left", "left", "corr"), ("Right", "right", "prec"))
        )
    with messages.refused():
        bench, subject = location.bench(), location.subject()
        target = bench.target(subject)
        key = (bench.model.key, subject.key, str(target), pair)
        found = on_demand(
            "selections", key, "Resampling", lambda report: selected(bench, subject, target, pair, report),
            button="Select filters", note=takes(bench, 1 + _SAMPLES + 4 * _TOP * len(layers_of(bench))),
        )  # fmt: skip
        if found:
            for metric, column in zip(pair, st.columns(2, gap="medium"), strict=True):
                with column:
                    boxes(bench, subject, metric, found[metric], key)
            st.caption(
                plain(
                    f"The {_TOP} best filters of each of {', '.join(layers_of(bench))}; a box holds all that reaches "
                    "back from the filter's maximum to the image. Colour and dash say how deep the layer lies."
                )
            )


def boxes(
    bench: Workbench, subject: Picture, metric: str, selection: tuple[Resampled, tuple[Patch, ...]], key: Hashable
) -> None:
    """The patches of one metric as boxes, and their file; `key` identifies the selection."""
    found, located = selection
    title = f"{METRICS[metric].title} · {subject.name}"
    if not located:
        st.info(f"{METRICS[metric].title} selects no filter of these layers.")
        return
    make = partial(picture, found, bench.view(subject), located, title=title)
    filters = ", ".join(patch.name for patch in located if patch.box)
    st.image(bench.cache.get(("boxes", key, metric), make), width="stretch", alt=f"{title}: patches of {filters}")
    with st.container(horizontal=True):
        for kind, media in _FILES.items():
            st.download_button(
                kind.upper(), partial(make, kind=kind), f"selection-{metric}.{kind}", media,
                key=f"selection-{metric}-{kind}", on_click="ignore", icon=":material/download:",
            )  # fmt: skip


def table() -> pd.DataFrame:
    """Every metric with the shares of its patches on the object and the accuracies on them, beside the paper's."""
    rows = []
    measured = {(one["metric"], one["top"]): one for one in metrics()}
    for name, metric in METRICS.items():
        row = {"Metric": metric.title}
        for place, top in enumerate(TOPS):
            one, paper = measured[name, top], PAPER.get(name)
            there = tuple(f"{value:.0%}" for value in paper[place]) if paper else ("", "")
            row |= {
                f"On the object, top {top}": f"{one['localisation']:.0%}{bracketed(one['low'], one['high'], '.0%')}",
                f"Paper: on it, {top}": there[0],
                f"Class told, top {top}": "–" if pd.isna(one["accuracy"]) else f"{one['accuracy']:.0%}",
                f"Paper: told, {top}": there[1],
            }
        rows.append(row)
    return pd.DataFrame(rows)


@st.fragment
def trainings() -> None:
    """The two figures about the epochs of a training."""
    titles = {training.title: training for training in TRAININGS}
    title = parameters.choice("Training", list(titles), "training", named=lambda one: titles[one].file[:-4]).draw(
        st.segmented_control, required=True
    )
    training: Training = titles[title]
    known = epochs(training)
    left, right = st.columns(2, gap="medium")
    for column, name, draw, words in (
        (left, "Accuracy of patches", charts.accuracies, "Accuracy of the network and of patches by epoch"),
        (right, "Similarity of the selections", charts.similarities, "Jaccard index of two selections by epoch"),
    ):
        column.subheader(name, anchor=False)
        column.plotly_chart(draw(known), key=f"selections-{name}", config={"displayModeBar": False}, alt=words)
    download(training.file)


def download(file: str) -> None:
    """The numbers as they are kept."""
    st.download_button(
        "CSV", (FOLDER / file).read_bytes(), file, "text/csv", key=f"selections-{file}", on_click="ignore",
        icon=":material/download:",
    )  # fmt: skip


@messages.error_boundary("Filter selection")
def page() -> None:
    """The current image, the metrics compared, the epochs, and the statements of the paper."""
    st.header("Filter selection", anchor=False)
    st.markdown(_WHAT)
    st.subheader("For the current image", anchor=False)
    on_current_image()
    st.subheader("Which metric selects better?", anchor=False)
    st.dataframe(
        table(), hide_index=True, height="content", alt="Patches on the object and accuracy of patches by metric"
    )
    images = metrics()[0]["images"]
    st.caption(
        "On the object: share of the patches with pixels of the flower that tell its class, and its 95% interval over "
        f"{images} flowers. Class told: accuracy of a small network that sees nothing but patches, on other images. "
        "The paper's numbers are of photos with and without persons. `vitrine units selections` measures it again."
    )
    download(METRICS_FILE)
    trainings()
    st.subheader("What the paper says", anchor=False)
    st.table(
        pd.DataFrame({
            "The paper": [one.text for one in claims()],
            "Measured on flowers": [one.measured for one in claims()],
            "Verdict": [_SIGNS[one.holds] for one in claims()],
        }).set_index("The paper")
    )  # fmt: skip


page()
