"""Files of average visualisations: each picture as it is and with its contrast stretched, and all as numbers."""

from collections.abc import Sequence
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from core.export.files import npz
from core.figures.sheet import png
from core.images import Pixels
from core.mining.averages import stretched
from core.units.relevance import Average, ClassUnit

NPZ = "averages.npz"


def average_key(of: ClassUnit) -> str:
    """The name of an average in files: the index of its class, its layer and its unit."""
    return f"{of.label}-{quote(of.layer, safe='')}-F{of.unit}"


def average_picture(picture: NDArray[np.float64], *, contrast: bool = False) -> Pixels:
    """A mean patch (h, w, 3) as pixels; with `contrast` from its darkest to its brightest value."""
    values = stretched(picture) if contrast else picture
    pixels: Pixels = (255 * values).round().astype(np.uint8)
    return pixels


def average_files(found: Sequence[Average]) -> dict[str, bytes]:
    """The files by name: two PNG of each, and one NPZ."""
    files = {}
    for one in found:
        for contrast in (False, True):
            name = f"{average_key(one.of)}{'-contrast' * contrast}.png"
            files[name] = png(average_picture(one.picture, contrast=contrast))
    return {**files, NPZ: npz({average_key(one.of): one.picture for one in found})}
