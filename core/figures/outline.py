"""The outline of a mask on a photo."""

import numpy as np
from numpy.typing import NDArray

from core.images import Pixels

_LIGHT, _DARK = (255, 255, 255), (0, 0, 0)


def outlined(view: Pixels, mask: NDArray[np.bool_]) -> Pixels:
    """A photo (H, W, 3) with the border of a mask (H, W): white on its inside, black around it, seen on any colour."""
    from scipy.ndimage import binary_dilation, binary_erosion  # here, as importing it takes long

    picture = view.copy()
    picture[binary_dilation(mask, iterations=1) & ~mask] = _DARK
    picture[mask & ~binary_erosion(mask, iterations=1, border_value=1)] = _LIGHT
    return picture
