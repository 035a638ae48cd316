"""The layers of the network as a strip of blocks, with a field to search for one."""

from itertools import groupby
from typing import Any

import streamlit as st

from core.network.inspection import Layer
from core.units.listing import analyses_of
from pages.ui import components
from pages.ui.session import parameters
from pages.ui.units import analyses, inspected
from pages.ui.units.inspected import Inspected
from pages.ui.widgets.text import plain

_MANY = 40  # layers, above which those inside blocks are hidden at first


def titled(shown: Inspected) -> None:
    """The title of the page, a field for another layer, and the strip."""
    left, right = st.columns([1.25, 1], vertical_alignment="bottom")
    left.title(plain(f"Units of {shown.layer}"), anchor=False)
    if not (layers := shown.layers):
        st.warning(plain(f"{shown.problem} What the study stores is shown; its other layers need the model."))
        return
    described = {layer.name: _described(layer) for layer in layers}
    with right:
        parameters.choice("Layer", list(described), "layer", default=shown.default).draw(
            st.selectbox,
            format_func=lambda name: f"{name} · {described[name]}",
            help="Type a part of a name to find it.",
        )
    main = _outside_blocks(shown)
    with st.container(key="vitrine-layers", gap="small"):
        every = len(main) == len(layers) or parameters.switch(f"All {len(layers)} layers", "every").value()
        _strip(shown, layers if every else main)
        if len(main) < len(layers):
            parameters.switch(f"All {len(layers)} layers", "every").draw(
                st.toggle, help=f"The strip shows {len(main)} layers at first: those that are not inside a block."
            )


def _described(layer: Layer) -> str:
    return f"{layer.cells[0]} × {layer.cells[1]}, {layer.units:,} units"


def _outside_blocks(shown: Inspected) -> tuple[Layer, ...]:
    """The layers through which everything passes, and the chosen one; all if they are few, or if no others are left."""
    main = tuple(layer for layer in shown.layers if layer.through or layer.name == shown.layer)
    return main if len(shown.layers) > _MANY and sum(layer.through for layer in main) > 2 else shown.layers


def _strip(shown: Inspected, layers: tuple[Layer, ...]) -> None:
    own = shown.study.manifest.model.layer if shown.study else ""
    stores = [store for found in analyses_of(shown.sha, analyses.listed()).values() for store in found]
    analysed = {name for store in stores for name in analyses.table(store, "layers")["name"]}

    def entry(layer: Layer) -> dict[str, Any]:
        note = "study" if layer.name == own else "analysed" if layer.name in analysed else ""
        return {"name": layer.name, "kind": layer.kind, "units": layer.units, "note": note}

    groups = [
        {"size": f"{cells[0]} × {cells[1]}", "layers": [entry(layer) for layer in found]}
        for cells, found in groupby(layers, key=lambda layer: layer.cells)
    ]
    components.layer_strip({"groups": groups, "chosen": shown.layer}, _picked)


def _picked() -> None:
    picked = st.session_state["layer_strip"].get("pick") or {}
    if layer := picked.get("layer"):
        inspected.choose(layer)
