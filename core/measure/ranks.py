"""Ranks of methods by a measure."""

from collections.abc import Sequence

import numpy as np

from core.measure.measure import Better


def ranks(means: Sequence[float | None], better: Better) -> list[int | None]:
    """The rank of each mean, 1 for the best; equal means share the first rank, and None (or nan) has none."""
    sign = -1 if better == "higher" else 1
    known = [None if mean is None or np.isnan(mean) else sign * mean for mean in means]
    return [None if one is None else 1 + sum(other < one for other in known if other is not None) for one in known]
