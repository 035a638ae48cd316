"""The style of a map: the range of its colours, its opacity and its colour map.

The grid in the browser means the same by these words; its tests compare the two.
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
Place = TypeVar("Place", bound=tuple[Hashable, Hashable])  # row and column

_CLIP = 0.999  # share of the values that the colours reach


@dataclass(frozen=True)
class Style:
    """How maps look, whatever they show."""

    range: Range = "own"  # from zero; "row" and "method" share one range among the maps of a class or of a method
    clip: bool = True  # leave the largest value in a thousand out: one bright pixel must not hide all others
    low: float = 0.0  # ends of the range "fixed"
    high: float = 1.0
    threshold: float = 0.0  # below this share of the range the photo is bare
    opacity: float = 1.0
    blend: Blend = "value"  # stronger values hide more of the photo, or all of them the same
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
    """A map with what its colours must know."""

    values: Map
    signed: bool
    offset: bool = False  # values are defined up to a constant, so zero has no meaning


@dataclass(frozen=True)
class Span:
    """What the colours of one map span: from `low`, which may be the greater number, to `high`."""

    low: float
    high: float
    signed: bool = False  # zero in the middle, diverging colours
    only: bool = False  # values at `low` or beyond it leave the photo bare


def styled(view: Mapping[str, Any]) -> Style:
    """The style that a look asks for as the browser tells it; what it does not say, or says wrongly, is the default."""
    found: dict[str, Any] = {}
    for field in fields(Style):
        value: Any = view.get(field.name)
        if field.name in _CHOICES:
            fits = value in _CHOICES[field.name]
        elif isinstance(field.default, bool):
            fits = isinstance(value, bool)
        else:
            fits = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        if fits:
            found[field.name] = min(max(value, 0), 1) if field.name in {"threshold", "opacity"} else value
    return Style(**found)


def span(one: DrawnMap, style: Style = DEFAULT) -> Span:
    """What the colours of a single map span."""
    return spans({(0, 0): one}, style)[0, 0]


def spans(maps: Mapping[Place, DrawnMap], style: Style) -> dict[Place, Span]:
    """What the colours of each map span; maps stand at their row and column."""
    facts = {place: _Facts.of(one, style.clip) for place, one in maps.items()}
    axis = {"row": 0, "method": 1}.get(style.range)
    found = {}
    for place, own in facts.items():
        peers = [own] if axis is None else [other for at, other in facts.items() if at[axis] == place[axis]]
        found[place] = _span(own, peers, style)
    return found


@dataclass(frozen=True)
class _Facts:
    low: float  # least value
    high: float  # greatest value
    top: float  # of the values, or of their sizes where the map is signed: where the colours end
    reach: float  # how far they go from zero
    signed: bool
    floor: float  # where the colours of an unsigned map begin

    @classmethod
    def of(cls, one: DrawnMap, clip: bool) -> "_Facts":
        values, signed, offset = one
        low, high = float(values.min()), float(values.max())
        sizes = np.abs(values) if signed else values
        top = most = float(sizes.max())
        if clip:
            top = float(np.quantile(sizes, _CLIP, method="higher"))
            if top <= (0 if signed else low):
                top = most  # so sparse a map that its thousandth is all there is to see
        reach = max(top, 0 if signed else -low) if clip else max(-low, high)
        return cls(low, high, top, reach, signed, low if offset else min(low, 0))


def _span(own: _Facts, peers: list[_Facts], style: Style) -> Span:
    signed = any(peer.signed for peer in peers)
    reach = max(peer.reach for peer in peers)
    match style.range:
        case "positive":
            return Span(0, max(0, min(own.high, own.top) if own.signed else own.top), only=True)
        case "negative":
            return Span(0, min(0, max(own.low, -own.top) if own.signed else own.low), only=True)
        case "fixed":
            return Span(style.low, style.high, signed and style.low < 0 < style.high)
        case "symmetric":
            return Span(-reach, reach, signed=True)
        case _ if signed:
            return Span(-reach, reach, signed=True)
        case _:
            low = own.low if style.range == "minmax" else min(peer.floor for peer in peers)
            return Span(low, max(peer.top for peer in peers))
