"""Downloads: all of a comparison or one of its maps, made on request."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from core import export
from core.explain import Explanation
from core.figures.sheet import KINDS
from core.figures.style import styled
from pages.ui import components
from pages.ui.session import state

_TYPES = {
    "png": "image/png",
    "pdf": "application/pdf",
    "svg": "image/svg+xml",
    "npz": "application/octet-stream",
    "npy": "application/octet-stream",
    "csv": "text/csv",
}
WHOLE = (*KINDS, "npz", "csv")  # what the Export menu offers


def whole(wanted: Mapping[str, Any]) -> None:
    """Prepare what the Export menu asked for: a `kind`, and for the figure the `view` it is to look like."""
    shown, kind = state.session().comparison, wanted.get("kind")
    if shown is None:
        return
    found, name = shown.answered(), _stem(shown.picture.name)
    if kind in KINDS:
        style = styled(wanted.get("view") or {})
        _offer(name, kind, export.figure(shown.bench, shown.picture, found, style, kind))
    elif kind == "npz":
        _offer(name, kind, export.npz(found))
    elif kind == "csv":
        _offer(name, kind, export.table(shown.bench, shown.picture, found, shown.seed).encode())


def one(wanted: Mapping[str, Any]) -> None:
    """Prepare the export an open tile asked for: the key of its request (`ask`), a `kind`, and a picture's `view`."""
    shown, kind = state.session().comparison, wanted.get("kind")
    found = shown.answered() if shown else []
    request, answer = next(
        ((request, answer) for request, answer in found if request.key == wanted.get("ask")), (None, None)
    )
    if shown is None or request is None or not isinstance(answer, Explanation):
        return
    name = f"{_stem(shown.picture.name)}-{export.key(request)}"
    if kind == "png":
        style = styled(wanted.get("view") or {})
        _offer(name, kind, export.tile(shown.bench, shown.picture, found, request, style))
    elif kind == "npy":
        _offer(name, kind, export.npy(answer))


def hand_over(place: str) -> None:
    """Give the browser what was prepared, from that part of the page which is drawn after the click."""
    if wanted := st.session_state.pop("wanted", None):
        components.save(place, *wanted)


def _offer(name: str, kind: str, content: bytes) -> None:
    number = st.session_state.get("saved", 0) + 1
    st.session_state["saved"] = number
    st.session_state["wanted"] = (f"{name}.{kind}", _TYPES[kind], content, number)


def _stem(name: str) -> str:
    return Path(name).stem or "image"
