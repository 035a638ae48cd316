"""Colour maps, shared by overlays, sheets and the grids in the browser."""

import re
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from core.registry import unknown

# Safe for red-green colour blindness; the first of each kind is the default.
SEQUENTIAL = ("inferno", "viridis", "cividis", "gray")
DIVERGING = ("RdBu_r", "PuOr")


@lru_cache
def table(name: str) -> NDArray[np.uint8]:
    """The colours of a colour map from low to high, (256, 3), read-only.

    Sampled evenly from plotly's scale of the same name. Raises UnknownName.
    """
    if name not in SEQUENTIAL + DIVERGING:
        raise unknown("colour map", name, SEQUENTIAL + DIVERGING)
    from plotly.colors import sample_colorscale

    samples = sample_colorscale(name, [step / 255 for step in range(256)])
    rgb = [[float(number) for number in re.findall(r"[\d.]+", sample)] for sample in samples]
    colours = np.round(rgb).astype(np.uint8)
    colours.setflags(write=False)
    return colours
