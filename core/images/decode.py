"""Decoding of image files: from bytes to an upright RGB image, or an error that says why not."""

import hashlib
import io
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from core.errors import BadImage, printable

Pixels = NDArray[np.uint8]  # (H, W, 3)

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
MAX_BYTES = 10_000_000
MAX_PIXELS = 50_000_000

_READABLE = "Use PNG, JPEG, WebP, GIF, BMP or TIFF."
_SMALLER = "Make it smaller and try again."


@dataclass(frozen=True)
class Picture:
    """A decoded image, upright, in RGB."""

    name: str
    pixels: Pixels
    sha: str  # of the file's bytes
    note: str = ""  # how it was converted while decoding, as sentences


def decode(data: bytes, name: str) -> Picture:
    """Decode any bytes to a picture: upright, RGB, the first frame, transparency on white.

    `name` is stored unchanged and only shortened in messages. Raises BadImage, and nothing else, for bytes that are
    not an image of FORMATS, are damaged, or exceed MAX_BYTES or MAX_PIXELS.
    """
    short = shown(name)
    if not data:
        raise BadImage(f"{short} is empty.", _READABLE)
    if len(data) > MAX_BYTES:
        raise BadImage(
            f"{short}: {math.ceil(len(data) / 1e5) / 10} MB is over the {MAX_BYTES / 1e6:.0f} MB limit.", _SMALLER
        )
    image = _opened(data, short)
    try:
        pixels, notes = _upright(image, data)
    except Exception:  # noqa: BLE001 - on malformed bytes decoders raise errors of any kind
        raise BadImage(f"{short} is incomplete or damaged.", "Save or download it again.") from None
    return Picture(name, pixels, hashlib.sha256(data).hexdigest(), " ".join(notes))


def picture_file(path: str | Path) -> Picture:
    """The picture in a file. Raises BadImage as `decode` does, and for a file that cannot be opened."""
    file = Path(path)
    name = os.fsencode(file.name).decode("utf-8", "replace")  # some systems allow names that are not valid text
    try:
        data = _content(file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadImage(f"{shown(file.name)} cannot be opened: {reason}.", "Check its path.") from None
    return decode(data, name)


def picture_of(image: Image.Image, name: str) -> Picture:
    """The picture in an image that Pillow holds, prepared as `decode` does; its hash is that of its pixels.

    Raises BadImage for one without pixels, with more than MAX_PIXELS, or whose file is damaged.
    """
    short = shown(name)
    if not image.width * image.height:
        raise BadImage(f"{short} has no pixels.", "Give an image of at least 1 × 1 pixels.")
    _check_size(image, short)
    try:
        pixels, notes = _upright(image.copy(), b"")
    except Exception:  # noqa: BLE001 - on malformed bytes decoders raise errors of any kind
        raise BadImage(f"{short} is incomplete or damaged.", "Open it again.") from None
    content = hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes())
    return Picture(name, pixels, content.hexdigest(), " ".join(notes))


def read_picture(root: Path, path: str) -> Picture:
    """The picture in the file `path` under `root`, named by `path`. Raises BadImage as `picture_file`."""
    try:
        return decode(_content(root / path), path)
    except OSError as error:
        raise BadImage(f"{path} cannot be read ({error.strerror}).", "Check the file.") from None


def shown(name: str, length: int = 60) -> str:
    """A file's name on one line of at most `length` characters, its middle left out where it is longer."""
    plain = printable(name).strip() or "The file"
    if len(plain) <= length:
        return plain
    tail = length // 3
    return f"{plain[: length - tail - 1]}…{plain[-tail:]}"


def _content(file: Path) -> bytes:
    """The bytes of a file, of a large one as many as are needed to say how far it is over the limit."""
    with file.open("rb") as opened:
        return opened.read(10 * MAX_BYTES)


def _opened(data: bytes, short: str) -> Image.Image:
    """The image with its header read and nothing decoded yet."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        count = re.search(r"\d+", str(error))
        raise _too_large(short, f"{math.ceil(int(count[0]) / 1e6):,}" if count else "too many") from None
    except Exception:  # noqa: BLE001 - on malformed bytes decoders raise errors of any kind
        raise BadImage(f"{short} is not an image this app can read.", _READABLE) from None
    _check_size(image, short)
    return image


def _check_size(image: Image.Image, short: str) -> None:
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise _too_large(short, f"{image.width:,} × {image.height:,} px, {math.ceil(pixels / 1e6):,}")


def _too_large(short: str, megapixels: str) -> BadImage:
    return BadImage(f"{short} has {megapixels} megapixels; the limit is {MAX_PIXELS / 1e6:.0f}.", _SMALLER)


def _upright(image: Image.Image, data: bytes) -> tuple[Pixels, list[str]]:
    """The first frame as RGB pixels, and the conversions that were necessary."""
    notes = []
    if getattr(image, "is_animated", False):
        notes.append("Of several frames, the first is shown.")
        image.seek(0)
    if image.getexif().get(0x0112, 1) in range(2, 9):  # read before loading: some formats rotate themselves then
        notes.append("Turned upright as its camera noted.")
    deep = image.mode.startswith(("I", "F")) or (image.format == "PNG" and data[24] == 16)
    image.load()
    turned = ImageOps.exif_transpose(image)
    if deep:
        notes.append("Its values were reduced to 8 bits.")
    if image.mode == "CMYK":
        notes.append("Converted from CMYK to RGB.")
    if turned.mode.startswith(("I", "F")):
        turned = _eight_bits(turned)
    if turned.has_transparency_data:
        layer = turned.convert("RGBA")
        if np.asarray(layer)[..., 3].min() < 255:
            notes.append("Its transparent parts are shown on white.")
        turned = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.asarray(turned.convert("RGB")), notes


def _eight_bits(image: Image.Image) -> Image.Image:
    """An image of 16-bit, 32-bit or float grey values in 8 bits: 16 bits by the high byte, else by min-max scaling."""
    values = np.asarray(image).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I;16") or (image.mode == "I" and low >= 0 and 255 < high < 65536):
        low, high = 0.0, 65535.0
    if not np.isfinite(high - low):
        raise ValueError("values that are not finite")
    return Image.fromarray(np.rint((values - low) / max(high - low, 1e-12) * 255).astype(np.uint8))
