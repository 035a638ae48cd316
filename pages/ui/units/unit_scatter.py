"""The units of a layer as a map: those with alike class profiles lie close together."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from core.figures.sheet import Kind
from core.figures.units.unit_map import UnitMap, unit_map, unit_map_file
from pages.ui.session import parameters
from pages.ui.study import patch_items
from pages.ui.units import selection, unit_facts
from pages.ui.units.unit_facts import UnitFacts
from pages.ui.widgets.text import plain

_COLOURS = {"class": "Class", "concept": "Concept"}


def scatter(facts: UnitFacts, units: Sequence[int]) -> None:
    """The map of these units, in which some can be selected."""
    projection = facts.projection
    if projection is None:
        st.info("The map needs the mean response of each unit to each class. Compute class profiles below.")
        return
    kept = np.isin(projection.units, list(units))
    if kept.sum() < 3:
        st.info("Fewer than three of these units have a class profile, so there is no map of them.")
        return
    table = facts.table
    options = [name for name in _COLOURS if name in table]
    group = parameters.choice("Colour and shape", options, "colour")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = group.draw(st.segmented_control, required=True, format_func=_COLOURS.get) if options[1:] else options[0]
        st.space("stretch")
        downloads = st.container(horizontal=True, width="content")
    numbers = projection.units[kept].tolist()
    shown = UnitMap(
        numbers, projection.places[kept], projection.shares, table[name].iloc[numbers].tolist(),
        _texts(facts, numbers),
    )  # fmt: skip
    key = selection.widget(f"units-map-{hash((facts.key, tuple(numbers), name))}")
    selection.begun(key)  # drawn as rings, as the browser's own selection cannot be set
    selection.tell(_selected(st.session_state.get(key)))
    chosen = selection.units()
    title = f"{facts.inspected.layer}: units by their responses to classes"
    st.plotly_chart(
        unit_map(shown, chosen), key=key, on_select="rerun", selection_mode=("points", "box", "lasso"),
        config={"displaylogo": False, "modeBarButtonsToRemove": ["toImage"]},
        alt=f"Map of {len(numbers)} units by two principal components of their class profiles; the table has the same.",
    )  # fmt: skip
    files: dict[Kind, str] = {"png": "image/png", "svg": "image/svg+xml"}
    for kind, media in files.items():
        downloads.download_button(
            kind.upper(), partial(unit_map_file, shown, title, chosen, kind), f"{facts.inspected.layer}-map.{kind}",
            media, key=f"units-map-{kind}", on_click="ignore", icon=":material/download:",
        )  # fmt: skip
    st.caption(plain(_said(facts)))


def _selected(event: Any) -> list[int]:
    """The units of the selected points, each once."""
    points = event["selection"]["points"] if event else []
    return list(dict.fromkeys(int(_number(point["customdata"])) for point in points if "customdata" in point))


def _number(data: Any) -> int:
    return int(data[0] if isinstance(data, list | tuple) else data)


def _texts(facts: UnitFacts, units: Sequence[int]) -> list[str]:
    """What is known of each unit, in a line."""
    known = unit_facts.described(facts, units)
    lines = zip(*([f"{name.lower()}: {text}" for text in texts] for name, texts in known.items()), strict=True)
    return [" · ".join([patch_items.unit(unit), *line]) for unit, line in zip(units, lines, strict=True)]


def _said(facts: UnitFacts) -> str:
    projection = facts.projection
    if projection is None:
        return ""
    said = (
        "Each unit's mean responses to the classes, shifted to mean 0 and scaled to length 1, at their two principal "
        "components. Click units, or draw a box around them, to select them."
    )
    if projection.dead:
        said += f" Dead units have no place: {projection.dead:,}."
    if projection.flat:
        said += f" Nor have those that respond to all classes alike: {projection.flat:,}."
    return said
