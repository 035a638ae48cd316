"""Convergence of a running map: whether the second half of the work still changed its ranks."""

from typing import Any

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

THRESHOLD = 0.98  # rank correlation
SIDE = 28  # cells per side on which maps are compared


def mean_ranks(rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """The rank of each finite value in its row (R, N), from 1; equal values share the mean of their ranks.

    The same as scipy's `rankdata`, whose import takes as long as many maps.
    """
    order = rows.argsort(axis=1, kind="stable")
    ascending = np.take_along_axis(rows, order, axis=1)
    first = np.ones(rows.shape, np.bool_)  # of each run of equal values
    first[:, 1:] = ascending[:, 1:] != ascending[:, :-1]
    starts = np.flatnonzero(first)
    lengths = np.diff(starts, append=rows.size)
    shared = starts % rows.shape[1] + (lengths + 1) / 2
    ranks = np.empty(rows.shape)
    np.put_along_axis(ranks, order, shared.repeat(lengths).reshape(rows.shape), axis=1)
    return ranks


class Convergence:
    """Convergence of one running map, from the ranks of its earlier states."""

    def __init__(self) -> None:
        self._states: list[tuple[int, NDArray[np.float64]]] = []
        self._latest: list[float] = []

    def correlation(self, work: int, maps: Tensor) -> float | None:
        """The rank correlation (Spearman) of maps (B, H, W) with their state after half of the `work`.

        Successive maps always agree, since they share nearly all of the work. Returns the lowest value of all images;
        None as long as there is no map of half the work, and for a constant map.
        """
        side = min(SIDE, *maps.shape[-2:])
        coarse = F.adaptive_avg_pool2d(maps.float()[:, None], side).flatten(1).cpu().numpy()
        ranks = mean_ranks(coarse) - (coarse.shape[1] + 1) / 2
        half = next((old for done, old in reversed(self._states) if 2 * done <= work), None)
        self._states.append((work, ranks))
        if half is None:
            return None
        scale = np.sqrt((ranks**2).sum(1) * (half**2).sum(1))
        if not scale.all():
            return None
        self._latest.append(float(((ranks * half).sum(1) / scale).min()))
        return self._latest[-1]

    def enough(self, fraction: float) -> bool:
        """Whether the work can stop: a quarter of it is done, and the last two maps have converged."""
        return fraction >= 0.25 and len(self._latest) > 1 and min(self._latest[-2:]) >= THRESHOLD
