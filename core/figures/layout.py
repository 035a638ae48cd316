"""Layout of a graph: fitted to the shape of its frame, with nodes moved apart until none overlap."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Places = NDArray[np.float64]  # (n, 2)

_GROW, _EVERY = 1.12, 8  # where pushing alone does not help, everything grows by this factor every so many rounds


def lying(places: Places, shape: float) -> Places:
    """The places turned so that their longest extent lies across, centred, and `shape` times as wide as high (2)."""
    centred = places - places.mean(0) if len(places) else places
    if len(centred) < 3:
        return centred
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes *= np.where(axes.sum(1, keepdims=True) < 0, -1.0, 1.0)  # the sign of an axis is arbitrary
    turned = centred @ axes.T
    extent = np.maximum(np.ptp(turned, axis=0), 1e-9)
    return turned * (np.array([shape, 1.0]) * 2 / extent)


def apart(places: Places, sizes: Places, gap: float = 14.0, rounds: int = 240) -> Places:
    """The places, moved until there is `gap` between the boxes of these sizes (width, height) around them.

    Each round pushes every overlapping pair apart along the axis where they overlap less, half the way each. The same
    input gives the same places; boxes that still overlap after `rounds` stay so.
    """
    moved = places.astype(np.float64).copy()
    if len(moved) < 2:
        return moved
    reach = sizes.max(0) + gap  # no pair farther apart than this can overlap
    for number in range(1, rounds + 1):
        pairs = cKDTree(moved / reach).query_pairs(1.0, p=np.inf, output_type="ndarray")
        first, second = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))].T
        offset = moved[first] - moved[second]
        lack = (sizes[first] + sizes[second]) / 2 + gap - np.abs(offset)
        over = (lack > 1e-6).all(1)
        if not over.any():
            break
        first, second, offset, lack = first[over], second[over], offset[over], lack[over]
        across = lack[:, 0] <= lack[:, 1]
        push = np.where(np.stack([across, ~across], 1), lack, 0) / 2
        push = np.where(offset == 0, -push, push * np.sign(offset))  # of two on one spot the earlier goes left or up
        np.add.at(moved, first, push)
        np.add.at(moved, second, -push)
        if number % _EVERY == 0:
            moved *= _GROW
    return moved
