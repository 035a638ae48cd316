"""Decoding of image files: from bytes to an upright RGB image, or an error that says why not."""

import hashlib
import math
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.model_options import Channels
from core.environment import limit
from core.errors import BadImage, printable
from core.files import read_bytes
from core.images.depth import Pixels, Scale, Values, Window, eight_bits, file_values, is_deep, windowed
from core.images.formats import HEAD, READABLE, other, plugin, readable
from core.images.loading import Loaded, Refused, TooManyPixels, Unreadable, check_size, load, prepared
from core.images.process import TooCostly, load_apart
from core.images.structure import directory, ordinary
from core.images.uncompressed import uncompressed

_BLOCK = 1 << 22  # pixels converted at a time
_SMALLER = "Make it smaller and try again."
_CHANNELS = "Save the one or three channels to explain as PNG or TIFF."
_CONVERT = "Save it as PNG, JPEG or TIFF and try again."


@dataclass(frozen=True)
class Picture:
    """A decoded image, upright, in RGB."""

    name: str
    pixels: Pixels  # in 8 bits, as it is shown
    sha: str  # of the file's bytes
    note: str = ""  # how it was converted while decoding, as sentences
    values: Values | None = None  # the values that networks see, where they have more than 8 bits
    layers: Pixels | Values | None = None  # (H, W, 4) colours as stored, and alpha, where parts are transparent
    scale: Scale | None = None  # of the values in the file, where they have more than 8 bits
    window: Window | None = None  # as it was chosen; None for that of the file or its range
    page: int = 1
    pages: int = 1

    @property
    def key(self) -> str:
        """A hash of the file, and of the page and window if others than the default ones are shown."""
        if self.page == 1 and not self.window:
            return self.sha
        return hashlib.sha256(f"{self.sha} {self.page} {list(map(float, self.window or ()))}".encode()).hexdigest()

    @property
    def file(self) -> str:
        """How a command line names its file."""
        return self.name

    @property
    def source(self) -> Pixels | Values:
        """What preprocessing for a network begins with: the deep values, or the pixels where there are none."""
        return self.pixels if self.values is None else self.values

    def source_for(self, channels: Channels) -> Pixels | Values:
        """The source for a network with these channels: with alpha as the fourth one where it reads that."""
        return self.layers if channels == "alpha" and self.layers is not None else self.source


def decode(data: bytes, name: str, window: Window | None = None, page: int = 1) -> Picture:
    """Decode any bytes to a picture: one page, upright, RGB, transparency on white.

    Values of more than 8 bits are kept; `window` holds those shown as black and as white, None leaves that to the file
    or chooses by their range.
    `name` is stored unchanged and only shortened in messages. Raises BadImage, and nothing else, for bytes that are
    not an image of FORMATS, are damaged, or exceed the limits that `core/images/README.md` lists.
    """
    short = shown(name)
    if len(data) > limit("image"):
        raise _too_long(short, len(data))
    try:
        loaded = loaded_image(data, name, page=page)
        picture = _picture(loaded, name, hashlib.sha256(data).hexdigest(), window)
        return replace(picture, window=window, page=page, pages=loaded.pages)
    except BadImage:
        raise
    except Exception:  # noqa: BLE001 - on malformed bytes decoders raise errors of any kind
        raise BadImage(f"{short} is incomplete or damaged.", "Save or download it again.") from None


def picture_file(path: str | Path, window: Window | None = None, page: int = 1) -> Picture:
    """The picture in a file. Raises BadImage as `decode` does, and for a file that cannot be opened."""
    file = Path(path)
    name = os.fsencode(file.name).decode("utf-8", "replace")  # some systems allow names that are not valid text
    return decode(content(file, name, "opened"), name, window, page)


def picture_of(image: Image.Image, name: str, window: Window | None = None) -> Picture:
    """The picture in an image that Pillow holds, prepared as `decode` does; its hash is that of its pixels.

    Raises BadImage for one without pixels, with more than MAX_PIXELS, or whose file is damaged.
    """
    short = shown(name)
    if not image.width * image.height:
        raise BadImage(f"{short} has no pixels.", "Give an image of at least 1 × 1 pixels.")
    try:
        check_size(*image.size)
        picture = _picture(prepared(image.copy(), []), name, "", window)
    except BadImage:
        raise
    except TooManyPixels as error:
        raise BadImage(f"{short} has {error}.", _SMALLER) from None
    except Exception:  # noqa: BLE001 - on malformed bytes decoders raise errors of any kind
        raise BadImage(f"{short} is incomplete or damaged.", "Open it again.") from None
    source = np.ascontiguousarray(picture.source)
    sha = hashlib.sha256(f"{picture.pixels.shape}".encode() + source.tobytes()).hexdigest()
    return replace(picture, sha=sha, window=window)


def read_picture(root: Path, path: str, window: Window | None = None, page: int = 1) -> Picture:
    """The picture in the file `path` under `root`, named by `path`. Raises BadImage as `picture_file`."""
    return decode(content(root / path, path, "read"), path, window, page)


