"""Complexity: in how few pixels the evidence of a map is concentrated."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.measure.measure import Evidence, Numbers, Undefined, measure

Sizes = NDArray[np.float64]  # (H · W,), magnitudes of a map, not all of them zero


@measure(
    "Sparseness",
    family="complexity",
    source="Chalasani et al. 2020",
    formula="Gini index Σ (2 i − n − 1) |h|₍ᵢ₎ / (n Σ |h|), the n pixels in ascending order of |h|",
    caution="A sparse map may be sparse in the wrong place; maps resized from a coarse layer are never sparse.",
    cost=lambda settings, side: 0,
    kind="map",
    better="higher",
    unit="Gini index",
    low=0,
    high=1,
)
def sparseness(evidence: Evidence) -> Numbers:
    """How unequally the magnitude of a map is distributed over its pixels.

    Zero for a map with the same magnitude everywhere, nearly one if a single pixel has all of it.
    """
    return _of_each(evidence, _gini)


@measure(
    "Entropy",
    family="complexity",
    source="Bhatt et al. 2020",
    formula="−Σ p ln p with p = |h| / Σ |h|",
    caution="It grows with the number of pixels: compare maps of one size only. A simple map may be a wrong one.",
    cost=lambda settings, side: 0,
    kind="map",
    better="lower",
    unit="nats",
    low=0,
)
def entropy(evidence: Evidence) -> Numbers:
    """Over how many pixels the magnitude of a map is spread, as the entropy of its distribution.

    Zero if a single pixel has all of it; the logarithm of the number of pixels for the same magnitude everywhere, the
    largest value there is.
    """
    return _of_each(evidence, _entropy)


def _of_each(evidence: Evidence, number: Callable[[Sizes], float]) -> Numbers:
    numbers: list[float | Undefined] = []
    for sizes in evidence.maps.detach().cpu().double().abs().flatten(1).numpy():
        if not np.isfinite(sizes).all():
            numbers.append(Undefined("The map has values that are not finite."))
        else:
            numbers.append(number(sizes) if sizes.any() else Undefined("The map is zero everywhere."))
    return numbers


def _gini(sizes: Sizes) -> float:
    count = len(sizes)
    ranks = 2 * np.arange(1, count + 1) - count - 1
    return float(ranks @ np.sort(sizes) / (count * sizes.sum()))


def _entropy(sizes: Sizes) -> float:
    shares = sizes[sizes > 0] / sizes.sum()
    return float(-(shares * np.log(shares)).sum())
