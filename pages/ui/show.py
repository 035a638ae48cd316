"""Answers as a page shows them: texts that stay texts, and comparisons as data for the grid in the browser."""

import base64
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import streamlit as st

from core import export
from core.errors import VitrineError
from core.explain import EXPLAINERS, Explainer, Explanation
from core.figures import colours, tiles
from core.images import Picture
from core.models.described import described
from core.workbench import Ask, Workbench
from pages.ui import components, saving, state
from pages.ui.run import Comparison, duration

Message = tuple[Mapping[str, Any], bytes]


def plain(text: str) -> str:
    """Any text so that Markdown shows it as it is: no markup, no links, no images, no directives."""
    return re.sub(r"([^\w\s,;/'\"%=?])", lambda found: f"&#{ord(found[0])};", text)


@contextmanager
def border(title: str) -> Iterator[None]:
    """A page or a fragment of one: what a user can act on becomes a sentence, and a defect takes nothing else with it.

    A fragment needs its own, as Streamlit puts its traceback in place before the page hears of it.
    """
    try:
        yield
    except VitrineError as error:
        st.error(plain(str(error)))
    except Exception as error:
        logging.getLogger("vitrine").exception("page %s", title)
        st.error(plain(f"This page met a defect ({type(error).__name__}). The server's log has the details."))


def notices() -> None:
    """The sentences that actions left behind, each once."""
    for level, text in state.told():
        box = {"error": st.error, "warning": st.warning}.get(level, st.info)
        box(plain(text))


def cost(seconds: float, passes: float) -> str:
    """What work will take, or took."""
    return f"{duration(seconds)} · {passes:,.0f} model passes"


def family(name: str) -> str:
    """A family of methods as a heading."""
    return "Class activation maps" if name == "cam" else name.capitalize()


def size(count: float) -> str:
    """Bytes as people say them."""
    megabytes = count / 2**20
    return "Under 1 MB" if megabytes < 1 else f"{megabytes:,.0f} MB"


def comparison(shown: Comparison, key: str, *, compact: bool = False) -> None:
    """A comparison as a grid: rows of classes, columns of methods, every tile in whatever state it is.

    Call it in a fragment that reruns while `shown.running`: only tiles that changed are sent again.
    """
    bench, picture = shown.bench, shown.picture
    photo = f"photo-{bench.model.sha[:12]}-{picture.sha[:12]}"
    messages: dict[str, Message] = {photo: ({}, _photo(bench, picture))}
    ids = {ask.key: f"tile-{bench.model.sha[:8]}-{picture.sha[:12]}-{ask.key}-{shown.seed}" for ask in shown.asks}
    for ask in shown.asks:
        messages[ids[ask.key]] = tile(shown, ask)
    components.blobs(key, messages)
    names = list(dict.fromkeys(ask.name for ask in shown.asks))
    classes = list(dict.fromkeys(ask.target for ask in shown.asks))
    by_place = {(ask.target, ask.name): ids[ask.key] for ask in shown.asks}
    chances = bench.probabilities(picture)
    components.comparison_grid(
        {
            "photo": photo,
            "picture": picture.name,
            "rows": [{"target": t, "label": bench.model.labels[t], "chance": float(chances[t])} for t in classes],
            "columns": [_column(name) for name in names],
            "cells": [[by_place.get((target, name)) for name in names] for target in classes],
            "tables": _tables(),
            "sequential": colours.SEQUENTIAL,
            "diverging": colours.DIVERGING,
            "view": st.session_state.get("view", ""),
            "compact": compact,
        },
        key,
        lambda: _stopped(st.session_state[key].get("stop")),
        lambda: saving.one(st.session_state[key].get("export") or {}),
    )
    saving.hand_over(key)


def _stopped(wanted: object) -> None:
    shown = state.desk().comparison
    if shown and isinstance(wanted, str):
        shown.drop(wanted)


