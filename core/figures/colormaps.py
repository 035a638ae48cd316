"""Colour maps, shared by overlays, sheets and the grids in the browser."""

import re
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from core.registry import unknown

# Read alike by eyes that tell red from green and eyes that do not; the first of each kind is the default.
SEQUENTIAL = ("inferno", "viridis", "cividis", "gray")
DIVERGING = ("RdBu_r", "PuOr")


@lru_cache
def table(name: str) -> NDArray[np.uint8]:
    """The colours of a map from low to high, (256, 3), not to be written to.

    Sampled evenly from plotly's scale of the same name. Raises UnknownName.
    """
    if name not in SEQUENTIAL + DIVERGING:
        raise unknown("colour map", name, SEQUENTIAL + DIVERGING)
    from plotly.colors import sample_colorscale

    samples = sample_colorscale(name, [step / 255 for step in range(256)])
    colours = [[float(number) for number in re.findall(r"[\d.]+", sample)] for sample in samples]
    found = np.round(colours).astype(np.uint8)
    found.setflags(write=False)
    return found
