"""The region: a box in per cent of what the model sees, in the address."""

import streamlit as st

from core.review.sampled_maps import Box, SampledMaps, strongest_box
from pages.ui.session import parameters

_SIDE = 25  # per cent of the box that is there first
_USUAL = {"left": 0, "top": 100 - _SIDE, "width": _SIDE, "height": _SIDE}


def chosen(maps: SampledMaps | None) -> Box:
    """Four numbers, at first the quarter of each side with most evidence, and a button that finds that place."""
    usual = _USUAL if maps is None else _placed(maps, _SIDE, _SIDE)
    box = []
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        for name, first in usual.items():
            low = 1 if name in ("width", "height") else 0
            number = parameters.number(f"{name.capitalize()} (%)", low, 100, name, default=first, step=1)
            box.append(number.draw(st.number_input, width=120) / 100)
        if maps is not None:
            st.button(
                "Where the evidence is strongest", icon=":material/my_location:", on_click=_place, args=(maps,),
                help="Moves the box, without a change of its size, to where the mean map of all classes has most.",
            )  # fmt: skip
    left, top, width, height = box
    return left, top, width, height


def _placed(maps: SampledMaps, width: int, height: int) -> dict[str, int]:
    """The strongest box of a size, in whole per cent."""
    box = strongest_box(maps.overall, width / 100, height / 100)
    return {name: round(100 * side) for name, side in zip(_USUAL, box, strict=True)}


def _place(maps: SampledMaps) -> None:
    """Move the region; in a callback."""
    width, height = (parameters.shown(name, _SIDE) for name in ("width", "height"))
    for name, value in _placed(maps, width, height).items():
        parameters.put(name, value)
