"""Downloads of a comparison, of one of its maps, of a chart and of pictures, made on request."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from core import export
from core.comparison import Comparison
from core.explain import Explanation
from core.export import Measured
from core.export.reports.comparison import comparison_report
from core.export.reports.report import as_html
from core.figures.sheet import KINDS, png
from core.figures.style import Style, styled
from core.images import Pixels
from pages.ui import components
from pages.ui.session import location, state, visitors

_TYPES = {
    "png": "image/png",
    "pdf": "application/pdf",
    "svg": "image/svg+xml",
    "npz": "application/octet-stream",
    "npy": "application/octet-stream",
    "csv": "text/csv",
    "html": "text/html",
}
_CHARTS = ("png", "svg")
WHOLE = (*KINDS, "npz", "csv", "html")  # the entries of the Export menu


def whole(wanted: Mapping[str, Any], measured: Callable[[Comparison], Measured]) -> None:
    """Prepare the download chosen in the Export menu: a `kind`, and for figures the `view` settings.

    `measured` gives the measures of the maps of a comparison that are known.
    """
    shown, kind = state.session().comparison, wanted.get("kind")
    if shown is None or not (results := shown.by_picture()):
        return
    (picture, answers), several = results[0], len(results) > 1
    true = location.true_classes(shown.bench, shown.pictures)
    name = f"{len(results)} images" if several else _stem(picture.name)
    if kind in KINDS:
        style = _style(wanted, shown)
        draw = partial(export.figure_of_images, shown.bench, results, true=true)
        _offer(name, kind, draw(style, kind) if several else export.figure(shown.bench, picture, answers, style, kind))
    elif kind == "npz":
        _offer(name, kind, export.npz(export.arrays_of_images(results) if several else export.arrays(answers)))
    elif kind == "csv":
        content = export.table(shown.bench, results, shown.seed, true, measured(shown))
        _offer(name, kind, content.encode())
    elif kind == "html":
        command, style = visitors.public(shown.command(true)), _style(wanted, shown)
        report = comparison_report(shown.bench, results, shown.seed, true, style=style, command=command)
        _offer(name, kind, as_html(report).encode())


def one(wanted: Mapping[str, Any]) -> None:
    """Prepare the export of an open tile: its key (`ask`), a `kind`, and for figures the `view`."""
    shown, kind = state.session().comparison, wanted.get("kind")
    answered = shown.answered() if shown else []
    tile, answer = next(((tile, answer) for tile, answer in answered if tile.key == wanted.get("ask")), (None, None))
    if shown is None or tile is None or not isinstance(answer, Explanation):
        return
    name = f"{_stem(tile.picture.name)}-{export.key(tile.request)}"
    if kind == "png":
        style = _style(wanted, shown)
        results = shown.by_picture()
        if len(results) > 1:
            content = export.tile_of_images(shown.bench, results, *tile, style)
        else:
            content = export.tile(shown.bench, *results[0], tile.request, style)
        _offer(name, kind, content)
    elif kind == "npy":
        _offer(name, kind, export.npy(answer))


def of_chart(name: str, table: Callable[[], str], draw: Callable[..., bytes], key: str = "") -> None:
    """The numbers of a chart as CSV, and its picture as PNG and SVG; `draw` takes the `kind` of the file.

    `name` is that of the files, and of the buttons unless these have a `key`.
    """
    made: dict[str, Callable[[], str | bytes]] = {"csv": table, **{kind: partial(draw, kind=kind) for kind in _CHARTS}}
    with st.container(horizontal=True, gap="small", width="content"):
        for kind, make in made.items():
            st.download_button(
                kind.upper(), make, f"{name}.{kind}", _TYPES[kind], key=f"{key or name}-{kind}", on_click="ignore",
                icon=":material/download:",
            )  # fmt: skip


def of_pictures(name: str, pictures: Sequence[Pixels], arrays: Callable[[], bytes], key: str, note: str = "") -> None:
    """Pictures of one height as a PNG, side by side, and what they are made from as NPZ; `note` says what that is."""
    made: dict[str, Callable[[], bytes]] = {"png": lambda: png(np.concatenate(pictures, 1)), "npz": arrays}
    for kind, make in made.items():
        st.download_button(
            kind.upper(), make, f"{name}.{kind}", _TYPES[kind], key=f"{key}-{kind}", on_click="ignore",
            icon=":material/download:", help=note if kind == "npz" and note else None,
        )  # fmt: skip


def _style(wanted: Mapping[str, Any], shown: Comparison) -> Style:
    """The style on the page, where maps of several classes share a range per method unless another one is chosen."""
    view = dict(wanted.get("view") or {})
    if view.get("range", "auto") == "auto":
        several = len(shown.pictures) == 1 and len({tile.request.target for tile in shown.tiles}) > 1
        view["range"] = "method" if several else "own"
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
