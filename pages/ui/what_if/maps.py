"""The maps of one method before and after the edits, on one scale."""

from dataclasses import dataclass

import streamlit as st

from core.comparison import Comparison, about
from core.errors import VitrineError
from core.explain import Explanation
from core.progress import Report, subrange
from core.workbench import Request
from pages.ui.session import location, parameters
from pages.ui.what_if.outcome import Outcome, Subject
from pages.ui.widgets import comparison_grid
from pages.ui.widgets.on_demand import on_demand, takes

_USUAL = "grad_cam"  # the method until another one is chosen
_AT_ONCE = 3.0  # seconds of both maps that are computed without a click
_SIDES = ("before", "after")
_PART, _TITLE = "what-if", "Explaining before and after"


Pair = tuple[Comparison, Comparison]  # before and after, each of one tile


@dataclass(frozen=True)
class Maps:
    """What is asked of both sides, and their maps where they are computed."""

    request: Request
    pair: Pair | None

    def explanations(self) -> dict[str, Explanation]:
        """The maps that were computed, by side."""
        answers = {name: next(iter(one.answers.values())) for name, one in zip(_SIDES, self.pair or (), strict=False)}
        return {name: one for name, one in answers.items() if isinstance(one, Explanation)}


def maps(shown: Outcome, first: str = _USUAL) -> Maps:
    """The choice of the method, and its maps before and after, or a button that computes them."""
    bench = shown.before.bench
    usable = [name for name, reason in bench.usable().items() if not reason]
    default = next(name for name in (first, _USUAL, *usable) if name in usable)
    method = parameters.choice("Method", usable, "method", default=default).draw(
        st.selectbox, width=240, format_func=comparison_grid.title
    )
    request = location.requests(bench, [method], [shown.before.target])[0]
    pair = _computed(shown, request)
    if pair:
        _grid(shown, pair)
    return Maps(request, pair)


def _grid(shown: Outcome, pair: Pair) -> None:
    """Both maps below each other, where the grid gives them one scale and can show their difference."""
    messages: dict[str, comparison_grid.Message] = {}
    rows, cells = [], []
    for name, comparison, asked in zip(_SIDES, pair, (shown.before, shown.after), strict=True):
        tile = comparison.tiles[0]
        photo = comparison_grid.photo_id(asked.bench, asked.picture)
        number = f"{asked.bench.model.key[:12]}-{tile.key}-{comparison.seed}"
        messages[photo] = ({}, comparison_grid.photo_of(asked.bench, asked.picture))
        messages[number] = comparison_grid.tile(comparison, tile)
        row = comparison_grid.row(asked.bench, asked.picture, asked.target)
        rows.append({**row, "label": f"{row['label']}, {name}"})
        cells.append([number])
    heads = [comparison_grid.column(pair[0].tiles[0].request.name)]
    comparison_grid.grid(messages, rows, heads, cells, "what-if-maps")


def _computed(shown: Outcome, request: Request) -> Pair | None:
    """Both maps: at once if that is quick, else when they are asked for."""
    seed = location.current().seed
    sides = (shown.before, shown.after)
    key = (*((one.bench.model.key, one.picture.key) for one in sides), request.key, seed)

    def work(report: Report) -> Pair:
        before, after = sides
        return (
            _one(before, request, seed, subrange(report, 0, 0.5)),
            _one(after, request, seed, subrange(report, 0.5, 1)),
        )

    bench = shown.before.bench
    passes, quick = 2 * bench.passes([request]).weight, 2 * bench.estimate([request]) <= _AT_ONCE
    note = takes(bench, passes)
    return on_demand(_PART, key, _TITLE, work, button="Compute both maps", note=note, at_once=quick)


def _one(asked: Subject, request: Request, seed: int, report: Report) -> Comparison:
    """The map of one side; an error of the method is its answer."""
    comparison = Comparison(asked.bench, about(asked.picture, [request]), seed)
    tile = comparison.tiles[0]
    if tile.key not in comparison.answers:
        try:
            comparison.answers[tile.key] = asked.bench.explain(asked.picture, request, seed=seed, report=report)
        except VitrineError as error:
            comparison.answers[tile.key] = error
    return comparison
