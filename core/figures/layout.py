"""Layout of a graph: fitted to the shape of its frame, with nodes moved apart until none overlap."""

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.float64]  # (n, 2)

_GROW, _EVERY = 1.12, 8  # if pushing alone does not help, all positions are scaled by _GROW every _EVERY rounds


def lying(positions: Positions, shape: float) -> Positions:
    """The positions, centred, with the longest extent rotated to horizontal, `shape` times as wide as high (2)."""
    centred = positions - positions.mean(0) if len(positions) else positions
    if len(centred) < 3:
        return centred
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes *= np.where(axes.sum(1, keepdims=True) < 0, -1.0, 1.0)  # the sign of an axis is arbitrary
    turned = centred @ axes.T
    extent = np.maximum(np.ptp(turned, axis=0), 1e-9)
    return turned * (np.array([shape, 1.0]) * 2 / extent)


def apart(positions: Positions, sizes: Positions, gap: float = 14.0, rounds: int = 240) -> Positions:
    """The positions, moved until there is `gap` between the boxes of these sizes (width, height) around them.

    Each round pushes every overlapping pair apart along the axis of smaller overlap, half the way each. The same
    input gives the same positions; boxes may still overlap after `rounds`.
    """
    from scipy.spatial import cKDTree  # here, as importing it takes long

    moved = positions.astype(np.float64).copy()
    if len(moved) < 2:
        return moved
    reach = sizes.max(0) + gap  # pairs farther apart than this cannot overlap
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
        push = np.where(offset == 0, -push, push * np.sign(offset))  # at the same position, the first moves left or up
        np.add.at(moved, first, push)
        np.add.at(moved, second, -push)
        if number % _EVERY == 0:
            moved *= _GROW
    return moved
