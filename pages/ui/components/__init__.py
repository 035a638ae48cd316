"""The parts of a page that run in the browser: a few files of plain JavaScript beside this one, no build step.

Python decides what is shown, the browser how it looks. Bytes travel through `blobs`, one invisible part each, so that
Streamlit sends what has changed and nothing else; the visible parts pick them up by name (see blob.js).

Streamlit runs a part's script for every change, and what a run returns when the part goes, but also when a newer run
overtook it before the script was loaded: a part ends only once its element has left the page.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from core.figures.encoding import packed

_FOLDER = Path(__file__).parent


def part(name: str, *more: str) -> Callable[..., Any]:
    """The component of a script, and of `name`.css where there is one."""
    style = _FOLDER / f"{name}.css"
    return st.components.v2.component(
        f"vitrine_{name}",
        js=script(name, *more),
        css=style.read_text("utf-8") if style.exists() else None,
    )


def script(*names: str) -> str:
    """These files and what all parts share (shop.js), joined into one module."""
    return "\n".join((_FOLDER / f"{name}.js").read_text("utf-8") for name in ("shop", *names))


_blob, _film, _chips, _matrix, _save, _paste = map(part, ("blob", "film", "chips", "matrix", "save", "paste"))
_grid = part("grid", "tile", "drawer", "toolbar")


def blobs(group: str, messages: Mapping[str, tuple[Mapping[str, Any], bytes]]) -> None:
    """Hand bytes to the browser, each under its name with a header; a group for each place, taking no room there."""
    with st.container(key=f"vitrine-hidden-{group}", gap=None):
        for name, (header, payload) in messages.items():
            _blob(data=packed({"id": name, **header}, payload), key=f"blob-{name}", height="content")


def film(data: Mapping[str, Any], picked: Callable[[], None], exported: Callable[[], None]) -> Any:
    """The strip of images with Copy link, Export and Present; events `pick` (an image), `export` (a kind, a view)."""
    return _film(data=dict(data), key="film", on_pick_change=picked, on_export_change=exported)


def chips(data: Mapping[str, Any], picked: Callable[[], None]) -> Any:
    """The most probable classes with their bars; event `pick` (a class, and whether it joins the others)."""
    return _chips(data=dict(data), key="chips", on_pick_change=picked)


def grid(data: Mapping[str, Any], key: str, stopped: Callable[[], None], exported: Callable[[], None]) -> Any:
    """Maps side by side, rows of targets and columns of methods; how they look is settled in the browser alone.

    Events `stop` (the key of an request) and `export` (the key of an ask, a kind, a view).
    """
    return _grid(data=dict(data), key=key, on_stop_change=stopped, on_export_change=exported)


def matrix(data: Mapping[str, Any]) -> None:
    """A coloured table for each class of how far its maps agree, to be kept as CSV."""
    _matrix(data=dict(data), key="matrix")


def save(place: str, name: str, kind: str, content: bytes, number: int) -> None:
    """Give the browser a file to save, once for each number; `place` names the part of the page that gives it."""
    with st.container(key=f"vitrine-hidden-save-{place}", gap=None):
        _save(data=packed({"name": name, "kind": kind, "number": number}, content), key=f"save-{place}")


def paste() -> None:
    """Hand images pasted anywhere on the page to the uploader on it."""
    with st.container(key="vitrine-hidden-paste", gap=None):
        _paste(data={}, key="paste")
