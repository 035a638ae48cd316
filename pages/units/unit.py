"""Filter: everything about one unit of any layer."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from core.study import Study
from pages.ui.passport import (
    alike,
    classes,
    concept,
    heading,
    marks,
    of_study,
    on_image,
    relevance_map,
    resampled,
    strongest,
)
from pages.ui.study import open_study, patch_items, rule_views
from pages.ui.units import analyses, inspected, visualisations
from pages.ui.units.inspected import Inspected
from pages.ui.widgets import messages


@st.fragment
@messages.error_boundary("Filter")
def passport() -> None:
    """Everything about one unit."""
    shown = inspected.current()
    number = heading.heading(shown)
    analyses.watched()
    if shown.study and shown.of_study:
        _of_study(shown, shown.study, number)
    else:
        _of_any_layer(shown, number)
    marks.marks(shown, number)


def _of_study(shown: Inspected, study: Study, number: int) -> None:
    """A unit of the layer that the study is about."""
    facts = open_study.table(study, "filters").iloc[number]
    if not facts["largest"] > 0 and not facts["patches"]:
        data = study.manifest.data
        read = data.images - data.skipped
        st.info(f"{patch_items.unit(number)} was never active in a patch of the {read:,} images of this study.")
    _tiles(shown, number, partial(of_study.averages, study, number))
    left, right = rule_views.sides(1.6)
    with left:
        of_study.patches(study, number)
        resampled.resampled(shown, number)
    with right:
        of_study.rules(study, number)
        of_study.spread(study, number)
        classes.weights(shown, number)
    classes.ablated(shown, number)


def _of_any_layer(shown: Inspected, number: int) -> None:
    """A unit of another layer, of which only stored analyses say something."""
    strongest.patches(shown, number)
    _tiles(shown, number, partial(strongest.average, shown, number))
    left, right = rule_views.sides(1.6)
    with left:
        resampled.resampled(shown, number)
    with right:
        classes.weights(shown, number)
    classes.ablated(shown, number)


def _tiles(shown: Inspected, number: int, first: Callable[[], None]) -> None:
    """The tiles of every layer, after the first one."""
    everywhere = (
        on_image.current_image, visualisations.visualised, concept.concept, relevance_map.relevance_map, alike.alike
    )  # fmt: skip
    tiles: list[Callable[[], None]] = [first, *(partial(one, shown, number) for one in everywhere)]
    grid = st.grid(3, min_column_width=270, gap="medium")
    for part in tiles:
        with grid.cell():
            part()


passport()
