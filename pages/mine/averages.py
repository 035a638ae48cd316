"""Averages: for each class and filter of its rules the mean patch, weighted by the filter's response."""

from collections import Counter

import numpy as np
import streamlit as st

from core.mining.averages import stretched
from core.study import Study
from pages.ui.session import navigation, parameters
from pages.ui.study import open_study, patch_items
from pages.ui.widgets import messages
from pages.ui.widgets.gallery import Items, gallery
from pages.ui.widgets.text import plain

FEW = 10  # below this number of patches an average depends too much on single ones
_WEIGHTS = {"response": "By activation", "uniform": "Uniform"}
_COUNTS = {True: "Once per rule", False: "Once"}
_NAMED = {True: "rule", False: "once"}  # in the address
Weighting = tuple[bool, int, bool]  # uniform, number of heaviest patches, once per rule


def tiles(study: Study, chosen: list[int], how: Weighting, contrast: bool) -> Items:
    """The chosen averages for the gallery, grouped by class."""
    table = open_study.table(study, "averages").iloc[chosen]
    pictures, rows, responses = open_study.averaged(study, *how)
    area = study.manifest.window**2
    counts = [len(rows[k]) for k in chosen]
    pixels = [stretched(pictures[k]) if contrast else pictures[k] for k in chosen]
    return Items(
        pixels=patch_items.as_pixels(np.stack(pixels)),
        ids=chosen,
        titles=[patch_items.unit(number) for number in table["filter"]],
        notes=[f"n = {count}{', small n' * (count < FEW)}" for count in counts],
        facts=[
            ("Class", [open_study.label(study, k) for k in table["label"]]),
            ("Patches", [f"{count:,}" for count in counts]),
            (
                "Response",
                [
                    f"{responses[k].mean() / area:.3g} on average, {responses[k].max() / area:.3g} at most"
                    for k in chosen
                ],
            ),
        ],
        groups=[(open_study.label(study, k), count) for k, count in Counter(table["label"].tolist()).items()],
        actions=[
            ("patches", ["Show its patches"] * len(chosen)),
            ("unit", [f"Open {patch_items.unit(number)}" for number in table["filter"]]),
        ],
    )


@st.fragment
@messages.error_boundary("Averages")
def page(study: Study) -> None:
    """The options, the averages, and the patches of the opened one."""
    table = open_study.table(study, "averages")
    if not len(table):
        st.info(
            "This study has no rules, and averages are computed from rules. The Rules page says at which support "
            "there are some."
        )
        return
    choices = st.grid(5, min_column_width=180, vertical_alignment="bottom", gap="medium")
    labels = [-1, *sorted(table["label"].unique().tolist(), key=lambda k: study.labels[k])]
    label = parameters.choice("Class", labels, "label", named=lambda k: "all" if k < 0 else study.labels[k]).draw(
        choices.selectbox, format_func=lambda k: "All classes" if k < 0 else study.labels[k]
    )
    most = max(2, int(table["patches"].max()))
    top = parameters.number("Patches to average, strongest first", 1, most, "top", default=most, step=1).draw(
        choices.slider
    )
    weights = parameters.choice("Weights", list(_WEIGHTS), "weights").draw(
        choices.segmented_control, required=True, format_func=_WEIGHTS.get
    )
    counted = parameters.choice(
        "Count a patch", list(_COUNTS), "count", default=open_study.config(study).per_rule, named=lambda k: _NAMED[k]
    ).draw(
        choices.segmented_control, required=True, format_func=_COUNTS.get,
        help="A patch may appear in several rules with the filter. Once per rule, as in the paper, it counts once for "
        "each of them.",
    )  # fmt: skip
    contrast = parameters.switch("Stretch contrast", "contrast").draw(
        choices.toggle, help="Maps the darkest value to black and the brightest to white, separately for each average."
    )
    shown = table if label < 0 else table[table["label"] == label]
    shown = shown.sort_values(["label", "weight"], ascending=[True, False], kind="stable")
    chosen = shown.index.tolist()
    few = int((np.minimum(shown["patches"], top) < FEW).sum())
    if few:
        st.caption(
            f"{few} of these {len(shown)} averages are computed from fewer than {FEW} patches and are marked: "
            "interpret them with care."
        )
    how = weights == "uniform", 0 if top == most else top, counted
    picks = gallery(
        lambda: tiles(study, chosen, how, contrast),
        (open_study.key(study), tuple(chosen), how, contrast),
        key="averages", label="Average patches", noun=("average", "averages"), height=520,
    )  # fmt: skip
    if picks.action == "unit":
        navigation.go("units/unit", unit=int(table["filter"].iloc[picks.opened]))
    if picks.action == "patches":
        parameters.keep("average", str(picks.opened))
    behind(study, parameters.index("average", "average", len(table)), how)


def behind(study: Study, opened: int | None, how: Weighting) -> None:
    """The patches of one average, by falling weight."""
    if opened is None:
        st.caption("Select an average to see its patches.")
        return
    row = open_study.table(study, "averages").iloc[opened]
    rows = open_study.averaged(study, *how)[1][opened]
    number, name = int(row["filter"]), open_study.label(study, int(row["label"]))
    st.header(plain(f"{patch_items.unit(number)} in {name}: {len(rows):,} patches, largest weight first"), anchor=False)
    picks = gallery(
        patch_items.patches(study, rows, noted="response", filters=(number,), groups=()),
        (open_study.key(study), "behind", opened, how),
        key="behind",
        label=f"Patches of {patch_items.unit(number)}",
        height=330,
    )
    patch_items.follow(study, picks, number)


page(open_study.study())
