"""Downloads of a comparison or one of its maps, made on request."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from core import export
from core.comparison import Comparison
from core.explain import Explanation
from core.figures.sheet import KINDS
from core.figures.style import Style, styled
from pages.ui import components
from pages.ui.session import location, state

_TYPES = {
    "png": "image/png",
    "pdf": "application/pdf",
    "svg": "image/svg+xml",
    "npz": "application/octet-stream",
    "npy": "application/octet-stream",
    "csv": "text/csv",
}
WHOLE = (*KINDS, "npz", "csv")  # the entries of the Export menu


def whole(wanted: Mapping[str, Any]) -> None:
    """Prepare the download chosen in the Export menu: a `kind`, and for figures the `view` settings."""
    shown, kind = state.session().comparison, wanted.get("kind")
    if shown is None:
        return
    answers, name = shown.answered(), _stem(shown.picture.name)
    if kind in KINDS:
        style = _style(wanted, shown)
        _offer(name, kind, export.figure(shown.bench, shown.picture, answers, style, kind))
    elif kind == "npz":
        _offer(name, kind, export.npz(answers))
    elif kind == "csv":
        true = location.true_class(shown.bench, shown.picture)
        _offer(name, kind, export.table(shown.bench, shown.picture, answers, shown.seed, true).encode())


def one(wanted: Mapping[str, Any]) -> None:
    """Prepare the export of an open tile: the key of its request (`ask`), a `kind`, and for figures the `view`."""
    shown, kind = state.session().comparison, wanted.get("kind")
    answers = shown.answered() if shown else []
    request, answer = next(
        ((request, answer) for request, answer in answers if request.key == wanted.get("ask")), (None, None)
    )
    if shown is None or request is None or not isinstance(answer, Explanation):
        return
    name = f"{_stem(shown.picture.name)}-{export.key(request)}"
    if kind == "png":
        style = _style(wanted, shown)
        _offer(name, kind, export.tile(shown.bench, shown.picture, answers, request, style))
    elif kind == "npy":
        _offer(name, kind, export.npy(answer))


def _style(wanted: Mapping[str, Any], shown: Comparison) -> Style:
    """The style on the page, where maps of several classes share a range per method unless another one is chosen."""
    view = dict(wanted.get("view") or {})
    if view.get("range", "auto") == "auto":
        view["range"] = "method" if len({request.target for request in shown.requests}) > 1 else "own"
    return styled(view)


def hand_over(place: str) -> None:
    """Send the prepared file to the browser, from the part of the page that is drawn after the click."""
    if wanted := st.session_state.pop("wanted", None):
        components.save(place, *wanted)


def _offer(name: str, kind: str, content: bytes) -> None:
    number = st.session_state.get("saved", 0) + 1
    st.session_state["saved"] = number
    st.session_state["wanted"] = (f"{name}.{kind}", _TYPES[kind], content, number)


def _stem(name: str) -> str:
    return Path(name).stem or "image"
