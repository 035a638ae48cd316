"""Ablation of a rule's filters: its effect on the accuracy of a class, and on the current image."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import streamlit as st

from core.data.image_folder import scan
from core.errors import StudyError, VitrineError
from core.figures import charts
from core.mining.rules import Mined
from core.models import Model
from core.models.name import parsed
from core.progress import Report
from core.serialization import digest
from core.study import Study
from core.study.build import config_of
from core.units.ablation import Ablation
from core.units.ablation_study import compared_sets, expected_passes, run_ablation
from core.workbench import Workbench, pass_seconds
from pages.ui.session import location, networks, parameters, state, visitors
from pages.ui.study import moved_files, open_study
from pages.ui.widgets import messages
from pages.ui.widgets.on_demand import computed, done, keep, on_demand
from pages.ui.widgets.tables import percentages
from pages.ui.widgets.text import duration, plain

TITLE = "Ablating filters"
DEFAULT_RANDOM = 10
_RANDOM = {DEFAULT_RANDOM: "10, as in the paper", 0: "As many as rule filters"}


_SHARES = ("baseline", "mined", "relevant", "random_mean", "random_std", "drop_per_filter")  # columns

DRAWS = 20


def bench(study: Study, key: str) -> Workbench:
    """The workbench of the study's model, independent of the header. Raises what loading it raises.

    Own weights that are not found are asked for, in a field with this key.
    """
    try:
        return Workbench(open_study.model(study), state.session().cache)
    except StudyError as error:
        if not parsed(study.manifest.model.name).path or not moved_files.weights(study, f"{key}-weights"):
            raise
        raise StudyError(error.message, "Say where they are now.") from None


def is_current(study: Study) -> bool:
    """Whether the current image is explored with the study's model."""
    here = location.current().model
    with suppress(VitrineError):  # weights of one's own may be named by another path
        return here == study.manifest.model.name or networks.of(here).sha == study.manifest.model.sha
    return False


def fits_current_image(study: Study, key: str) -> bool:
    """Whether the current image is explored with the study's model; if not, a sentence and a button to switch to it."""
    if is_current(study):
        return True
    here, name = location.current().model, study.manifest.model.name
    st.caption(plain(f"The current image is open in {parsed(here).display}; this study is of {parsed(name).display}."))
    if open_study.openable(study) and st.button("Switch to this study's model", key=f"switch-{key}"):
        with messages.refused():
            open_study.switch_model(study)
            st.rerun()  # the whole page, as the header changes
    return False


def switch(study: Study, filters: Sequence[int], key: str) -> None:
    """A switch that turns filters off for the current image, with the most probable classes before and after."""
    these = "this filter" if len(filters) == 1 else "these filters"
    if not st.toggle(f"Ablate {these} for the current image", key=f"off-{key}"):
        return
    if not fits_current_image(study, key):
        return
    with messages.refused():
        without(bench(study, key), study.manifest.model.layer, filters, key)


def without(bench: Workbench, layer: str, filters: Sequence[int], key: str) -> None:
    """The most probable classes of the current image with all filters of a layer, and without these."""
    picture, labels = location.subject(), bench.model.labels
    before, logits = bench.probabilities(picture), bench.logits_without(picture, layer, filters)
    after, ranked = bench.model.probabilities(logits), bench.model.ranked(logits).tolist()
    top = [index for index, _, _ in bench.top(picture)]
    top += [index for index in ranked[:5] if index not in top]
    names = [labels[index] for index in top]
    left, right = st.columns([1, 3], vertical_alignment="center")
    left.image(bench.view(picture), caption=plain(picture.name), alt=picture.name, width="stretch")
    right.plotly_chart(
        charts.switched(*(dict(zip(names, values[top].tolist(), strict=True)) for values in (before, after))),
        key=f"switched-{key}", config={"displayModeBar": False},
    )  # fmt: skip
    first, then = labels[top[0]], labels[ranked[0]]
    change = f"Prediction unchanged: {first}" if ranked[0] == top[0] else f"Prediction changes to {then}; {first}"
    st.caption(plain(f"{change} ({float(before[top[0]]):.1%} → {float(after[top[0]]):.1%})"))


