"""Convergence of a running map: whether the second half of the work still changed its ranks."""

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

THRESHOLD = 0.98  # rank correlation
SIDE = 28  # cells per side on which maps are compared


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
        from scipy.stats import rankdata  # here, as importing it takes long

        side = min(SIDE, *maps.shape[-2:])
        coarse = F.adaptive_avg_pool2d(maps.float()[:, None], side).flatten(1).cpu().numpy()
        ranks = rankdata(coarse, axis=1) - (coarse.shape[1] + 1) / 2
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
