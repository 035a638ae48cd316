"""Weighted ridge regression of many targets on the same rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLOCK = 2**20  # values of the rows that are held as 64-bit numbers at once


@dataclass(frozen=True, eq=False)
class Fit:
    """A linear model and how well it fits the rows it is of."""

    weights: NDArray[np.float64]  # (p,)
    intercept: float
    score: float | None  # weighted R²; None for a target that is the same in all rows


class Ridge:
    """The minimiser of Σ πᵢ (yᵢ − w·xᵢ − b)² + α‖w‖²; b has no penalty.

    The equations are factored once, in whichever of rows and columns are fewer. The rows (n, p) may be of any type of
    number; they are converted in blocks, so that no array of 64-bit numbers is larger than a block or min(n, p)².
    """

    def __init__(self, rows: NDArray[np.generic], sample_weights: NDArray[np.float64], alpha: float) -> None:
        from scipy.linalg import cho_factor

        self._rows, self._alpha = rows, alpha
        self._sample_weights, self._roots = sample_weights, np.sqrt(sample_weights)
        count, columns = rows.shape
        step = max(1, _BLOCK // count)
        self._blocks = [slice(start, start + step) for start in range(0, columns, step)]
        self._means = np.empty(columns)
        for block in self._blocks:
            self._means[block] = np.average(rows[:, block].astype(np.float64), axis=0, weights=sample_weights)
        self._dual = columns > count
        if self._dual:
            equations = np.zeros((count, count))
            for block in self._blocks:
                part = self._weighted(block)
                equations += part @ part.T
        else:
            whole = self._weighted(slice(None))
            equations = whole.T @ whole
        equations[np.diag_indices_from(equations)] += alpha
        self._factor = cho_factor(equations, overwrite_a=True)

    def fit(self, target: NDArray[np.float64]) -> Fit:
        """The linear model of one target (n,)."""
        from scipy.linalg import cho_solve

        shifted = target - target[0]  # so that a constant one is exactly zero
        if not shifted.any():
            return Fit(np.zeros(self._rows.shape[1]), float(target[0]), None)
        mean = np.average(shifted, weights=self._sample_weights)
        centred = self._roots * (shifted - mean)
        inner = cho_solve(self._factor, centred) if self._dual else centred
        weights = np.concatenate([self._weighted(block).T @ inner for block in self._blocks])
        if self._dual:
            left = float((self._alpha * inner) @ (self._alpha * inner))
        else:
            moments, weights = weights, cho_solve(self._factor, weights)
            left = float(centred @ centred - weights @ moments - self._alpha * weights @ weights)
        intercept = float(target[0] + mean - self._means @ weights)
        return Fit(weights, intercept, 1 - left / float(centred @ centred))

    def _weighted(self, columns: slice) -> NDArray[np.float64]:
        """Some of the columns, centred, with each row multiplied by the root of its weight."""
        return (self._rows[:, columns].astype(np.float64) - self._means[columns]) * self._roots[:, None]
