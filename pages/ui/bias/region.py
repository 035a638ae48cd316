"""The region: a box in per cent of what the model sees, or the objects by their masks, in the address."""

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.data.masks.pictures import Mask
from core.progress import Report
from core.review.regions import Objects, Region, box_mask, box_region
from core.review.sampled_maps import SampledMaps, strongest_box
from pages.ui.failures.masks import masks
from pages.ui.failures.opened import Opened
from pages.ui.session import parameters
from pages.ui.widgets.on_demand import computed

_BOX, _MASKS = "box", "masks"  # in the address
_TITLES = {_BOX: "a box", _MASKS: "the objects, by masks"}
_SIDE = 25  # per cent of the box that is there first
_USUAL = {"left": 0, "top": 100 - _SIDE, "width": _SIDE, "height": _SIDE}
_PART = "bias-masks"


@dataclass(frozen=True)
class Chosen:
    """The region that is looked at."""

    key: Hashable  # of results that depend on it
    region: Region
    mask: Mask  # (H, W) of all maps, or (n, H, W) of each of them
    option: tuple[str, str]  # of the command


def chosen(shown: Opened, maps: SampledMaps | None) -> Chosen | None:
    """The choice of the region; None while no masks are there."""
    kind = parameters.choice("Region", list(_TITLES), "region").draw(
        st.segmented_control, required=True, format_func=_TITLES.__getitem__
    )
    return _box(shown, maps) if kind == _BOX else _masks(shown, maps)


def _box(shown: Opened, maps: SampledMaps | None) -> Chosen:
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
    size = shown.bench.model.preprocess.size
    region, mask = box_region(left, top, width, height, size), box_mask(left, top, width, height, size)
    return Chosen(tuple(box), region, mask, ("--region", ",".join(f"{100 * side:g}" for side in box)))


def _masks(shown: Opened, maps: SampledMaps | None) -> Chosen | None:
    """The field for the masks, and those of the images with a map, read once per session."""
    objects, path = masks(shown)
    if objects is None:
        st.info("Name the masks of the objects: there are none beside the images.")
        return None
    mask = np.zeros(shown.bench.model.preprocess.size, bool) if maps is None else _of_maps(shown, objects, path, maps)
    return Chosen(path, objects, mask, ("--masks", path))


def _of_maps(shown: Opened, objects: Objects, path: str, maps: SampledMaps) -> Mask:
    key = (str(shown.predictions.path), shown.bench.model.key, path)

    def work(report: Report) -> Mask:
        return maps.regions(objects, report)

    return computed(_PART, key, "Reading masks", work)


def _placed(maps: SampledMaps, width: int, height: int) -> dict[str, int]:
    """The strongest box of a size, in whole per cent."""
    box = strongest_box(maps.overall, width / 100, height / 100)
    return {name: round(100 * side) for name, side in zip(_USUAL, box, strict=True)}


def _place(maps: SampledMaps) -> None:
    """Move the region; in a callback."""
    width, height = (parameters.shown(name, _SIDE) for name in ("width", "height"))
    for name, value in _placed(maps, width, height).items():
        parameters.put(name, value)
