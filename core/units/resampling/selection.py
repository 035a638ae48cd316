"""Selection of the most important filters of a layer."""

import numpy as np
from numpy.typing import NDArray


def select(
    scores: NDArray[np.float64],
    means: NDArray[np.float64],
    *,
    top: int = 5,
    threshold: float = 0.0,
    relative: float = 0.0,
    seed: int = 0,
) -> NDArray[np.int64]:
    """The indices of the `top` filters of highest score (K,), the best first; equal scores in an order of the seed.

    Filters whose mean activation (K,) is below `threshold`, or below the share `relative` of the layer's largest, are
    not selected; fewer than `top` may remain.
    """
    least = max(threshold, relative * float(means.max(initial=0))) if relative else threshold
    order = np.random.default_rng(seed).permutation(len(scores))
    ranked = order[np.argsort(-scores[order], kind="stable")]
    return ranked[means[ranked] >= least][:top].astype(np.int64)
