"""Encoding of maps for the browser: images whose values can be read back, and alternative texts."""

import io
import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from core.figures.style import Map
from core.images import Pixels, Preprocess
from core.images.preprocess import both

_LEVELS = 65535
PHOTO = 672  # pixels, the maximum side of the photo under a map, to limit its size
_ROWS, _COLUMNS = ("upper", "middle", "lower"), ("left", "centre", "right")


def packed(header: Mapping[str, Any], payload: bytes = b"") -> bytes:
    """One message: the header's length as u32 (little endian), the header as JSON, the payload."""
    text = json.dumps(header, ensure_ascii=False, allow_nan=False).encode()
    return struct.pack("<I", len(text)) + text + payload


def quantised(values: Map) -> tuple[dict[str, Any], bytes]:
    """A map with 16 bits per value: `value = zero + step * q`, exact to half a step; 0 stays exactly 0.

    The facts are height, width, zero, step, and the exact minimum and maximum.
    """
    low, high = float(values.min()), float(values.max())
    if low < 0 < high:
        reach = max(-low, high)
        step, offset = reach / (_LEVELS // 2), _LEVELS // 2
        zero = -step * offset
    else:
        step = (high - low) / _LEVELS
        zero = low
    levels = np.round((values.astype(np.float64) - zero) / step) if step else np.zeros(values.shape)
    height, width = values.shape
    facts = {"height": height, "width": width, "zero": zero, "step": step, "min": low, "max": high}
    return facts, levels.astype("<u2").tobytes()


def described(title: str, label: str, values: Map, note: str = "") -> str:
    """A map as a sentence: where it is strongest, and the fraction of the image with such values."""
    if note:
        return f"{title} for {label}: {note}"
    size = np.abs(values)
    row, column = np.unravel_index(int(size.argmax()), size.shape)
    position = f"{_ROWS[3 * int(row) // size.shape[0]]} {_COLUMNS[3 * int(column) // size.shape[1]]}"
    fraction = float((size >= size.max() / 2).mean())
    return f"{title} for {label}: strongest at the {position}; {fraction:.0%} of the image above half of the maximum."


def fine(preprocess: Preprocess, pixels: Pixels) -> Pixels:
    """The model's view of a picture at the picture's resolution, in integer multiples of the model's input size."""
    height, width = both(preprocess.resize)
    room = min(pixels.shape[0] // height, pixels.shape[1] // width)
    return preprocess.enlarged(max(1, min(room, PHOTO // max(preprocess.size)))).view(pixels)


def photo(preprocess: Preprocess, pixels: Pixels) -> bytes:
    """The view of `fine` as a JPEG file."""
    return _jpeg(Image.fromarray(fine(preprocess, pixels)), 92)


def thumbnail(pixels: Pixels, side: int = 112) -> bytes:
    """The middle of a picture as a small square JPEG."""
    return _jpeg(ImageOps.fit(Image.fromarray(pixels), (side, side)), 82)


def reduced(pixels: Pixels, side: int = 1200) -> bytes:
    """A whole picture as a JPEG with sides of at most `side` pixels."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    return _jpeg(image, 85)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality, subsampling=0)
    return stream.getvalue()
