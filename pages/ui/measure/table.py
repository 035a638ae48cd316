"""The table of methods and measures with their ranks, and its downloads."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import streamlit as st

from core.comparison import Assessment
from core.comparison.ranking import Cell, sheet
from core.explain import EXPLAINERS
from core.export.command import measure_command
from core.export.spreadsheet import as_csv
from core.figures.curve_file import curves_file
from core.figures.sheet import KINDS
from core.measure import MEASURES
from core.measure.intervals import intervals
from pages.ui.measure import choice, curves, masks
from pages.ui.measure.assessment import Columns
from pages.ui.session import visitors
from pages.ui.widgets import method_card
from pages.ui.widgets.text import plain

MARK = "⚑"  # beside a value that the method optimises itself
_ARROWS = {"higher": "↑", "lower": "↓"}
_TYPES = {"png": "image/png", "pdf": "application/pdf", "svg": "image/svg+xml"}


def drawn(columns: Columns, first: Sequence[Cell]) -> None:
    """A line for each method, sorted by its rank in the measure of `first`, and notes about what is marked."""
    order = {cell.method: cell.rank or len(EXPLAINERS) for cell in first}
    by_method: dict[str, list[Cell]] = {}
    for cells in columns:
        for cell in cells:
            by_method.setdefault(cell.method, []).append(cell)
    rows = [
        {"Method": plain(EXPLAINERS[name].title), **{_heading(cell): _text(cell) for cell in by_method[name]}}
        for name in sorted(by_method, key=lambda name: order.get(name, 0))
    ]
    st.table(rows, hide_index=True, alt="Each method with its value and rank by each measure")
    several = any(cell.interval and cell.interval.n > 1 for cells in columns for cell in cells)
    means = " Means over images, with 95% bootstrap intervals." if several else ""
    st.caption(f"Each value with its rank. ↑ higher is better, ↓ lower is better.{means}")
    for sentence in dict.fromkeys(cell.warning for cells in columns for cell in cells if cell.interval):
        if sentence:
            st.caption(f"{MARK} {plain(sentence)}")
    for sentence in _reasons(columns):
        st.caption(plain(sentence))


def downloads(found: Assessment, columns: Columns, first: Sequence[Cell]) -> None:
    """The table as CSV, the curves as a figure, and the command line that reproduces them."""
    pictures = found.comparison.pictures
    stem = Path(pictures[0].name).stem if len(pictures) == 1 else f"{len(pictures)} images"
    with st.container(horizontal=True, gap="small"):
        st.download_button(
            "CSV", lambda: as_csv(sheet(columns)), f"{stem}-measures.csv", "text/csv", on_click="ignore",
            icon=":material/download:",
        )  # fmt: skip
        if lines := curves.named(first):
            bands = {name: intervals(curve) for name, curve in lines.items()}
            title = curves.title(found, first)
            for kind in KINDS:
                draw = partial(curves_file, lines, title=title, intervals=bands, kind=kind)
                st.download_button(
                    kind.upper(), draw, f"{stem}-{first[0].measure.name}.{kind}", _TYPES[kind], on_click="ignore",
                    icon=":material/download:",
                )  # fmt: skip
    with st.expander("Command line"):
        st.code(visitors.public(_command(found, columns)), language="sh", wrap_lines=True)
        if _masked(found, columns):
            st.caption(plain(masks.said(found.comparison)))
    with st.expander("Definitions of these measures"):
        side = min(found.comparison.bench.model.preprocess.size)
        for cells in columns:
            card = MEASURES[cells[0].measure.name]
            method_card.card(card, side, result=card.scale)


def _heading(cell: Cell) -> str:
    return plain(f"{cell.quantity} {_ARROWS[cell.better]}")


def _text(cell: Cell) -> str:
    """A value with its interval, the number of images and its rank; "–" where there is none."""
    found = cell.interval
    if found is None:
        return "…" if cell.pending else "–"
    span = "" if found.low is None else f"{found.bounds('.3f')}, n = {found.n:,}"
    mark = f" {MARK}" if cell.warning else ""
    return f"{found.mean:.3f}{span} · #{cell.rank}{mark}".replace("-", "−")


def _reasons(columns: Columns) -> list[str]:
    """Why values are missing: a sentence for each reason, with the methods that it concerns."""
    found: dict[tuple[str, str], Mapping[str, int]] = {}
    for cells in columns:
        for cell in cells:
            for reason, count in cell.undefined.items():
                key = (MEASURES[cell.measure.name].title, reason)
                found[key] = {**found.get(key, {}), EXPLAINERS[cell.method].title: count}
    sentences: dict[str, dict[str, list[str]]] = {}
    for (title, reason), methods in found.items():
        who = "all methods" if len(methods) == len(columns[0]) else ", ".join(methods)
        sentences.setdefault(reason, {}).setdefault(who, []).append(title)
    return [
        f"– {', '.join(titles)} ({who}): {reason}" for reason, by in sentences.items() for who, titles in by.items()
    ]


def _command(found: Assessment, columns: Columns) -> str:
    shown = found.comparison
    return measure_command(
        shown.bench.model,
        [picture.file for picture in shown.pictures],
        [tile.request for tile in shown.tiles],
        {cells[0].measure.name: cells[0].measure.settings for cells in columns},
        seed=shown.seed,
        predicted=shown.predicted and len(shown.pictures) > 1,
        masks="MASKS" if _masked(found, columns) else "",
    )


def _masked(found: Assessment, columns: Columns) -> bool:
    """Whether a measure compares maps with a mask that is known."""
    return bool(found.annotations) and choice.masked(cells[0].measure for cells in columns)
