"""Summaries of measured pictures: mean, interval and rank of every method by every measure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.comparison.measured import Result, Row, Steps
from core.measure import MEASURES, Curve, Undefined
from core.measure.intervals import Interval, interval, intervals
from core.measure.protocol import protocol_warning
from core.measure.ranks import ranks


@dataclass(frozen=True)
class Line:
    """A method by a measure, over all pictures."""

    target: str  # as the plan has it
    measure: str
    method: str
    layer: str  # as in `Row`
    mean: Interval | None  # None for a curve, and where no picture has a number
    curve: tuple[Steps, tuple[Interval, ...]] | None  # the mean curve, and the interval of each step
    undefined: int
    reason: str  # the most frequent one of the undefined, "" if there are none
    rank: int | None = None  # among several methods that have a mean, 1 for the best; equal means share it
    warning: str = ""  # why the measure favours the method


def summary(pictures: Sequence[Sequence[Row]]) -> list[Line]:
    """The lines of all targets, measures and methods, in this order, from the rows of each picture."""
    grouped: dict[tuple[str, str], dict[tuple[str, str], list[Result]]] = {}
    for row in (row for rows in pictures for row in rows):
        of_measure = grouped.setdefault((row.target, row.measure), {})
        of_measure.setdefault((row.method, row.layer), []).append(row.result)
    return [
        line
        for question, maps in grouped.items()
        for line in _ranked([_line(*question, *one, results) for one, results in maps.items()])
    ]


def _line(target: str, measure: str, method: str, layer: str, results: Sequence[Result]) -> Line:
    reasons = Counter(one.reason for one in results if isinstance(one, Undefined))
    numbers = [one for one in results if isinstance(one, float)]
    curves = [one for one in results if isinstance(one, Steps)]
    return Line(
        target,
        measure,
        method,
        layer,
        interval(numbers) if numbers else None,
        _mean_curve(curves) if curves else None,
        reasons.total(),
        reasons.most_common(1)[0][0] if reasons else "",
        warning=protocol_warning(measure, method),
    )


def _mean_curve(curves: Sequence[Steps]) -> tuple[Steps, tuple[Interval, ...]]:
    first = curves[0]
    found = intervals(Curve(first.x_name, np.array(first.x), first.y_name, np.array([one.y for one in curves])))
    return replace(first, y=tuple(one.mean for one in found)), tuple(found)


def _ranked(lines: Sequence[Line]) -> list[Line]:
    """The methods of one measure with their ranks; a single one has none."""
    found = ranks([line.mean.mean if line.mean else None for line in lines], MEASURES[lines[0].measure].better)
    several = sum(rank is not None for rank in found) > 1
    return [replace(line, rank=rank if several else None) for line, rank in zip(lines, found, strict=True)]
