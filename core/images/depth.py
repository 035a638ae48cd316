"""Deep values: images with more than 8 bits per value, and the range that is shown as black to white."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import BadImage, BadParameter
from core.images.loading import Loaded

Pixels = NDArray[np.uint8]  # (H, W, 3)
Values = NDArray[np.float32]  # (H, W) or (H, W, 3), in [0, 1]
Window = tuple[float, float]  # the values shown as black and as white, in the units of the file


@dataclass(frozen=True)
class Scale:
    """The values of a deep image: the least and the most in its file, and those shown as black and white."""

    least: float
    most: float
    window: Window
    whole: bool  # whether they are whole numbers


_BLOCK = 1 << 20  # values scaled at a time
_DEPTHS = (8, 10, 12, 14, 16)  # bits of the sensors whose values files of 16 bits hold


def window_of(text: str) -> Window:
    """The window in a text LOW,HIGH. Raises BadParameter."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(high - low) and low < high):
        hint = "Write two numbers, LOW,HIGH, such as 0,4095: the values shown as black and as white."
        raise BadParameter(f"The window cannot be {text[:40]!r}.", hint)
    return low, high


def window_text(window: Window, depth: str = "", *, inverted: bool = False) -> str:
    """The window in words, with the depth of the file, such as "of 16 bits", if it is known."""
    low, high = map(_number, window)
    return (
        f"values {low} to {high}{depth and f' {depth}'} shown as {'white to black' if inverted else 'black to white'}"
    )


def is_deep(loaded: Loaded) -> bool:
    """Whether an image holds more than 8 bits per value."""
    return loaded.low is not None or loaded.image.mode.startswith(("I", "F"))


def file_values(loaded: Loaded) -> tuple[NDArray[np.generic], Values | None]:
    """The values of an image as its file holds them, (H, W) or (H, W, 3), and its opacity (H, W), None if opaque."""
    values = np.asarray(loaded.image)
    if loaded.others:
        return np.stack([values, *map(np.asarray, loaded.others)], 2), None
    if loaded.image.mode == "I" and not loaded.signed:
        values = values.view(np.uint32)
    if loaded.low is not None:
        values = values.astype(np.uint16)
        values <<= 8
        values |= np.asarray(loaded.low)
    if values.ndim == 2 or values.shape[2] == 3:
        return values, None
    opacity = values[..., 3] / np.float32(255 if values.dtype == np.uint8 else 65535)
    return values[..., :3], opacity.astype(np.float32)


def windowed(
    loaded: Loaded, values: NDArray[np.generic], window: Window | None, short: str
) -> tuple[Values, str, Scale]:
    """Values of a loaded image in [0, 1] by a window, the sentence that says which, and their scale.

    Without a window, that of the file counts. If it has none either, integers from zero get the full range of the
    smallest usual depth that holds them, floats between 0 and 1 that range, and all others the range from their minimum
    to their maximum. What is no finite number becomes black. Raises BadImage if nothing is.
    """
    finite = np.isfinite(values) if values.dtype.kind == "f" else np.True_
    missing = int(np.count_nonzero(~finite))
    if missing == values.size:
        raise BadImage(f"{short} contains no number: all its values are NaN or infinite.", "Check how it was written.")
    known = values[finite] if missing else values
    least, most = float(known.min()), float(known.max())
    low, high = window or loaded.window or _range(least, most, loaded.bits)
    span = high - low or 1.0
    if missing:
        values = np.where(finite, values, low)
    flat, scaled = values.reshape(-1), np.empty(values.size, np.float32)
    for start in range(0, values.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        scaled[part] = ((flat[part].astype(np.float64) - low) / span).clip(0, 1)  # float64 for offsets such as 1e9
    depth = f"of {loaded.bits} bits" if loaded.bits else ""
    text = window_text((low, high), depth, inverted=loaded.inverted)
    note = text[0].upper() + text[1:]
    if loaded.window and not window:
        note += ", as the file says"
    if missing:
        many = "1 pixel is not a number" if missing == 1 else f"{missing:,} pixels are not numbers"
        note += f"; {many} (NaN or infinite), shown black"
    if loaded.inverted:
        np.subtract(1, scaled, out=scaled)
    scale = Scale(least, most, (low, high), values.dtype.kind in "iub")
    return scaled.reshape(values.shape), f"{note}.", scale


def eight_bits(values: Pixels | Values) -> Pixels:
    """Deep values as RGB pixels of 8 bits; pixels unchanged."""
    if values.dtype == np.uint8:
        return values.astype(np.uint8, copy=False)
    flat, pixels = values.reshape(-1), np.empty(values.size, np.uint8)
    for start in range(0, values.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        pixels[part] = np.rint(flat[part] * np.float32(255))
    shaped: NDArray[np.uint8] = pixels.reshape(values.shape)
    return shaped if shaped.ndim == 3 else np.repeat(shaped[..., None], 3, 2)


def _range(low: float, high: float, bits: int) -> Window:
    """The values shown as black and white where none are given, of those from `low` to `high`."""
    if bits and low >= 0 and 64 <= high < 2**16:
        return 0.0, float(2 ** next(depth for depth in _DEPTHS if high < 2**depth) - 1)
    if not bits and low >= 0 and 0.5 < high <= 1:
        return 0.0, 1.0
    return low, high


def _number(value: float) -> str:
    """A number as text, with up to six digits if it is not whole."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}".replace("-", "−")
    return f"{value:.6g}".replace("-", "−")
