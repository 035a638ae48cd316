"""A comparison of explanations as a grid in the browser: methods and classes of one image, or one method of many."""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import streamlit as st

from core.comparison import Comparison, Tile
from core.errors import VitrineError
from core.explain import EXPLAINERS, Explanation
from core.explain.target_name import TargetName
from core.figures import colormaps, encoding
from core.images import Picture
from core.params import spelled
from core.progress import time_left
from core.workbench import Workbench
from pages.ui import components
from pages.ui.session import state, visitors
from pages.ui.widgets import downloads
from pages.ui.widgets.text import chance, cost_text, duration, plain

Message = tuple[Mapping[str, Any], bytes]

# The messages of the finished maps of every comparison shown, by the key of the tile: encoding takes longer than
# everything else in a redraw of the grid.
_encoded: WeakKeyDictionary[Comparison, dict[str, tuple[Explanation, Message]]] = WeakKeyDictionary()


def comparison(
    shown: Comparison,
    key: str,
    *,
    below: Mapping[str, Any] | None = None,
    clicked: Callable[[object], None] | None = None,
    compact: bool = False,
) -> None:
    """A comparison as a grid: rows of targets, columns of methods or of layers of one, tiles in their current state.

    `below` has the strips of measures by the key of their tile; `clicked` is called with what is clicked in them. Call
    it in a fragment that reruns while `shown.running`: only tiles that changed are sent again.
    """
    bench, picture = shown.bench, shown.pictures[0]
    photo = photo_id(bench, picture)
    columns = list(dict.fromkeys((tile.request.name, tile.request.layer) for tile in shown.tiles))
    targets = list(dict.fromkeys(tile.request.target for tile in shown.tiles))
    by_place = {(one.request.target, (one.request.name, one.request.layer)): tile_id(shown, one) for one in shown.tiles}
    rows = [row(bench, picture, target) for target in targets]
    cells = [[by_place.get((target, column)) for column in columns] for target in targets]
    messages: dict[str, Message] = {photo: ({}, photo_of(bench, picture))}
    messages |= {tile_id(shown, one): tile(shown, one) for one in shown.tiles}
    messages |= strips(below or {})
    heads = [column(name, layer if _layered(shown) else "") for name, layer in columns]
    grid(messages, rows, heads, cells, key, clicked=clicked, compact=compact)
    if picture.note:
        st.caption(plain(picture.note))


def strips(below: Mapping[str, Any]) -> dict[str, Message]:
    """The message with the strips of all tiles: one of its own, as maps need not be sent again with them."""
    return {"strips": ({"strips": below}, b"")}


def grid(
    messages: Mapping[str, Message],
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[Mapping[str, str]],
    cells: Sequence[Sequence[str | None]],
    key: str,
    *,
    clicked: Callable[[object], None] | None = None,
    compact: bool = False,
    gallery: str = "",
) -> None:
    """The grid of maps: the messages of its photos and tiles by name, the facts of its rows and columns, its cells.

    In a gallery, named by the numbers of its images, every row is an image of its own, and its maps are shown as tiles.
    """
    components.blobs(key, messages)
    components.comparison_grid(
        {
            "rows": list(rows),
            "columns": list(columns),
            "cells": [list(row) for row in cells],
            "tables": _tables(),
            "sequential": colormaps.SEQUENTIAL,
            "diverging": colormaps.DIVERGING,
            "view": st.session_state.get("view", ""),
            "compact": compact,
            "gallery": gallery,
        },
        key,
        {
            "stop": lambda: _stopped(st.session_state[key].get("stop")),
            "export": lambda: downloads.one(st.session_state[key].get("export") or {}),
            "strip": lambda: clicked(st.session_state[key].get("strip")) if clicked else None,
        },
    )
    downloads.hand_over(key)


def row(bench: Workbench, picture: Picture, target: TargetName) -> dict[str, Any]:
    """The facts of a row: an image, and the target explained for it with its probability or other quantity."""
    height, width = bench.model.preprocess.size
    return {
        "photo": photo_id(bench, picture),
        "aspect": width / height,
        "picture": picture.name,
        "target": str(target),
        "label": target.title(bench.model.labels),
        "chance": chance(bench, picture, target),
    }


def _layered(shown: Comparison) -> bool:
    """Whether a method is read at several layers: its maps are called by their layers."""
    return len({(tile.request.name, tile.request.layer) for tile in shown.tiles}) > len(
        {tile.request.name for tile in shown.tiles}
    )


