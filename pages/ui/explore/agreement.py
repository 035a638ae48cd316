"""Agreement of the maps of a comparison with each other and with controls."""

import base64
from typing import Any

import streamlit as st

from core import export
from core.comparison import Comparison
from core.explain import EXPLAINERS, Explanation
from core.figures import colormaps
from core.measure.agreement import TOP
from core.workbench import Request
from pages.ui import components


def matrix(shown: Comparison) -> None:
    """A table for each class with at least two maps, including controls; computed only while expanded."""
    box = st.expander("Agreement", expanded=True, key="agreement", on_change="rerun")
    if not box.open:
        return
    with box:
        if tables := _known(shown):
            scale = base64.b64encode(colormaps.table(colormaps.DIVERGING[0]).tobytes()).decode()
            components.agreement_matrix({"classes": tables, "colours": scale, "share": TOP, "chance": TOP / (2 - TOP)})
        else:
            st.markdown("Finished maps are compared here with each other and with two controls.")


def _known(shown: Comparison) -> list[dict[str, Any]]:
    """The tables of the finished maps so far, reused from the last run if no map was added."""
    maps = [
        (tile.request, answer)
        for tile, answer in shown.answered()
        if isinstance(answer, Explanation) and answer.finished
    ]
    key = (*shown.facts(), [request.key for request, _ in maps])
    if st.session_state.get("agreed", (None,))[0] != key:
        st.session_state["agreed"] = (key, _tables(shown, maps))
    found: list[dict[str, Any]] = st.session_state["agreed"][1]
    return found


def _tables(shown: Comparison, maps: list[tuple[Request, Explanation]]) -> list[dict[str, Any]]:
    found = export.agreement(shown.bench, shown.pictures[0], maps, shown.seed)
    return [{**one, "methods": [_title(name) for name in one["methods"]]} for one in found]


def _title(column: str) -> str:
    """The title of a method, or the layer at which it was read if there are several."""
    name, _, layer = column.partition("@")
    return layer or EXPLAINERS[name].title
