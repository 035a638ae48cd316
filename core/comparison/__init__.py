"""Comparisons: the results of requests about one picture or many, and the measures of their maps."""

from core.comparison.assessment import (
    Assessment,
    Context,
    MeasureRequest,
    Outcome,
    Pair,
    assess,
    measure_passes,
    needs_mask,
    recalled,
)
from core.comparison.comparison import Comparison, Facts, Phase, Tile, about, affordable, facts
from core.comparison.measured import Finished, Plan, Result, Row, Steps, measure_picture
from core.comparison.summary import Line, summary

__all__ = [
    "Assessment",
    "Comparison",
    "Context",
    "Facts",
    "Finished",
    "Line",
    "MeasureRequest",
    "Outcome",
    "Pair",
    "Phase",
    "Plan",
    "Result",
    "Row",
    "Steps",
    "Tile",
    "about",
    "affordable",
    "assess",
    "facts",
    "measure_passes",
    "measure_picture",
    "needs_mask",
    "recalled",
    "summary",
]