def photo_id(bench: Workbench, picture: Picture) -> str:
    """The name of the message with a picture as the model sees it."""
    return f"photo-{bench.model.key[:12]}-{picture.key[:12]}"


def photo_of(bench: Workbench, picture: Picture) -> bytes:
    """A picture as the model sees it, as a JPEG file; encoded once."""
    key = (bench.model.preprocess, picture.key, "photo")
    return bench.cache.get(key, lambda: encoding.photo(bench.model.preprocess, picture.pixels))


def tile_id(shown: Comparison, tile: Tile) -> str:
    """The name of the message of a tile."""
    return f"tile-{shown.bench.model.sha[:8]}-{tile.key}-{shown.seed}"


def _stopped(wanted: object) -> None:
    shown = state.session().comparison
    if shown and isinstance(wanted, str):
        shown.drop(wanted)


def tile(shown: Comparison, one: Tile) -> Message:
    """One tile's header and map, for a result, a running map, an error, or a queued request."""
    label = one.request.target.title(shown.bench.model.labels)
    method, key = EXPLAINERS[one.request.name], one.key
    header: dict[str, Any] = {
        "title": one.request.layer if _layered(shown) else method.title,
        "label": label,
        "phase": shown.phase(one),
        "ask": key,
    }
    header["leaving"] = header["phase"] == "running" and shown.leaving(one)
    answer = shown.answers.get(key)
    if isinstance(answer, VitrineError):
        return {**header, "error": answer.message, "hint": answer.hint}, b""
    if isinstance(answer, Explanation):
        return _cached(shown, one, answer, header)
    if progress := shown.progress.get(key):
        left = time_left(progress.seconds_left)
        header |= {"fraction": round(progress.fraction, 3), "doing": progress.note, "left": left}
    if snapshot := shown.snapshots.get(key):
        facts, payload = encoding.quantised(snapshot.maps[0].numpy())
        return {
            **header,
            **facts,
            "passes": str(snapshot.passes),
            "signed": method.signed or facts["min"] < 0,
            "offset": method.offset,
            "settled": snapshot.settled,
        }, payload
    if header["phase"] == "waiting":
        header["cost"] = cost_text(shown.estimate([one]), shown.passes([one]))
    return header, b""


def _cached(shown: Comparison, one: Tile, answer: Explanation, header: dict[str, Any]) -> Message:
    """The message of a finished map, encoded at the first request."""
    messages = _encoded.setdefault(shown, {})
    key = header["ask"]
    if key not in messages or messages[key][0] is not answer:
        line = visitors.public(shown.command_of([one]))
        messages[key] = answer, _finished({**header, "command": line}, answer)
    return messages[key][1]


def _finished(header: dict[str, Any], answer: Explanation) -> Message:
    values = answer.maps[0].numpy()
    facts, payload = encoding.quantised(values)
    note = answer.note(0)
    return {
        **header,
        **facts,
        "signed": answer.signed,
        "offset": answer.offset,
        "note": note,
        "finished": answer.finished,
        "layer": answer.layer,
        "time": duration(answer.seconds),
        "seconds": answer.seconds,
        "passes": answer.cost(),
        "seed": answer.seed,
        "settings": {name: spelled(value) for name, value in answer.settings.items()},
        "remarks": {n: f"{one:.4g}" if isinstance(one, float) else one for n, one in answer.remarks.items()},
        "alt": encoding.described(_described(answer), header["label"], values, note),
    }, payload


def _described(answer: Explanation) -> str:
    title = EXPLAINERS[answer.name].title
    return f"{title} at {answer.layer}" if answer.layer else title


def title(name: str) -> str:
    """The title of a method."""
    return EXPLAINERS[name].title


def column(name: str, layer: str = "") -> dict[str, str]:
    """The facts of a column: a method, or one of the layers at which it is read."""
    method = EXPLAINERS[name]
    return {
        "name": name,
        "title": layer or method.title,
        "heading": f"{method.title} · {layer}" if layer else method.title,
        "family": method.family,
        "summary": method.summary,
        "formula": method.formula,
        "caution": method.caution,
        "paper": method.source,
    }


@st.cache_data(show_spinner=False)
def _tables() -> dict[str, str]:
    names: Iterable[str] = (*colormaps.SEQUENTIAL, *colormaps.DIVERGING)
    return {name: base64.b64encode(colormaps.table(name).tobytes()).decode() for name in names}
