"""The components of a page that run in the browser: one folder each, with its scripts and its style; no build step.

Python decides what is shown, the browser how it looks. Bytes travel through `blobs`, one invisible component each, so
that Streamlit sends what has changed and nothing else; the visible components pick them up by name (`shared.js`).

Streamlit runs a component's script for every change, and what a run returns when the component goes, but also when a
newer run overtook it before the script was loaded: a component ends only once its element has left the page.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from core.figures.encoding import packed
from pages.ui.components.bundle import bundle

_FOLDER = Path(__file__).parent


def component(name: str) -> Callable[..., Any]:
    """The component in the folder of that name."""
    style = _FOLDER / name / f"{name}.css"
    return st.components.v2.component(
        f"vitrine_{name}", js=script(name), css=style.read_text("utf-8") if style.exists() else None
    )


def script(name: str) -> str:
    """The script of a component as the one module that the browser gets."""
    return bundle(_FOLDER / name / f"{name}.js")


_packet, _save, _paste = map(component, ("packet", "save", "paste"))
_image_strip, _class_chips = map(component, ("image_strip", "class_chips"))
_comparison_grid, _agreement_matrix = map(component, ("comparison_grid", "agreement_matrix"))


def blobs(group: str, messages: Mapping[str, tuple[Mapping[str, Any], bytes]]) -> None:
    """Hand bytes to the browser, each under its name with a header; a group for each place, taking no room there."""
    with st.container(key=f"vitrine-hidden-{group}", gap=None):
        for name, (header, payload) in messages.items():
            _packet(data=packed({"id": name, **header}, payload), key=f"blob-{name}", height="content")


def image_strip(data: Mapping[str, Any], picked: Callable[[], None], exported: Callable[[], None]) -> Any:
    """The strip of images with Copy link, Export and Present; events `pick` (an image), `export` (a kind, a view)."""
    return _image_strip(data=dict(data), key="image_strip", on_pick_change=picked, on_export_change=exported)


def class_chips(data: Mapping[str, Any], picked: Callable[[], None]) -> Any:
    """The most probable classes with their bars; event `pick` (a class, and whether it joins the others)."""
    return _class_chips(data=dict(data), key="class_chips", on_pick_change=picked)


def comparison_grid(
    data: Mapping[str, Any], key: str, stopped: Callable[[], None], exported: Callable[[], None]
) -> Any:
    """Maps side by side, rows of targets and columns of methods; how they look is settled in the browser alone.

    Events `stop` (the key of an request) and `export` (the key of an ask, a kind, a view).
    """
    return _comparison_grid(data=dict(data), key=key, on_stop_change=stopped, on_export_change=exported)


def agreement_matrix(data: Mapping[str, Any]) -> None:
    """A coloured table for each class of how far its maps agree, to be kept as CSV."""
    _agreement_matrix(data=dict(data), key="agreement_matrix")


def save(place: str, name: str, kind: str, content: bytes, number: int) -> None:
    """Give the browser a file to save, once for each number; `place` names the part of the page that gives it."""
    with st.container(key=f"vitrine-hidden-save-{place}", gap=None):
        _save(data=packed({"name": name, "kind": kind, "number": number}, content), key=f"save-{place}")


def paste() -> None:
    """Hand images pasted anywhere on the page to the uploader on it."""
    with st.container(key="vitrine-hidden-paste", gap=None):
        _paste(data={}, key="paste")
