"""Patches: the windows that the prediction depends on, with filters, sorting, tags and export."""

from collections.abc import Mapping, Sequence
from functools import partial

import streamlit as st

from core.export.spreadsheet import as_csv
from core.study import Study
from core.study.browse import ORDERS, OUTCOMES, Catalogue, PatchFilter, Rows
from core.study.tags import TAGS
from pages.ui.session import navigation, parameters
from pages.ui.study import open_study, patch_items
from pages.ui.widgets import messages
from pages.ui.widgets.gallery import gallery
from pages.ui.widgets.text import plain

_OUTCOMES = {"all": "Any", "right": "Correct", "wrong": "Wrong"}


def facets(study: Study, patches: Catalogue, tags: Mapping[int, Sequence[str]]) -> PatchFilter:
    """The conditions on the patches; every option shows its number of patches."""
    every = PatchFilter()
    labels = [-1, *sorted(patches.by_label(every), key=lambda k: study.labels[k])]
    label = parameters.choice("Class", labels, "label", named=lambda k: "all" if k < 0 else study.labels[k])
    filters = parameters.several("Filters", sorted(patches.by_filter(every)), "filters")
    outcome = parameters.choice("Outcome", OUTCOMES, "outcome")
    tag = parameters.choice("Tag", ["", *sorted({word for words in tags.values() for word in words})], "tag")
    most = patches.items.shape[1]
    strongest = parameters.number("Filters per patch", 1, most, "strongest", default=most, step=1)
    drop = parameters.number("Drop at least", 0.0, 1.0, "drop", default=0.0, step=0.01)
    conditions = PatchFilter(
        label.value() if label.value() >= 0 else None,
        tuple(filters.value()),
        strongest.value() if strongest.value() < most else None,
        outcome.value(),
        drop.value() or None,
        parameters.index("image", "image", study.manifest.data.images),
        tuple(patch for patch, words in tags.items() if tag.value() in words) if tag.value() else None,
    )
    by_label, by_filter, by_outcome = (
        count(conditions) for count in (patches.by_label, patches.by_filter, patches.by_outcome)
    )
    total = len(patches.matching(conditions.without("label")))
    label.draw(st.selectbox, format_func=lambda k: f"{'All classes' if k < 0 else study.labels[k]} "
               f"({total if k < 0 else by_label.get(k, 0):,})")  # fmt: skip
    filters.draw(
        st.multiselect, format_func=lambda number: f"F{number} ({by_filter.get(number, 0):,})", placeholder="Any",
        help="Patches in which all of these filters are active.",
    )  # fmt: skip
    strongest.draw(st.slider, help="How many of the strongest filters of each patch are considered.")
    outcome.draw(
        st.selectbox, disabled=not patches.labelled,
        format_func=lambda name: f"{_OUTCOMES[name]} ({by_outcome[name]:,})",
        help="Whether the patch's image is classified correctly." if patches.labelled else "The images have no labels.",
    )  # fmt: skip
    drop.draw(st.slider, help=f"By how much masking the patch lowered the probability{patch_items.watched(study)}.")
    if tags:
        tag.draw(st.selectbox, format_func=lambda word: word or "Any tag")
    return conditions


def condition_texts(study: Study, conditions: PatchFilter) -> dict[str, str]:
    """The conditions as texts."""
    words = {
        "label": f"class {open_study.label(study, conditions.label or 0)}",
        "filters": patch_items.units(conditions.filters),
        "strongest": f"among the {conditions.strongest} strongest filters",
        "outcome": f"classified {_OUTCOMES[conditions.outcome].lower()}ly",
        "drop": f"drop of at least {conditions.drop or 0:.2f}",
        "image": f"image {conditions.image}",
        "among": f"tag {parameters.shown('tag', '')}",
    }
    return {name: words[name] for name in conditions.demands()}


def clear(name: str) -> None:
    """Remove one condition."""
    if name == "image":
        parameters.keep("image", "")
    fresh = {"label": -1, "filters": [], "strongest": 10**6, "outcome": "all", "drop": 0.0}
    parameters.put({"among": "tag"}.get(name, name), fresh.get(name, ""))


def selection_actions(
    study: Study, patches: Catalogue, rows: Rows, picked: list[int], tags: Mapping[int, Sequence[str]]
) -> None:
    """Actions on the selected patches, or on all that are shown."""
    row = st.container(horizontal=True, vertical_alignment="bottom")
    with row:
        word = st.selectbox("Tag", TAGS, accept_new_options=True, key="word", width=200)
        for on, text in ((True, "Tag selected patches"), (False, "Remove tag")):
            st.button(
                text, on_click=partial(open_study.change_tags, study, picked, word, on), disabled=not picked or not word
            )
    chosen = rows[[i for i, row in enumerate(rows.tolist()) if row in set(picked)]] if picked else rows

    def sheet() -> str:
        words = [", ".join(tags.get(row, ())) for row in chosen.tolist()]
        return as_csv(patches.sheet(chosen, study.labels, words))

    row.space("stretch")
    row.download_button(
        f"CSV of {len(chosen):,} {'selected' if picked else 'shown'}", sheet, f"{study.name}-patches.csv", "text/csv",
        on_click="ignore", icon=":material/download:",
    )  # fmt: skip


@st.fragment
@messages.error_boundary("Patches")
def browse(study: Study) -> None:
    """Conditions on the left, patches on the right."""
    patches = open_study.catalogue(study)
    left, right = st.columns([1, 4], gap="medium")
    with left:
        tags = open_study.tags(study)
        conditions = facets(study, patches, tags)
        sort = parameters.choice("Sort by", ORDERS, "sort").draw(
            st.selectbox,
            help="Score: sum of the heatmap within the window. Drop: how much masking the patch lowered the "
            "probability. Response: activation of the filters.",
        )
        if conditions.label is not None:
            open_study.about_class(study, conditions.label)
    rows = patches.ordered(patches.matching(conditions), sort, conditions.filters)
    words = condition_texts(study, conditions)
    with right:
        if not len(rows):
            st.info(plain(f"No patch matches {' + '.join(words.values())}. Remove one of these conditions:"))
            with st.container(horizontal=True):
                for name, text in words.items():
                    st.button(plain(text), key=f"without-{name}", on_click=clear, args=(name,), icon=":material/close:")
            return
        if conditions.image is not None:
            st.button(
                f"Show all images, not only {conditions.image}",
                on_click=clear,
                args=("image",),
                icon=":material/close:",
            )
        if len(rows) > patch_items.SHOWN:
            st.caption(f"The first {patch_items.SHOWN:,} of {len(rows):,} patches. Filter them to see the others.")
        shown = set(rows.tolist())
        tags = {row: names for row, names in tags.items() if row in shown}
        picks = gallery(
            patch_items.patches(study, rows, noted=sort, filters=conditions.filters, words=tags),
            (
                open_study.key(study),
                tuple(rows[: patch_items.SHOWN].tolist()),
                sort,
                conditions.filters,
                tuple(tags.items()),
            ),
            key="patches",
            label=f"Patches of {study.name}",
            many=True,
        )
        selection_actions(study, patches, rows, picks.selected, tags)
    if picks.action == "unit":
        navigation.go("units/unit", unit=int(patches.items[picks.opened, 0]))
    if picks.action == "image":
        parameters.keep("image", str(patches.patches["image"].iloc[picks.opened]))
        st.rerun(scope="fragment")


browse(open_study.study())
