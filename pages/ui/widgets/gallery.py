"""The gallery: thousands of thumbnails in a scrolling view, sent as sprite sheets and drawn by the browser."""

import hashlib
import io
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image

from core.figures.encoding import packed
from core.serialization import digest
from pages.ui.components import component

_gallery = component("patch_gallery")
_PER, _COLUMNS = 512, 32  # pictures per sheet, and per row of a sheet


@dataclass(frozen=True)
class Items:
    """The content of a gallery, one entry of every list per picture; texts are shown without markup."""

    pixels: np.ndarray  # (N, s, s, 3) uint8
    ids: Sequence[str | int]
    titles: Sequence[str]
    notes: Sequence[str] = ()
    facts: Sequence[tuple[str, Sequence[str]]] = ()  # listed in the panel next to the large picture
    wholes: np.ndarray | None = None  # (M, t, t, 3) uint8, the images the pictures were cut from
    images: Sequence[int] = ()  # the row of `wholes` for each picture
    boxes: Sequence[tuple[float, float, float, float]] = ()  # x, y, width, height as fractions of the whole
    windows: Sequence[Sequence[tuple[float, float, float, float, int, bool]]] = ()  # per whole: box, order, selected
    actions: Sequence[tuple[str, Sequence[str]]] = ()  # name and button texts; Enter triggers the first
    groups: Sequence[tuple[str, int]] = field(default=())  # headings and their numbers of pictures


@dataclass(frozen=True)
class Picks:
    """The user's input: the action just triggered with its picture, and the selected pictures."""

    action: str
    opened: Any
    selected: list[Any]


def gallery(
    make: Callable[[], Items],
    token: Hashable,
    *,
    key: str,
    label: str,
    noun: tuple[str, str] = ("patch", "patches"),
    many: bool = False,
    selected: Sequence[str | int] = (),
    opens: bool = False,
    panel: bool = True,
    tile: int = 88,
    height: int | None = 620,
) -> Picks:
    """Show the pictures of `make()` and return the user's input.

    `token` identifies their content: `make` is called only for a token that is not cached. `many` allows selecting
    several, at first those `selected`, and a click then opens a picture only if it `opens`; `panel` shows one picture
    enlarged. A gallery without a `height` is as high as its pictures and does not scroll: for few.
    """
    options = {
        "label": label, "noun": noun, "many": many, "selected": list(selected), "opens": opens or not many,
        "panel": panel, "tile": tile, "height": height,
    }  # fmt: skip
    data = _packed((token, digest(options)), make, options)
    result = _gallery(key=key, data=data, on_opened_change=_nothing, on_selected_change=_nothing)
    opened = result.get("opened") or {}
    picked = result.get("selected")
    return Picks(opened.get("action", ""), opened.get("id"), list(selected if picked is None else picked))


def _nothing() -> None:
    """A component reports a value only where a callback is named for it."""


@st.cache_data(max_entries=12, show_spinner=False)
def _packed(token: Hashable, _make: Callable[[], Items], _look: dict[str, Any]) -> bytes:  # noqa: ARG001 - the cache's key
    return pack(_make(), _look)


def pack(items: Items, options: dict[str, Any]) -> bytes:
    """The message to the browser: everything about the pictures as its header, the sprite sheets as its payload."""
    payload = io.BytesIO()
    head = {
        **options,
        "ids": list(items.ids),
        "titles": list(items.titles),
        "notes": list(items.notes),
        "lines": 2 if items.notes else 1,
        "actions": [[name, list(texts)] for name, texts in items.actions],
        "facts": [[name, list(values)] for name, values in items.facts],
        "groups": list(items.groups) or [("", len(items.ids))],
        "sheets": _sheets(items.pixels, payload, quality=88),
        "contexts": None,
    }
    if items.wholes is not None:
        head |= {
            "contexts": _sheets(items.wholes, payload, quality=80),
            "images": list(items.images),
            "boxes": [[round(part, 4) for part in box] for box in items.boxes],
            "windows": [list(windows) for windows in items.windows],
        }
    sheets = payload.getvalue()
    return packed({**head, "token": digest([head, hashlib.sha256(sheets).hexdigest()])}, sheets)


def _sheets(pixels: np.ndarray, payload: io.BytesIO, quality: int) -> dict[str, Any]:
    """Write the pictures as sheets of equal cells; returns where each sheet stands in the payload."""
    cell, sheets = (pixels.shape[1] if len(pixels) else 1), []
    for first in range(0, len(pixels), _PER):
        some = pixels[first : first + _PER]
        rows = math.ceil(len(some) / _COLUMNS)
        sheet = np.zeros((rows * _COLUMNS, cell, cell, 3), np.uint8)
        sheet[: len(some)] = some
        grid = sheet.reshape(rows, _COLUMNS, cell, cell, 3).swapaxes(1, 2)
        start = payload.tell()
        Image.fromarray(grid.reshape(rows * cell, _COLUMNS * cell, 3)).save(
            payload, "JPEG", quality=quality, subsampling=0
        )
        sheets.append([start, payload.tell() - start])
    return {"cell": cell, "columns": _COLUMNS, "per": _PER, "type": "image/jpeg", "sheets": sheets}
