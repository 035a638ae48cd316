"""The components that run in the browser: one folder each with scripts and style, without a build step.

Python provides the content, the browser its appearance. Bytes are sent by `blobs`, one invisible component each, so
that Streamlit sends only what has changed; the visible components read them by name (`shared.js`).

Streamlit calls a component's script for every change. It calls the returned cleanup when the component is removed, but
also when a newer run overtook it before the script was loaded: clean up only once the element has left the page.
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
    """The script of a component as a single module for the browser."""
    return bundle(_FOLDER / name / f"{name}.js")


_packet, _save, _paste, _tour = map(component, ("packet", "save", "paste", "tour"))
_image_strip, _class_chips = map(component, ("image_strip", "class_chips"))
_comparison_grid, _agreement_matrix = map(component, ("comparison_grid", "agreement_matrix"))
_mask_drawing, _layer_strip, _what_if = map(component, ("mask_drawing", "layer_strip", "what_if"))


def blobs(group: str, messages: Mapping[str, tuple[Mapping[str, Any], bytes]]) -> None:
    """Send bytes to the browser, each with a name and a header; a group per call site, which takes no space."""
    with st.container(key=f"vitrine-hidden-{group}", gap=None):
        for name, (header, payload) in messages.items():
            _packet(data=packed({"id": name, **header}, payload), key=f"blob-{name}", height="content")


def image_strip(data: Mapping[str, Any], events: Mapping[str, Callable[[], None]]) -> Any:
    """The strip of images with Copy link, Export and Present.

    Events `pick` (an image), `export` (a kind, a view), `share` (an upload, and whether to share it), `remove` (an
    upload), `present` (on or off), `turn` (by how many pages of the open folder; 0 closes it), `leaf` (by how
    many pages of a presentation of many images).
    """
    called = {f"on_{name}_change": call for name, call in events.items()}
    return _image_strip(data=dict(data), key="image_strip", **called)


def class_chips(data: Mapping[str, Any], picked: Callable[[], None]) -> Any:
    """The most probable classes with their bars; event `pick` (a class, and whether to add it to the others)."""
    return _class_chips(data=dict(data), key="class_chips", on_pick_change=picked)


def comparison_grid(data: Mapping[str, Any], key: str, events: Mapping[str, Callable[[], None]]) -> Any:
    """Maps side by side, rows of targets and columns of methods; their appearance is set in the browser alone.

    Events `stop` (the key of a request), `export` (the key of a request, a kind, a view) and `strip` (the key of a
    request, and a measure, or "" for all of its strip).
    """
    called = {f"on_{name}_change": call for name, call in events.items()}
    return _comparison_grid(data=dict(data), key=key, **called)


def agreement_matrix(data: Mapping[str, Any]) -> None:
    """A coloured table for each class with the agreement of its maps, downloadable as CSV."""
    _agreement_matrix(data=dict(data), key="agreement_matrix")


def mask_drawing(data: Mapping[str, Any], key: str, drawn: Callable[[], None]) -> Any:
    """An image on which outlines are drawn; event `done` (the outlines, each x, y, x, y … in pixels of the image)."""
    return _mask_drawing(data=dict(data), key=key, on_done_change=drawn)


def what_if(data: Mapping[str, Any], key: str, acted: Callable[[], None]) -> Any:
    """An image that is edited, and the classes before and after; event `act` (numbered actions, the last one new)."""
    return _what_if(data=dict(data), key=key, on_act_change=acted)


def layer_strip(data: Mapping[str, Any], picked: Callable[[], None]) -> Any:
    """The layers of a network in a row, in groups of equal maps; event `pick` (a layer)."""
    return _layer_strip(data=dict(data), key="layer_strip", on_pick_change=picked)


def save(place: str, name: str, kind: str, content: bytes, number: int) -> None:
    """Give the browser a file to save, once per number; `place` names the part of the page that sends it."""
    with st.container(key=f"vitrine-hidden-save-{place}", gap=None):
        _save(data=packed({"name": name, "kind": kind, "number": number}, content), key=f"save-{place}")


def paste() -> None:
    """Pass images pasted anywhere on the page to its uploader."""
    with st.container(key="vitrine-hidden-paste", gap=None):
        _paste(data={}, key="paste")


def tour(*, welcome: bool, asked: int) -> None:
    """Hints beside the parts of the page: for a `welcome` visitor once per browser, and each time `asked` grows."""
    with st.container(key="vitrine-hidden-tour", gap=None):
        _tour(data={"welcome": welcome, "asked": asked}, key="tour")
