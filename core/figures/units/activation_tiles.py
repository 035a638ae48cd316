"""Activation maps of many units as small square pictures."""

import numpy as np
from numpy.typing import NDArray

from core.figures.colormaps import DIVERGING, SEQUENTIAL, table
from core.images import Pixels

_GROUND = 128  # grey beside a map that is not square


def activation_tiles(maps: NDArray[np.floating], side: int, *, shared: bool = False) -> Pixels:
    """The maps (K, h, w) in colour, (K, side, side, 3), each position a block of pixels.

    Colours run from zero to the highest value of the map, or of all maps if `shared`; where a map has negative values
    (or any has, if `shared`), zero is in the middle. A map without any value but zero is as dark as zero.
    """
    count, height, width = maps.shape
    tall, wide = (max(1, round(side * length / max(height, width))) for length in (height, width))
    rows, columns = np.arange(tall) * height // tall, np.arange(wide) * width // wide
    values = np.asarray(maps, np.float32)[:, rows][:, :, columns]
    axes = None if shared else (1, 2)
    low, reach = values.min(axes, keepdims=True), np.abs(values).max(axes, keepdims=True)
    reach = np.where(reach > 0, reach, 1)
    signed = np.broadcast_to(low < 0, (count, 1, 1))
    level = np.where(signed, (values / reach + 1) / 2, values / reach)
    index = np.round(level.clip(0, 1) * 255).astype(np.intp)
    tiles = np.full((count, side, side, 3), _GROUND, np.uint8)
    top, left = (side - tall) // 2, (side - wide) // 2
    coloured = np.where(signed[..., None], table(DIVERGING[0])[index], table(SEQUENTIAL[0])[index])
    tiles[:, top : top + tall, left : left + wide] = coloured
    return tiles
