"""A comparison of explanations as a grid in the browser: rows of classes, columns of methods."""

import base64
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import streamlit as st

from core import export
from core.comparison import Comparison
from core.errors import VitrineError
from core.explain import EXPLAINERS, Explanation
from core.figures import colormaps, encoding
from core.images import Picture
from core.params import spelled
from core.progress import time_left
from core.workbench import Request, Workbench
from pages.ui import components
from pages.ui.session import state
from pages.ui.widgets import downloads
from pages.ui.widgets.text import chance, cost_text, duration, plain

Message = tuple[Mapping[str, Any], bytes]

# The messages of the finished maps of every comparison shown, by the key of the request: encoding takes longer than
# everything else in a redraw of the grid.
_encoded: WeakKeyDictionary[Comparison, dict[str, tuple[Explanation, Message]]] = WeakKeyDictionary()


def comparison(shown: Comparison, key: str, *, compact: bool = False) -> None:
    """A comparison as a grid: rows of classes, columns of methods, each tile in its current state.

    Call it in a fragment that reruns while `shown.running`: only tiles that changed are sent again.
    """
    bench, picture = shown.bench, shown.picture
    photo = f"photo-{bench.model.sha[:12]}-{picture.sha[:12]}"
    messages: dict[str, Message] = {photo: ({}, _photo(bench, picture))}
    ids = {
        request.key: f"tile-{bench.model.sha[:8]}-{picture.sha[:12]}-{request.key}-{shown.seed}"
        for request in shown.requests
    }
    for request in shown.requests:
        messages[ids[request.key]] = tile(shown, request)
    components.blobs(key, messages)
    names = list(dict.fromkeys(request.name for request in shown.requests))
    classes = list(dict.fromkeys(request.target for request in shown.requests))
    by_place = {(request.target, request.name): ids[request.key] for request in shown.requests}
    chances = bench.probabilities(picture)
    components.comparison_grid(
        {
            "photo": photo,
            "picture": picture.name,
            "rows": [
                {"target": t, "label": bench.model.labels[t], "chance": chance(bench.model, chances[t])}
                for t in classes
            ],
            "columns": [_column(name) for name in names],
            "cells": [[by_place.get((target, name)) for name in names] for target in classes],
            "tables": _tables(),
            "sequential": colormaps.SEQUENTIAL,
            "diverging": colormaps.DIVERGING,
            "view": st.session_state.get("view", ""),
            "compact": compact,
        },
        key,
        lambda: _stopped(st.session_state[key].get("stop")),
        lambda: downloads.one(st.session_state[key].get("export") or {}),
    )
    downloads.hand_over(key)
    if picture.note:
        st.caption(plain(picture.note))


def _stopped(wanted: object) -> None:
    shown = state.session().comparison
    if shown and isinstance(wanted, str):
        shown.drop(wanted)


def tile(shown: Comparison, request: Request) -> Message:
    """One tile's header and map, for a result, a running map, an error, or a queued request."""
    label = shown.bench.model.labels[request.target]
    title = EXPLAINERS[request.name].title
    header: dict[str, Any] = {"title": title, "label": label, "phase": shown.phase(request), "ask": request.key}
    header["leaving"] = header["phase"] == "running" and shown.leaving(request)
    answer = shown.answers.get(request.key)
    if isinstance(answer, VitrineError):
        return {**header, "error": answer.message, "hint": answer.hint}, b""
    if isinstance(answer, Explanation):
        return _cached(shown, request, answer, header)
    if progress := shown.progress.get(request.key):
        left = time_left(progress.seconds_left)
        header |= {"fraction": round(progress.fraction, 3), "doing": progress.note, "left": left}
    if snapshot := shown.snapshots.get(request.key):
        facts, payload = encoding.quantised(snapshot.maps[0].numpy())
        method = EXPLAINERS[request.name]
        return {
            **header,
            **facts,
            "passes": str(snapshot.passes),
            "signed": method.signed or facts["min"] < 0,
            "offset": method.offset,
            "settled": snapshot.settled,
        }, payload
    if header["phase"] == "waiting":
        header["cost"] = cost_text(shown.bench.estimate([request]), shown.bench.passes([request]))
    return header, b""


def _cached(shown: Comparison, request: Request, answer: Explanation, header: dict[str, Any]) -> Message:
    """The message of a finished map, encoded at the first request."""
    messages = _encoded.setdefault(shown, {})
    if request.key not in messages or messages[request.key][0] is not answer:
        line = export.command_line(shown.bench.model, shown.picture.name, [request], seed=shown.seed, layer=shown.layer)
        messages[request.key] = answer, _finished({**header, "command": line}, answer)
    return messages[request.key][1]


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
        "alt": encoding.described(header["title"], header["label"], values, note),
    }, payload


def _column(name: str) -> dict[str, str]:
    method = EXPLAINERS[name]
    return {
        "name": name,
        "title": method.title,
        "family": method.family,
        "summary": method.summary,
        "formula": method.formula,
        "caution": method.caution,
        "paper": method.source,
    }


def _photo(bench: Workbench, picture: Picture) -> bytes:
    key = (bench.model.preprocess, picture.sha, "photo")
    return bench.cache.get(key, lambda: encoding.photo(bench.model.preprocess, picture.pixels))


@st.cache_data(show_spinner=False)
def _tables() -> dict[str, str]:
    names: Iterable[str] = (*colormaps.SEQUENTIAL, *colormaps.DIVERGING)
    return {name: base64.b64encode(colormaps.table(name).tobytes()).decode() for name in names}