def loaded_image(data: bytes, name: str, *, plain: bool = False, page: int = 1) -> Loaded:
    """A page of a file, within limits: upright, in RGB or RGBA or deep values; as it is stored if `plain`.

    Raises BadImage for what is no image of FORMATS or exceeds the limits, any error for damaged bytes.
    """
    short = shown(name)
    if not data:
        raise BadImage(f"{short} is empty.", READABLE)
    kind = readable(data[:HEAD], name)
    if not kind:
        what, package = other(data[:HEAD], name)[0], plugin(data[:HEAD], name)
        if package:
            hint = f"Install it: pip install {package}. Or convert the image to PNG, JPEG or TIFF."
            raise BadImage(f"{short} is {what}, which needs a package that is not installed.", hint)
        if what:
            raise BadImage(f"{short} is {what}, which this app cannot read.", "Convert it to PNG, JPEG or TIFF.")
        raise BadImage(f"{short} is not an image this app can read.", READABLE)
    try:
        return (load if page == 1 and ordinary(data, kind) else load_apart)(data, kind, plain=plain, page=page)
    except Refused as error:
        what, hint = error.args
        raise BadImage(f"{short} {what}.", f"{hint}.") from None
    except TooManyPixels as error:
        raise BadImage(f"{short} has {error}.", _SMALLER) from None
    except TooCostly as error:
        message = f"{short} needs {error} to be decoded."
        raise BadImage(message, _CONVERT) from None
    except Unreadable:
        if kind == "TIFF" and page == 1 and (loaded := uncompressed(data)):
            return loaded
        bands = _bands(data) if kind == "TIFF" else 0
        if bands > 4:
            raise BadImage(f"{short} is a TIFF of {bands} channels, which this app cannot read.", _CHANNELS) from None
        raise BadImage(f"{short} is not a {kind} image this app can read.", _CONVERT) from None


def _bands(data: bytes) -> int:
    """The number of channels that a TIFF file names, 0 if it is damaged."""
    try:
        return next(iter((directory(data) or {}).get(277, (0,))), 0)
    except struct.error:
        return 0


def content(file: Path, name: str, what: str) -> bytes:
    """The bytes of an image file; `what` is not possible, such as "opened", is said in the BadImage it raises."""
    try:
        return read_bytes(file, limit("image"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadImage(f"{shown(name)} cannot be {what}: {reason}.", "Check the file.") from None


def shown(name: str, length: int = 60) -> str:
    """A file's name on one line of at most `length` characters, its middle left out where it is longer."""
    plain = printable(name).strip() or "The file"
    if len(plain) <= length:
        return plain
    tail = length // 3
    return f"{plain[: length - tail - 1]}…{plain[-tail:]}"


def _too_long(short: str, size: int) -> BadImage:
    most = limit("image") / 1e6
    return BadImage(
        f"{short}: {math.ceil(size / 1e5) / 10} MB is over the {most:.0f} MB limit.",
        f"{_SMALLER[:-1]}, or set VITRINE_IMAGE_MB.",
    )


def _picture(loaded: Loaded, name: str, sha: str, window: Window | None) -> Picture:
    """The picture with transparency on white, and its values in [0, 1] where they have more than 8 bits."""
    if window or is_deep(loaded):
        return _deep_picture(loaded, name, sha, window)
    notes, image = list(loaded.notes), loaded.image
    if image.mode != "RGBA":
        return Picture(name, _in_parts(image.size, image.crop), sha, " ".join(notes))
    layers = np.asarray(image)
    image.close()  # its memory is free before that of the pixels is taken
    transparent = layers[..., 3].min() < 255
    if transparent:
        notes.append("Its transparent parts are shown on white.")
    pixels = _in_parts(image.size, lambda box: _on_white(layers[box[1] : box[3]]))
    return Picture(name, pixels, sha, " ".join(notes), layers=layers if transparent else None)


def _in_parts(size: tuple[int, int], part: Callable[[tuple[int, int, int, int]], Image.Image]) -> Pixels:
    """The pixels of an image of this width and height, some rows at a time to save memory; `part` is a box of it."""
    width, height = size
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, _BLOCK // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        pixels[top:bottom] = np.asarray(part((0, top, width, bottom)))
    return pixels


def _on_white(layers: Pixels) -> Image.Image:
    """Pixels with alpha on a white ground."""
    image = Image.fromarray(layers)
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _deep_picture(loaded: Loaded, name: str, sha: str, window: Window | None) -> Picture:
    notes = list(loaded.notes)
    in_file, opacity = file_values(loaded)
    values, note, scale = windowed(loaded, in_file, window, shown(name))
    del in_file  # several hundred megabytes
    notes.append(note)
    layers = None
    if opacity is not None and opacity.min() < 1:
        notes.append("Its transparent parts are shown on white.")
        layers = np.dstack([values, opacity])
        values = values * opacity[..., None] + (1 - opacity[..., None])
    return Picture(name, eight_bits(values), sha, " ".join(notes), values, layers, scale)
