"""Every unit of a layer as a grid of pictures, in a chosen order."""

from collections.abc import Hashable, Sequence

import numpy as np
import streamlit as st

from core.errors import VitrineError
from pages.ui.session import location, navigation, parameters
from pages.ui.study import ablation, patch_items
from pages.ui.units import selection, unit_facts, unit_pictures
from pages.ui.units.unit_facts import UnitFacts
from pages.ui.units.unit_pictures import Pictures
from pages.ui.widgets.gallery import Items, gallery
from pages.ui.widgets.text import plain

_ORDERS = {
    "unit": "Number", "now": "Response to the current image", "highest": "Highest response",
    "selectivity": "Selectivity", "iou": "IoU with its concept", "weight": "Relevance",
    "patches": "Patches of the study", "likeness": "Similarity to a filter",
}  # fmt: skip


def grid(facts: UnitFacts, units: Sequence[int]) -> None:
    """The grid of these units, in which some can be selected."""
    kinds = unit_pictures.kinds(facts)
    if not kinds:
        st.info("There are no pictures of these units: neither patches, nor a model for the current image.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        kind = parameters.choice("Pictures", kinds, "pictures").draw(
            st.segmented_control, required=True, format_func=unit_pictures.KINDS.get
        )
        orders = _orders(facts, kind)
        order = parameters.choice("Sort by", orders, "sort").draw(st.selectbox, format_func=_ORDERS.get, width=260)
        like = None
        if order == "likeness":
            like = parameters.choice("Filter", list(range(facts.inspected.units)), "like").draw(
                st.selectbox, format_func=patch_items.unit, width=110
            )
        shared = kind == "image" and parameters.switch("One range of colours", "shared").draw(
            st.toggle, help="Else the colours of each map end at its own maximum, which stands below it."
        )
    found = _pictures(facts, kind, shared=shared)
    if not found:
        return
    key, pictures = found
    ranked, notes = _ordered(facts, units, order, like, pictures)
    widget = selection.widget("units-grid")
    picks = gallery(
        lambda: _items(facts, ranked, notes, pictures),
        (key, tuple(ranked), tuple(notes), facts.key),
        key=widget,
        label=f"Units of {facts.inspected.layer}",
        noun=("unit", "units"),
        many=True,
        selected=selection.begun(widget),
        opens=True,
        tile=88,
        height=560,
    )
    selection.tell([int(unit) for unit in picks.selected])
    if picks.action == "unit":
        navigation.go("units/unit", layer=facts.inspected.layer, unit=picks.opened)
    st.caption(plain(_said(facts, kind)))


def _pictures(facts: UnitFacts, kind: str, *, shared: bool) -> tuple[Hashable, Pictures] | None:
    """The pictures and the key of their content; None, after saying why, where there are none."""
    if kind != "image":
        return (facts.key, kind), unit_pictures.patches(facts, kind)
    if facts.inspected.study and not ablation.fits_current_image(facts.inspected.study, "units"):
        return None
    try:
        return unit_pictures.on_current_image(facts, shared=shared)
    except VitrineError as error:
        st.error(plain(str(error)))
        return None


def _orders(facts: UnitFacts, kind: str) -> list[str]:
    """The orders for which there are numbers; for pictures of the current image its responses come first."""
    first = ["now"] if kind == "image" else []
    there = {*facts.table, *(["likeness"] if facts.profiles else [])}
    return [*first, *(name for name in _ORDERS if name in there)]


def _ordered(
    facts: UnitFacts, units: Sequence[int], order: str, like: int | None, pictures: Pictures
) -> tuple[list[int], list[str]]:
    """The units in the chosen order, largest first, and the number below each picture."""
    if order == "unit":
        classes = facts.table["class"].tolist() if "class" in facts.table else [""] * len(facts.table)
        return list(units), [classes[unit] for unit in units]
    if order == "now" and pictures.peaks is not None:
        values = pictures.peaks
    elif order == "likeness" and facts.profiles and like is not None:
        values = facts.profiles.likeness(like)
    else:
        values = facts.table[order].to_numpy(float)
    own = np.nan_to_num(np.asarray(values, float)[list(units)], nan=-np.inf)
    ranked = [units[row] for row in np.argsort(-own, kind="stable")]
    return ranked, [
        patch_items.amount(values[unit]) if np.isfinite(values[unit]) else "flat profile" for unit in ranked
    ]


def _items(facts: UnitFacts, units: Sequence[int], notes: Sequence[str], pictures: Pictures) -> Items:
    titles = [patch_items.unit(unit) for unit in units]
    return Items(
        pixels=pictures.pixels[list(units)],
        ids=list(units),
        titles=titles,
        notes=[pictures.blank[unit] or note for unit, note in zip(units, notes, strict=True)],
        facts=list(unit_facts.described(facts, units).items()),
        actions=[("unit", [f"Open {title}" for title in titles])],
    )


def _said(facts: UnitFacts, kind: str) -> str:
    """What the pictures are."""
    click = "Click a unit to open it; its check box selects it."
    if kind == "image":
        return f"The map of every unit for {location.subject().name}, each position a block. {click}"
    if facts.study:
        what = "average patches: weighted by response" if kind == "average" else "patches with the highest response"
        return f"The study's {what}. {click}"
    what = "The mean of the patches" if kind == "average" else "The patch"
    return f"{what} to which each unit responds most, of the images that were analysed. {click}"
