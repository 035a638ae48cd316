"""Rankings: the methods of an assessment by each of its measures, over all of its images."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.comparison.assessment import Assessment, MeasureRequest, Outcome, Pair
from core.errors import VitrineError
from core.explain import EXPLAINERS, Explanation
from core.measure import MEASURES, Curve, Undefined
from core.measure.intervals import Interval, interval
from core.measure.measure import Better
from core.measure.perturbation import replacement_of
from core.measure.protocol import protocol_warning
from core.measure.ranks import ranks
from core.params import spelled

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Cell:
    """A measure of one method over the images: of a curve, the area under it."""

    method: str
    measure: MeasureRequest
    interval: Interval | None  # None while no image has a number
    curve: Curve | None  # of all images that have a result so far
    undefined: Mapping[str, int]  # the reasons of images without a number, with how many have them
    pending: int  # images without a result so far
    rank: int | None = None  # 1 for the best of the methods that have a number

    @property
    def warning(self) -> str:
        """Why the measure favours the method, as one sentence; "" if it does not."""
        return protocol_warning(self.measure.name, self.method)

    @property
    def quantity(self) -> str:
        """What its number is: of a curve, the area under it or its mean along named steps."""
        card = MEASURES[self.measure.name]
        if not card.is_curve:
            return card.title
        return f"{card.title}, {'area' if replacement_of(card.name, card.defaults) else 'mean'}"

    @property
    def better(self) -> Better:
        """Which end of the measure is the better one."""
        return MEASURES[self.measure.name].better


def ranking(assessment: Assessment, measures: Sequence[MeasureRequest]) -> list[list[Cell]]:
    """For each measure a cell per method, in the order of the comparison."""
    return [_ranked(_cells(assessment, measure)) for measure in measures]


def sheet(columns: Sequence[Sequence[Cell]]) -> "pd.DataFrame":
    """A table of cells with a line for each method and measure."""
    import pandas as pd

    return pd.DataFrame([_line(cell) for cells in columns for cell in cells])


def _cells(assessment: Assessment, measure: MeasureRequest) -> list[Cell]:
    cells = []
    tiles = assessment.comparison.tiles
    for method in dict.fromkeys(tile.request.name for tile in tiles):
        outcomes: list[Outcome | None] = []
        for tile in tiles:
            if tile.request.name != method:
                continue
            answer = assessment.comparison.answers.get(tile.key)
            failed = answer if isinstance(answer, VitrineError) else None
            found = assessment.outcome(Pair(tile, measure)) if isinstance(answer, Explanation) else None
            outcomes.append(failed or found)
        cells.append(_cell(method, measure, outcomes))
    return cells


def _cell(method: str, measure: MeasureRequest, outcomes: Sequence[Outcome | None]) -> Cell:
    reasons: Counter[str] = Counter()
    numbers: list[float | Undefined] = []
    curves: list[Curve] = []
    for outcome in outcomes:
        if isinstance(outcome, VitrineError):
            reasons[str(outcome)] += 1
        elif outcome is not None:
            result = outcome.result
            curves += [result] if isinstance(result, Curve) else []
            numbers += result.areas if isinstance(result, Curve) else result
    reasons.update(one.reason for one in numbers if isinstance(one, Undefined))
    pending = sum(outcome is None for outcome in outcomes)
    curve = replace(curves[0], y=[row for one in curves for row in one.y]) if curves else None
    return Cell(method, measure, interval(numbers), curve, reasons, pending)


def _ranked(cells: Sequence[Cell]) -> list[Cell]:
    means = [cell.interval.mean if cell.interval else None for cell in cells]
    found = ranks(means, cells[0].better) if cells else []
    return [replace(cell, rank=rank) for cell, rank in zip(cells, found, strict=True)]


def _line(cell: Cell) -> dict[str, object]:
    found = cell.interval
    return {
        "method": cell.method,
        "title": EXPLAINERS[cell.method].title,
        "measure": cell.measure.name,
        "quantity": cell.quantity,
        "value": found.mean if found else None,
        "low": found.low if found else None,
        "high": found.high if found else None,
        "n": found.n if found else 0,
        "better": cell.better,
        "rank": cell.rank,
        "settings": " ".join(f"{name}={spelled(value)}" for name, value in cell.measure.settings.items()),
        "undefined": " ".join(f"{reason} ({count})" for reason, count in cell.undefined.items()),
        "warning": cell.warning,
    }
