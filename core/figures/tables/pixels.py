"""Pixels of a table's small pictures, enlarged."""

import numpy as np
from numpy.typing import NDArray

from core.images import Pixels

CELL = 32  # pixels of the picture for each of the table


def enlarged(values: NDArray[np.float64]) -> Pixels:
    """Grey squares (H, W, 3) of the values (h, w), from black for the least to white for the largest."""
    shares = (values - values.min()) / max(float(np.ptp(values)), 1e-12)
    grey = np.kron((255 * shares).round().astype(np.uint8), np.ones((CELL, CELL), np.uint8))
    return np.repeat(grey[:, :, None], 3, axis=2)
