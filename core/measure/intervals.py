"""Intervals of means over images, by the bootstrap, and of shares of images."""

from dataclasses import dataclass
from functools import lru_cache
from math import isnan
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from core.measure.measure import Curve, Numbers, Undefined

LEVEL = 0.95
DRAWS = 2000


@dataclass(frozen=True)
class Interval:
    """The mean of a measure over images, and the interval in which means of other samples of images would lie."""

    n: int  # images with a number
    mean: float
    low: float | None  # None for one image, which says nothing about others
    high: float | None

    def bounds(self, form: str = ".1%") -> str:
        """Its bounds as `bracketed`."""
        return bracketed(self.low, self.high, form)


def bracketed(low: float | None, high: float | None, form: str = ".1%") -> str:
    """The bounds of an interval in brackets, to stand behind a number; "" if there is none."""
    return "" if low is None or high is None or isnan(low) else f" ({low:{form}} to {high:{form}})"


def interval(numbers: Numbers, *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0) -> Interval | None:
    """The mean over the images that have a number and its percentile interval (Efron 1979); None if none has.

    Images are drawn with replacement, `draws` times; draw i depends on the seed and i alone. The interval of a
    difference of two methods is that of their differences image by image.
    """
    finite = np.array([one for one in numbers if isinstance(one, float)])
    return _intervals(finite[:, None], level, draws, seed)[0] if len(finite) else None


def intervals(curve: Curve, *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0) -> list[Interval]:
    """The same for each step of a curve (S): every draw takes whole curves; an empty list if no image has one."""
    rows = [row for row in curve.y if not isinstance(row, Undefined)]
    return _intervals(np.stack(rows), level, draws, seed) if rows else []


def proportion(count: int, n: int, *, level: float = LEVEL) -> Interval | None:
    """The share of images that have a property, with Wilson's score interval (1927); None of no images.

    Unlike the bootstrap's, it has a width where all images agree: five of five say little about the next one.
    """
    if not n:
        return None
    z, share = NormalDist().inv_cdf((1 + level) / 2), count / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    return Interval(n, share, max(0.0, centre - half), min(1.0, centre + half))


def _intervals(values: NDArray[np.float64], level: float, draws: int, seed: int) -> list[Interval]:
    """The interval of each column of values (n, S)."""
    n, means = len(values), values.mean(0).tolist()
    if n < 2:
        return [Interval(n, mean, None, None) for mean in means]
    drawn = samples(n, draws, seed) @ values / n
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0).tolist()
    return [Interval(n, *bounds) for bounds in zip(means, low, high, strict=True)]


@lru_cache(maxsize=8)
def samples(n: int, draws: int, seed: int) -> NDArray[np.uint16]:
    """How often each of n images is in each sample (draws, n): the same for all methods and measures."""
    samples = np.empty((draws, n), np.uint16)
    for draw in range(draws):
        samples[draw] = np.bincount(np.random.default_rng([seed, draw]).integers(n, size=n), minlength=n)
    return samples
