"""Exact upper quantiles of many units over many images, in memory that does not grow with their number."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HALF = 1 << 16  # values of half a key
_UNITS = 64  # whose values are counted at a time

Floats = NDArray[np.float32]


def exact_quantiles(parts: Callable[[], Iterable[Floats]], share: float) -> Floats:
    """The smallest value (K,) of each unit that at most `share` of all its values exceed.

    `parts` gives all values twice, as arrays (n, K, …). They are counted by the upper half of their bits and then,
    where the quantile lies, by the lower half, so the result is one of the values, without rounding.
    """
    total, upper = 0, None
    for part in parts():
        keys = _keys(part)
        total += keys.shape[1]
        upper = _counted(keys >> np.uint32(16), upper)
    if upper is None or not total:
        raise ValueError("there are no values")
    above = int(share * total)  # as many may be higher
    first, rest = _position(upper, np.full(len(upper), above))
    lower = np.zeros_like(upper)
    for part in parts():
        keys = _keys(part)
        inside = (keys >> np.uint32(16)) == first[:, None]
        lower = _counted(np.where(inside, keys & np.uint32(_HALF - 1), np.uint32(_HALF)), lower)
    last, _ = _position(lower, rest)
    keys = (first.astype(np.uint32) << np.uint32(16)) | last.astype(np.uint32)
    positive = keys >> np.uint32(31) == 1
    return np.where(positive, keys & np.uint32(0x7FFFFFFF), ~keys).astype(np.uint32).view(np.float32)


def _keys(values: NDArray[Any]) -> NDArray[np.uint32]:
    """(K, n) numbers in the order of the values (n, K, …)."""
    flat = np.moveaxis(np.asarray(values, np.float32), 1, 0).reshape(values.shape[1], -1)
    bits = (flat + np.float32(0)).view(np.uint32)  # minus zero becomes zero
    return np.where(bits >> np.uint32(31) == 1, ~bits, bits | np.uint32(0x80000000))


def _counted(keys: NDArray[np.uint32], counts: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Counts (K, 65536) of halves of keys (K, n), added to those before; a key of 65536 counts nowhere."""
    if counts is None:
        counts = np.zeros((len(keys), _HALF), np.int64)
    for start in range(0, len(keys), _UNITS):
        some = keys[start : start + _UNITS].astype(np.int64)
        numbers = some + (np.arange(len(some)) * (_HALF + 1))[:, None]
        found = np.bincount(numbers.ravel(), minlength=len(some) * (_HALF + 1))
        counts[start : start + _UNITS] += found.reshape(len(some), _HALF + 1)[:, :_HALF]
    return counts


def _position(counts: NDArray[np.int64], above: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The bin (K,) of the value that `above` values exceed, and how many of those lie in its bin."""
    higher = np.cumsum(counts[:, ::-1], 1)  # values in this bin or above it
    bins = (higher <= above[:, None]).sum(1)
    bins = np.minimum(bins, counts.shape[1] - 1)
    before = np.where(bins > 0, np.take_along_axis(higher, np.maximum(bins - 1, 0)[:, None], 1)[:, 0], 0)
    return counts.shape[1] - 1 - bins, above - before
