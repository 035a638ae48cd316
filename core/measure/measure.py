"""Measures: functions of evidence about maps, registered with their cards and called by `evaluate`."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from core.card import Budget, Card, Cost, Validate
from core.explain.query import Query
from core.registry import Registry

Kind = Literal["map", "method"]
Better = Literal["higher", "lower"]
Requires = Literal["", "mask", "parts"]


@dataclass(frozen=True)
class Evidence:
    """The input of a measure: maps of one method, and annotations of the images of their query."""

    query: Query  # model, images (B, 3, H, W) and targets that the maps explain
    maps: Tensor  # (B, H, W), raw
    mask: Tensor | None = None  # (B, H, W), true on the object; an image whose row is false everywhere has no mask
    boxes: Sequence[
        NDArray[np.float64]
    ] = ()  # per image (K, 4): top, left, height, width of each object; () if unknown
    parts: Mapping[str, Tensor] = field(default_factory=dict)  # (B, H, W) by name, true on that part of the object
    without: Callable[[int, Collection[str]], Tensor] | None = None  # one of the images, (C, H, W), without some parts
    others: Mapping[str, Tensor] = field(default_factory=dict)  # (B, H, W) by method: its maps of the same query
    explain_again: Callable[[Query], Tensor] | None = None  # maps of the same method and settings for a changed query
    offset: bool = False  # the values are defined up to a constant: they are measured from the smallest of each map

    @property
    def anchored(self) -> "Evidence":
        """The same evidence, with values that are defined up to a constant measured from the smallest of each map."""
        if not self.offset:
            return self
        again = self.explain_again
        anchored = None if again is None else lambda query: _from_smallest(again(query))
        return replace(self, maps=_from_smallest(self.maps), explain_again=anchored, offset=False)


@dataclass(frozen=True)
class Undefined:
    """The result of a measure for an image for which it has no number."""

    reason: str  # one sentence


Rows = NDArray[np.float64] | Sequence[NDArray[np.float64] | Undefined]  # (B, S), or a row (S,) per image; never NaN


@dataclass(frozen=True)
class Curve:
    """A measure along a second quantity, such as the masked fraction of the image, at the same steps for all images."""

    x_name: str
    x: NDArray[np.float64]  # (S,), ascending
    y_name: str
    y: Rows
    steps: tuple[str, ...] = ()  # the names of the S steps, if they have names

    @property
    def areas(self) -> "Numbers":
        """The mean height of each image's curve along x, by the trapezoidal rule: its area where x goes from 0 to 1."""
        length = self.x[-1] - self.x[0]
        return [row if isinstance(row, Undefined) else float(np.trapezoid(row, self.x) / length) for row in self.y]


Numbers = Sequence[float | Undefined]  # one per image; never NaN
Result = Numbers | Curve
MeasureFunction = Callable[..., Result]
M = TypeVar("M", bound=MeasureFunction)


@dataclass(frozen=True)
class Measure(Card):
    """A measure: its card, the function that computes it, and the interpretation of its numbers."""

    run: MeasureFunction
    kind: Kind  # of given maps, or of the method, which it runs again on changed queries
    better: Better
    low: float | None  # lower end of its range; None if unbounded
    high: float | None
    unit: str  # the unit, in a word or two
    reruns: Callable[[Mapping[str, Any]], int]  # of the method, for one image with these settings
    requires: Requires  # evidence without which it is undefined: mask of the object, images drawn without some parts

    @property
    def is_curve(self) -> bool:
        """Whether it gives a curve, and not a number per image."""
        return get_type_hints(self.run)["return"] is Curve

    @property
    def scale(self) -> str:
        """The interpretation of its numbers, as one phrase."""
        low = "" if self.low is None else f" from {self.low:g}"
        high = "" if self.high is None else f" to {self.high:g}"
        return f"{self.unit}{low}{high}; {self.better} is better"


@dataclass(frozen=True)
class Measurement:
    """The results of a measure for the images of one query."""

    name: str
    result: Result
    settings: Mapping[str, Any]

    @property
    def mean(self) -> float | None:
        """The mean over the images that have a number; None if none has, and for a curve."""
        numbers = [] if isinstance(self.result, Curve) else [one for one in self.result if isinstance(one, float)]
        return sum(numbers) / len(numbers) if numbers else None


MEASURES: Registry[Measure] = Registry("measure")


def measure(
    title: str,
    *,
    family: str,
    source: str,
    formula: str,
    caution: str,
    cost: Cost,
    kind: Kind,
    better: Better,
    unit: str,
    low: float | None = None,
    high: float | None = None,
    budgets: Mapping[Budget, Mapping[str, Any]] | None = None,
    validate: Validate | None = None,
    reruns: Callable[[Mapping[str, Any]], int] = lambda settings: 0,
    requires: Requires = "",
) -> Callable[[M], M]:
    """Register a measure under its function's name; its settings are the `Knob`s of its signature.

    The function takes `Evidence` and its settings, and returns a number per image, or a `Curve`. For an image without
    a number, `Undefined` gives the reason: NaN and infinities are a defect. `cost` counts passes in addition to those
    of the maps and of `reruns`, which says how often the method is run again.
    """

    def register(run: M) -> M:
        entry = Measure.of(
            run, title, family=family, source=source, formula=formula, caution=caution, cost=cost, budgets=budgets,
            validate=validate, run=run, kind=kind, better=better, low=low, high=high, unit=unit,
            reruns=reruns, requires=requires,
        )  # fmt: skip
        MEASURES.add(entry.name, entry)
        return run

    return register


def evaluate(name: str, evidence: Evidence, settings: Mapping[str, object] | None = None) -> Measurement:
    """Compute the measure `name`, its settings checked. Raises UnknownName and BadParameter.

    A constant that a method's values are defined up to is no evidence: each map is measured from its smallest value.
    A result of another length than the images, or with a number that is not finite, is a RuntimeError.
    """
    entry = MEASURES[name]
    chosen = entry.chosen(settings or {}, evidence.query.model)
    result = entry.run(evidence.anchored, **chosen)
    per_image = result.y if isinstance(result, Curve) else result
    if len(per_image) != len(evidence.maps):
        raise RuntimeError(f"{name} gave no result for each of the {len(evidence.maps)} images")
    if not all(isinstance(one, Undefined) or bool(np.isfinite(one).all()) for one in per_image):
        raise RuntimeError(f"{name} gave a number that is not finite")
    return Measurement(name, result, chosen)


def _from_smallest(maps: Tensor) -> Tensor:
    """Maps (B, H, W) that begin at zero."""
    return maps - maps.amin((1, 2), keepdim=True)
