"""Reliability of ratings: how much the raters of the same cases agree beyond chance."""

import numpy as np
from numpy.typing import NDArray


def ordinal_alpha(ratings: NDArray[np.floating]) -> float | None:
    """Krippendorff's alpha of ratings on an ordinal scale: 1 for full agreement, 0 for what chance would give.

    `ratings` (R, N) holds those of R raters for N cases, nan where there is none. Cases with fewer than two ratings do
    not count. None without such cases, or if all their ratings are equal, so that chance could not disagree either.
    Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, section D, with the ordinal difference of section E.
    """
    rated = np.isfinite(ratings)
    paired = ratings[:, rated.sum(0) >= 2]
    levels = np.unique(paired[np.isfinite(paired)])
    if len(levels) < 2:
        return None
    counts = (paired[None] == levels[:, None, None]).sum(1).astype(float)  # (L, N): raters of a case by level
    raters = counts.sum(0)
    coincidences = (counts / (raters - 1)) @ counts.T - np.diag((counts / (raters - 1)).sum(1))
    of_level = coincidences.sum(1)
    until = np.cumsum(of_level)
    # The ratings from the one level to the other, of these two by half.
    number = np.arange(len(levels))
    low, high = np.minimum.outer(number, number), np.maximum.outer(number, number)
    between = until[high] - until[low] + of_level[low] - (of_level[:, None] + of_level[None]) / 2
    squared = between**2
    np.fill_diagonal(squared, 0.0)
    expected = (np.outer(of_level, of_level) * squared).sum()
    return float(1 - (of_level.sum() - 1) * (coincidences * squared).sum() / expected)