def model(bench: Workbench) -> None:
    """What a model is made of, and what each method would do with it."""
    survey = bench.model.survey
    if note := bench.model.facts.get("note"):
        st.markdown(plain(str(note)))
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Layers that maps can be read from**")
        rows = [
            {"layer": layer.name, "kind": layer.kind, "units": layer.units, "positions": "{} × {}".format(*layer.cells)}
            for layer in survey.usable
        ]
        st.dataframe(rows, hide_index=True, height=320, alt="Layers that maps can be read from")
        st.markdown(f"Explained unless another is chosen: `{survey.default or 'none'}`")
    with right:
        for heading, text in described(bench.model).items():
            st.markdown(f"**{heading}** {plain(text)}")
    st.markdown("**What each method would do alone.** Those that need the same pass share it.")
    rows = [
        {
            "method": EXPLAINERS[name].title,
            "reads, or why not": plan.reason or plan.place or "the image",
            **{budget: cost(plan.seconds[budget], passes) for budget, passes in plan.passes.items()},
        }
        for name, plan in bench.plans().items()
    ]
    st.dataframe(rows, hide_index=True, alt="What each method would do on this model")


def card(name: str, method: Explainer, unmet: str, bench: Workbench) -> None:
    """A method's card: what it does, its formula, cost, settings, source, and when it misleads."""
    with st.container(border=True, key=f"card-{name}"):
        left, right = st.columns([3, 2], gap="large")
        with left:
            st.markdown(f"#### {plain(method.title)}")
            st.markdown(plain(method.summary))
            if method.about:
                st.markdown(plain(method.about))
            st.markdown(f"**When it misleads.** {plain(method.caution)}")
        with right:
            st.code(method.formula, language=None, wrap_lines=True)
            side = bench.model.preprocess.crop
            passes = method.cost({param.name: param.default for param in method.params}, side)
            st.markdown(f"**Cost** {passes:,.0f} model passes for an image of {side} pixels")
            for param in method.params:
                st.markdown(f"`{param.name}` {plain(param.knob.help)} Default {plain(str(param.default))}.")
            st.markdown(f"**Source** {plain(method.paper)} · `{name}`")
        if unmet:
            st.warning(plain(unmet))


def tile(shown: Comparison, ask: Ask) -> Message:
    """One tile's header and map, for a finished answer, a running map, an error, or a place in the queue."""
    label = shown.bench.model.labels[ask.target]
    title = EXPLAINERS[ask.name].title
    header: dict[str, Any] = {"title": title, "label": label, "phase": shown.phase(ask), "ask": ask.key}
    header["leaving"] = header["phase"] == "running" and shown.leaving(ask)
    answer = shown.answers.get(ask.key)
    if isinstance(answer, VitrineError):
        return {**header, "error": answer.message, "hint": answer.hint}, b""
    if isinstance(answer, Explanation):
        line = export.command(shown.bench.model.name, shown.picture.name, [ask], seed=shown.seed, layer=shown.layer)
        return _finished({**header, "command": line}, answer, label)
    if look := shown.looks.get(ask.key):
        facts, payload = tiles.quantised(look.maps[0].numpy())
        method = EXPLAINERS[ask.name]
        return {
            **header,
            **facts,
            "fraction": round(look.fraction, 3),
            "passes": look.forwards,
            "signed": method.signed or facts["min"] < 0,
            "offset": method.offset,
            "settled": look.settled,
        }, payload
    if header["phase"] == "waiting":
        header["cost"] = cost(shown.bench.estimate([ask]), shown.bench.passes([ask]))
    return header, b""


def _finished(header: dict[str, Any], answer: Explanation, label: str) -> Message:
    values = answer.maps[0].numpy()
    facts, payload = tiles.quantised(values)
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
        "passes": answer.forwards + 2 * answer.backwards,
        "forwards": answer.forwards,
        "backwards": answer.backwards,
        "seed": answer.seed,
        "settings": {name: str(value) for name, value in answer.settings.items()},
        "remarks": {n: f"{one:.4g}" if isinstance(one, float) else one for n, one in answer.remarks.items()},
        "alt": tiles.described(header["title"], label, values, note),
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
        "paper": method.paper,
    }


def _photo(bench: Workbench, picture: Picture) -> bytes:
    key = (bench.model.preprocess, picture.sha, "photo")
    return bench.cache.get(key, lambda: tiles.photo(bench.model.preprocess, picture.pixels))


@st.cache_data(show_spinner=False)
def _tables() -> dict[str, str]:
    names: Iterable[str] = (*colours.SEQUENTIAL, *colours.DIVERGING)
    return {name: base64.b64encode(colours.table(name).tobytes()).decode() for name in names}
