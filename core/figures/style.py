"""The style of a map: the range of its colours, its opacity and its colour map.

The grid in the browser uses the same terms; its tests compare the two.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from core.figures.colormaps import DIVERGING, SEQUENTIAL

Map = NDArray[np.float32]  # (H, W), raw
Range = Literal["own", "minmax", "row", "method", "symmetric", "positive", "negative", "fixed"]
Blend = Literal["value", "even"]
Cell = TypeVar("Cell", bound=tuple[Hashable, Hashable])  # row and column

_CLIP = 0.999  # quantile of the values at the end of the colour map


@dataclass(frozen=True)
class Style:
    """How maps are drawn."""

    range: Range = "own"  # from zero; "row" and "method" share one range among the maps of a class or of a method
    clip: bool = True  # clip at the 99.9th percentile, so that a single outlier does not determine the range
    low: float = 0.0  # ends of the range "fixed"
    high: float = 1.0
    threshold: float = 0.0  # below this fraction of the range the map is transparent
    opacity: float = 1.0
    blend: Blend = "value"  # opacity grows with the value, or is uniform
    sequential: str = SEQUENTIAL[0]
    diverging: str = DIVERGING[0]


DEFAULT = Style()
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "range": get_args(Range),
    "blend": get_args(Blend),
    "sequential": SEQUENTIAL,
    "diverging": DIVERGING,
}


class DrawnMap(NamedTuple):
    """A map with the facts that its colours depend on."""

    values: Map
    signed: bool
    offset: bool = False  # values are defined up to a constant, so zero has no meaning


@dataclass(frozen=True)
class Span:
    """The range of the colour map for one map: from `low`, which may be greater, to `high`."""

    low: float
    high: float
    signed: bool = False  # zero in the middle, diverging colour map
    only: bool = False  # values at `low` or beyond it are transparent


def styled(view: Mapping[str, Any]) -> Style:
    """The style in the browser's view settings; missing or invalid ones are the defaults."""
    settings: dict[str, Any] = {}
    for field in fields(Style):
        value: Any = view.get(field.name)
        if field.name in _CHOICES:
            fits = value in _CHOICES[field.name]
        elif isinstance(field.default, bool):
            fits = isinstance(value, bool)
        else:
            fits = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        if fits:
            settings[field.name] = min(max(value, 0), 1) if field.name in {"threshold", "opacity"} else value
    return Style(**settings)


def span(one: DrawnMap, style: Style = DEFAULT) -> Span:
    """The range of the colour map for a single map."""
    return spans({(0, 0): one}, style)[0, 0]


def spans(maps: Mapping[Cell, DrawnMap], style: Style) -> dict[Cell, Span]:
    """The range of the colour map for each map; maps are given by row and column."""
    facts = {cell: _Facts.of(one, style.clip) for cell, one in maps.items()}
    axis = {"row": 0, "method": 1}.get(style.range)
    ranges = {}
    for cell, map_facts in facts.items():
        peers = [map_facts] if axis is None else [other for at, other in facts.items() if at[axis] == cell[axis]]
        ranges[cell] = _span(map_facts, peers, style)
    return ranges


@dataclass(frozen=True)
class _Facts:
    low: float  # least value
    high: float  # greatest value
    top: float  # the end of the colour map: quantile of the values, or of their magnitudes in a signed map
    reach: float  # largest distance from zero
    signed: bool
    floor: float  # the start of the colour map of an unsigned map

    @classmethod
    def of(cls, one: DrawnMap, clip: bool) -> "_Facts":
        values, signed, offset = one
        low, high = float(values.min()), float(values.max())
        sizes = np.abs(values) if signed else values
        top = most = float(sizes.max())
        if clip:
            top = float(np.quantile(sizes, _CLIP, method="higher"))
            if top <= (0 if signed else low):
                top = most  # so sparse a map that clipping would leave nothing
        reach = max(top, 0 if signed else -low) if clip else max(-low, high)
        return cls(low, high, top, reach, signed, low if offset else min(low, 0))


def _span(facts: _Facts, peers: list[_Facts], style: Style) -> Span:
    signed = any(peer.signed for peer in peers)
    reach = max(peer.reach for peer in peers)
    match style.range:
        case "positive":
            return Span(0, max(0, min(facts.high, facts.top) if facts.signed else facts.top), only=True)
        case "negative":
            return Span(0, min(0, max(facts.low, -facts.top) if facts.signed else facts.low), only=True)
        case "fixed":
            return Span(style.low, style.high, signed and style.low < 0 < style.high)
        case "symmetric":
            return Span(-reach, reach, signed=True)
        case _ if signed:
            return Span(-reach, reach, signed=True)
        case _:
            low = facts.low if style.range == "minmax" else min(peer.floor for peer in peers)
            return Span(low, max(peer.top for peer in peers))
