"""The mu-lasso: least squares whose weights are bounded in l1 norm, one problem for each class."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.errors import BadParameter
from core.explain.filter_relevance import NONZERO
from core.progress import Report, chunks, silent

Floats = NDArray[np.float64]

_TOLERANCE = 1e-4  # of the duality gap, as a share of the squared labels
_KNOTS = 32  # of a path at first; doubled until the norm is reached
_PRECOMPUTED = 4000  # features up to which their products are computed once
_STEPS = 5000  # of the projected gradient method


@dataclass(frozen=True)
class Solution:
    """The weights of one class for one bound of their l1 norm."""

    bound: float
    weights: Floats  # (M,)
    error: float  # ‖Xᵀw − l‖²
    gap: float  # error minus the least possible one is at most this

    @property
    def features(self) -> int:
        """The number of weights that are not zero."""
        return int((np.abs(self.weights) > NONZERO).sum())


def mu_lasso(
    features: Floats, labels: Floats, bounds: Sequence[float], *, positive: bool = False, report: Report = silent
) -> list[list[Solution]]:
    """Minimise ‖Xᵀw − l‖² over ‖w‖₁ ≤ μ for every class and bound μ (equation 1 of Oramas et al. 2019).

    X are features (M, N) of N images, `labels` (C, N) one row l per class; the result has a list per class with a
    solution per bound. The path of least angle regression is piecewise linear in w, and so is the norm along it: it is
    cut where the norm reaches μ, which is exact. Where rounding leads the path astray, as with nearly equal features,
    accelerated projected gradients go on from there. With `positive`, no weight is negative. Raises BadParameter for
    bounds that are not positive, and for values that are not finite.
    """
    if not len(bounds) or min(bounds) <= 0 or not np.isfinite(bounds).all():
        message = f"mu cannot be {', '.join(f'{one:g}' for one in bounds) or 'empty'}."
        raise BadParameter(message, "Give one or more positive numbers.")
    if not (np.isfinite(features).all() and np.isfinite(labels).all()):
        raise BadParameter("Some features or labels are not finite.", "Leave out the images concerned.")
    gram = features @ features.T if len(features) <= _PRECOMPUTED else None
    found = []
    for span in chunks(len(labels), 1, report, "classes", counted=True):
        problem = _Problem(features, labels[span.start], gram, positive)
        starts = _on_path(problem, bounds)
        found.append([problem.solution(bound, start) for bound, start in zip(bounds, starts, strict=True)])
    return found


@dataclass(frozen=True)
class _Problem:
    """The problem of one class."""

    features: Floats  # (M, N)
    label: Floats  # (N,)
    gram: Floats | None  # (M, M); None where it takes too much memory
    positive: bool

    def half_slope(self, weights: Floats) -> Floats:
        """Half the gradient (M,) of the error."""
        slope: Floats = self.features @ (self.features.T @ weights - self.label)
        return slope

    @cached_property
    def largest(self) -> float:
        """The largest curvature of half the error."""
        small = self.features if len(self.features) <= len(self.label) else self.features.T
        return float(np.linalg.eigvalsh(small @ small.T)[-1])

    def gap(self, weights: Floats, bound: float) -> float:
        """The duality gap of Frank and Wolfe: how much a linear model of the error could fall inside the bound."""
        slope = self.half_slope(weights)
        least = slope if self.positive else -np.abs(slope)
        return max(0.0, 2 * float(weights @ slope - bound * min(0.0, least.min(initial=0))))

    def solution(self, bound: float, start: Floats) -> Solution:
        """The solution, from a point of the path; improved where the gap says that this is not one."""
        weights = _projected(np.where(np.isfinite(start), start, 0.0), bound, positive=self.positive)
        ahead, pace, least = weights, 1.0, _TOLERANCE * float(self.label @ self.label)
        gap = self.gap(weights, bound)
        for _ in range(_STEPS):
            if gap <= least:
                break
            before = weights
            weights = _projected(ahead - self.half_slope(ahead) / self.largest, bound, positive=self.positive)
            faster = (1 + np.sqrt(1 + 4 * pace**2)) / 2
            ahead, pace = weights + (pace - 1) / faster * (weights - before), faster
            gap = self.gap(weights, bound)
        rest = self.features.T @ weights - self.label
        return Solution(bound, weights, float(rest @ rest), gap)


def _on_path(problem: _Problem, bounds: Sequence[float]) -> list[Floats]:
    """The points (M,) of the lasso path where the l1 norm reaches each bound, or its end if it never does."""
    from sklearn.linear_model import lars_path  # here, as importing it takes long

    features, label = problem.features.T, problem.label
    gram: Floats | bool = False if problem.gram is None else problem.gram
    knots, most = _KNOTS, 8 * max(1, min(features.shape))
    while True:
        with np.errstate(all="ignore"):  # degenerate steps are caught by the duality gap
            path = lars_path(features, label, Gram=gram, method="lasso", max_iter=knots, positive=problem.positive)[2]
        norms = np.abs(path).sum(0)
        if norms[-1] >= max(bounds) or path.shape[1] <= knots or knots >= most:
            break
        knots *= 2
    return [_cut(path, norms, bound) for bound in bounds]


def _cut(path: Floats, norms: Floats, bound: float) -> Floats:
    """The point (M,) at which the norm along the path (M, K) first reaches the bound."""
    beyond = np.flatnonzero(norms > bound)
    if not len(beyond):
        return path[:, -1]
    after = int(beyond[0])
    if not after:
        return path[:, 0]
    share = (bound - norms[after - 1]) / (norms[after] - norms[after - 1])
    point: Floats = path[:, after - 1] + share * (path[:, after] - path[:, after - 1])
    return point


def _projected(weights: Floats, bound: float, *, positive: bool) -> Floats:
    """The nearest point (M,) of the l1 ball, or of its part without negative weights (Duchi et al. 2008)."""
    sizes = np.maximum(weights, 0) if positive else np.abs(weights)
    if sizes.sum() > bound:
        ordered = np.sort(sizes)[::-1]
        excess = (np.cumsum(ordered) - bound) / np.arange(1, len(sizes) + 1)
        sizes = np.maximum(sizes - excess[ordered > excess][-1], 0)
    point: Floats = sizes if positive else np.sign(weights) * sizes
    return point
