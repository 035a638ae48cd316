"""A picture of every unit of a layer: its average or best patch, or its activations on the current image."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.figures.units.activation_tiles import activation_tiles
from core.images import Pixels
from core.mining.averages import weighted
from core.study import Study
from core.study.browse import PatchFilter, Rows
from pages.ui.session import location
from pages.ui.study import open_study, patch_items
from pages.ui.units import analyses
from pages.ui.units.unit_facts import UnitFacts

KINDS = {"average": "Average patch", "best": "Best patch", "image": "On the current image"}
_SIDE = 64  # pixels of a tile of activations
_BLANK = 190  # grey of a tile without a picture


@dataclass(frozen=True)
class Pictures:
    """A picture for each unit, and why some have none."""

    pixels: Pixels  # (K, s, s, 3)
    blank: Sequence[str]  # (K,) why a picture is blank; "" for those that are not
    peaks: np.ndarray | None = None  # (K,) the highest response to the current image


def kinds(facts: UnitFacts) -> list[str]:
    """The kinds of pictures that there are."""
    patches = facts.study or "activating" in facts.stores
    return [*(("average", "best") if patches else ()), *(("image",) if not facts.inspected.problem else ())]


def patches(facts: UnitFacts, kind: str) -> Pictures:
    """The average or best patch of each unit: of the study, else of the maximally activating patches."""
    if study := facts.study:
        return _made((facts.key, kind), lambda: _of_study(study, kind))
    return _made((facts.key, kind), lambda: _of_store(facts, kind))


def on_current_image(facts: UnitFacts, *, shared: bool) -> tuple[Hashable, Pictures]:
    """The activations of each unit on the current image, and the key of their content. Raises as `location.subject`."""
    bench, layer, picture = facts.inspected.bench, facts.inspected.layer, location.subject()
    key = (bench.model.key, layer, picture.key, shared)

    def make() -> Pictures:
        maps = bench.activations(picture, layer).float().numpy()
        silent = ["not active in this image" if same else "" for same in np.ptp(maps, axis=(1, 2)) == 0]
        return Pictures(activation_tiles(maps, _SIDE, shared=shared), silent, maps.max((1, 2)))

    return key, _made(key, make)


def strongest(facts: UnitFacts, unit: int, most: int) -> Pixels:
    """The patches (n, s, s, 3) to which a unit responds most."""
    if facts.study:
        return np.asarray(facts.study.array("crops")[_rows(facts.study, unit)[:most]])
    store = facts.stores.get("activating")
    if not store:
        return np.zeros((0, 1, 1, 3), np.uint8)
    rows = analyses.rows(store, "patches", facts.inspected.layer)
    return np.asarray(store.array("crops")[rows.index[rows["unit"] == unit].to_numpy()[:most]])


def _rows(study: Study, unit: int) -> Rows:
    """The patches of the study among whose strongest filters a unit is, strongest first."""
    catalogue, conditions = open_study.catalogue(study), PatchFilter(filters=(unit,))
    return catalogue.ordered(catalogue.matching(conditions), "response", conditions.filters)


def _of_study(study: Study, kind: str) -> Pictures:
    crops, catalogue = study.array("crops"), open_study.catalogue(study)
    faces = patch_items.faces(study) if kind == "average" else {}
    pixels = np.full((study.manifest.model.filters, *crops.shape[1:]), _BLANK, np.uint8)
    blank = [""] * len(pixels)
    for unit in range(len(pixels)):
        if unit in faces:
            pixels[unit] = faces[unit]
        elif not len(rows := _rows(study, unit)):
            blank[unit] = "in no patch"
        elif kind == "average":
            pixels[unit] = patch_items.as_pixels(weighted(crops[rows], catalogue.response(rows, (unit,))))
        else:
            pixels[unit] = crops[rows[0]]
    return Pictures(pixels, blank)


def _of_store(facts: UnitFacts, kind: str) -> Pictures:
    store = facts.stores["activating"]
    rows = analyses.rows(store, "patches", facts.inspected.layer)
    crops, units = np.asarray(store.array("crops")[rows.index.to_numpy()]), rows["unit"].to_numpy()
    pixels = np.full((facts.inspected.units, *crops.shape[1:]), _BLANK, np.uint8)
    for unit in np.unique(units):
        own = crops[units == unit]
        pixels[unit] = np.round(own.mean(0)) if kind == "average" else own[0]
    without = np.ones(len(pixels), bool)
    without[units] = False
    return Pictures(pixels, ["no patch: its response never rises" if one else "" for one in without])


@st.cache_resource(max_entries=6, show_spinner=False)
def _made(key: Hashable, _make: Callable[[], Pictures]) -> Pictures:  # noqa: ARG001 - the cache's key
    return _make()
