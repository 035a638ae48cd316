"""Colour maps, shared by overlays, sheets and the grids in the browser."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from core.registry import unknown

# Colours at even steps from low to high, those of plotly's scales of the same names, whose import takes long.
# Safe for red-green colour blindness; the first of each kind is the default.
_SEQUENTIAL = {
    "inferno": "000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9b06 f7d13d fcffa4",
    "viridis": "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725",
    "cividis": "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fee838",
    "gray": "000000 101010 262626 3b3b3b 515050 666565 7c7b7a 929291 ababaa c5c5c3 e0e0df fefefd",
}
_DIVERGING = {
    "RdBu_r": "053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f",
    "PuOr": "7f3b08 b35806 e08214 fdb863 fee0b6 f7f7f7 d8daeb b2abd2 8073ac 542788 2d004b",
}
SEQUENTIAL = tuple(_SEQUENTIAL)
DIVERGING = tuple(_DIVERGING)


@lru_cache
def table(name: str) -> NDArray[np.uint8]:
    """The colours of a colour map from low to high, (256, 3), read-only.

    Raises UnknownName.
    """
    if name not in SEQUENTIAL + DIVERGING:
        raise unknown("colour map", name, SEQUENTIAL + DIVERGING)
    steps = np.array([list(bytes.fromhex(step)) for step in (_SEQUENTIAL | _DIVERGING)[name].split()])
    at = np.linspace(0, len(steps) - 1, 256)
    channels = [np.interp(at, np.arange(len(steps)), channel) for channel in steps.T]
    colours = np.round(np.stack(channels, 1)).astype(np.uint8)
    colours.setflags(write=False)
    return colours