def ablation(study: Study, mined: Mined) -> None:
    """The accuracy of every class without the filters of its rules, compared with as many random filters."""
    model = bench(study, "ablation").model
    own = {int(label): mined.filters_of(int(label)) for label in sorted(mined.rules["label"].unique())}
    sets, missing = compared_sets(model, study.manifest.model.layer, own)
    st.markdown(
        "Do these filters matter? Each class is classified again with the filters of its rules ablated (set to zero), "
        f"and with random filters ablated, {DRAWS} times."
        + ("" if missing else " Relevant filters are as many of the same layer by which VEBI tells the class apart.")
    )
    count = parameters.choice("Random filters", list(_RANDOM), "random").draw(
        st.segmented_control, required=True, format_func=_RANDOM.get,
        help="Table 1 of the paper ablates 10 random filters for every class. As many as the rules of each class have "
        "is the fairer comparison where these numbers differ.",
    )  # fmt: skip
    folder = st.text_input(
        "Folder of other images", key="ablation-folder", placeholder="empty: the study's own images", width=520,
        help="A folder on this server with one sub-folder per class, ideally of images that were not used for "
        "mining.",
    ).strip()  # fmt: skip
    if folder:
        visitors.permitted(folder)
    content = digest([[name, label, list(filters)] for name, one in sets.items() for label, filters in one.items()])
    key = (open_study.key(study), content, folder, count)

    def work(report: Report) -> Ablation:
        return run_ablation(study, sets, model, folder=folder, draws=DRAWS, random_filters=count, report=report)

    if not folder and "pooled" in study.manifest.arrays:
        result: Ablation | None = computed("ablation", key, TITLE, work)
    elif (result := done("ablation", key)) is None:
        if not folder and not study.has_images(study.folder):
            st.caption(plain(f"The images of the study are not in {study.folder}."))
            moved_files.images(study, "ablation-images")
        note = f"{_estimate(study, model, folder, len(sets))} It runs in the background.".strip()
        result = on_demand("ablation", key, TITLE, work, button="Run ablation", note=note)
    if result is not None:
        if mined.config == config_of(study).mining and count == DEFAULT_RANDOM:  # as `vitrine study report --ablate`
            keep("ablation of study", open_study.key(study), (result, folder))
        _shown(result, folder)
    if missing:
        st.caption(plain(f"Relevant filters (VEBI) are not compared. {missing}"))


def shown_last(study: Study) -> tuple[Ablation | None, str]:
    """The ablation of a study's own rules that this session has seen last, with the folder of its images, if any."""
    return done("ablation of study", open_study.key(study)) or (None, "")


def _estimate(study: Study, model: Model, folder: str, sets: int) -> str:
    """How long the ablation takes, as far as known before it has begun."""
    try:
        images = len(scan(Path(folder))) if folder else int((open_study.table(study, "images")["label"] >= 0).sum())
    except VitrineError:
        return ""  # the ablation itself says what is wrong with the folder
    seconds = expected_passes(study, model, images, sets + DRAWS) * pass_seconds(model)
    return f"Takes about {duration(seconds)} for {images:,} images, at most." if images else ""


def _shown(result: Ablation, folder: str) -> None:
    """Averages in a line, the classes as a chart and as a table, and what was skipped."""
    summary = result.summary()
    source = plain(f"of {Path(folder).name}") if folder else "the study's own images"
    relevant = (
        [
            (
                "Relevant filters removed",
                f"{summary['relevant']:.1%}",
                f"{summary['relevant_per_class']:.1f} filters per class",
            )
        ]
        if "relevant" in summary
        else []
    )
    numbers = (
        ("All filters", f"{summary['baseline']:.1%}", "accuracy, mean over classes"),
        ("Rule filters removed", f"{summary['mined']:.1%}", f"{summary['filters_per_class']:.1f} filters per class"),
        *relevant,
        (
            "Random filters removed",
            f"{summary['random_mean']:.1%}",
            f"{summary['random_filters']:.1f} filters per class",
        ),
        ("Images", f"{summary['images']:,}", source),
    )
    grid = st.grid(len(numbers), min_column_width=180)
    for name, value, text in numbers:
        grid.metric(name, value, text, delta_color="off", delta_arrow="off")
    whole, own, chance = (summary[f"{name}_std_over_classes"] for name in ("baseline", "mined", "random"))
    words = (
        f"Standard deviation over classes: {whole:.1%} with all filters, {own:.1%} without rule filters, "
        f"{chance:.1%} without random filters. Over {DRAWS} draws of random filters, their mean accuracy varies by "
        f"± {summary['random_std']:.1%}."
    )
    mined, random = summary["mined_drop_per_filter"], summary["random_drop_per_filter"]
    if mined is not None:
        words += (
            f" On average, accuracy falls by {100 * mined:.1f} percentage points per rule filter removed, and by "
            f"{100 * random:.1f} per random filter."
        )
    if relevant and summary["relevant_drop_per_filter"] is not None:
        words += (
            f" Without relevant filters the deviation is {summary['relevant_std_over_classes']:.1%}, and accuracy "
            f"falls by {100 * summary['relevant_drop_per_filter']:.1f} points per filter."
        )
    st.caption(words)
    if result.skipped:
        with st.expander(f"Skipped: {len(result.skipped):,}", icon=":material/warning:"):
            st.dataframe(
                {"What": list(result.skipped), "Why": list(result.skipped.values())}, hide_index=True,
                alt="Images that were skipped, and why",
            )  # fmt: skip
    table = result.per_class
    st.plotly_chart(charts.ablation(table), key="ablation-chart", config={"displayModeBar": False})
    with st.expander("Show as table"):
        percentages(
            table.drop(columns="label"), _SHARES,
            alt="Accuracy of each class with filters ablated",
        )  # fmt: skip
    st.caption(
        "The further left the orange square is from the blue diamond, the more the class depends on the filters of its "
        "rules."
    )
