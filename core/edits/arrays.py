"""Pictures as arrays: channels, depth and alpha."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.images import Pixels, Values

Array = NDArray[Any]  # (H, W, C) uint8, or float32 in [0, 1]; a fourth channel is alpha


def on_colours(array: Array, function: Callable[[Array], Array]) -> Array:
    """The array with its colours changed by a function, and its alpha unchanged."""
    if array.shape[2] < 4:
        return function(array)
    return np.dstack([function(array[..., :3]), array[..., 3]])


def white(array: Array) -> np.float32:
    """The value that stands for white."""
    return np.float32(255 if array.dtype == np.uint8 else 1)


def as_type(dtype: Any, values: NDArray[Any]) -> Array:
    """Values in [0, 1], clipped, as an array of this type."""
    clipped = values.clip(0, 1)
    return np.rint(clipped * 255).astype(np.uint8) if dtype == np.uint8 else clipped.astype(np.float32)


def on_white(layers: Array) -> Pixels | Values:
    """Colours with alpha on a white ground."""
    if layers.dtype == np.uint8:
        image = Image.fromarray(np.ascontiguousarray(layers))
        return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))
    opacity = layers[..., 3:]
    return layers[..., :3] * opacity + (1 - opacity)
