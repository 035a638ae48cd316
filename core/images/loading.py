"""Loading of an image with Pillow: the first frame, upright, as RGB, RGBA or deep values.

Imports nothing but Pillow: `core.images.process` runs this file in a process of its own.
"""

import io
import json
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from PIL import AvifImagePlugin, Image, JpegImagePlugin

MAX_PIXELS = 50_000_000
MAX_JPEG_PIXELS = 250_000_000  # decoded at reduced scale
MAX_SIDE = 500_000  # pixels; Pillow spends time and memory on each row
FULL_SCALE = 24_000_000  # pixels; larger JPEGs are decoded at 1/2, 1/4 or 1/8
_DEEP_COLOUR = FULL_SCALE  # pixels of larger images with 16 bits per colour are read in 8 bits

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# The raw mode that reads the other byte of each 16-bit value: Pillow's modes with colour keep only the high one.
_LOW_BYTES = {
    "RGB;16B": "RGB;16L",
    "RGB;16L": "RGB;16B",
    "RGB;16N": "RGB;16B" if sys.byteorder == "little" else "RGB;16L",
    "RGBA;16B": "RGBA;16L",
    "RGBA;16L": "RGBA;16B",
    "RGBA;16N": "RGBA;16B" if sys.byteorder == "little" else "RGBA;16L",
    "LA;16B": "RGBA",  # all four bytes
}


class TooManyPixels(Exception):
    """An image over a limit of pixels; its text describes the size and the limit."""


class Unreadable(Exception):
    """Bytes that Pillow does not recognise as an image that it can read."""


@dataclass(frozen=True)
class Loaded:
    """A loaded image: RGB, RGBA or deep values of one channel (I;16, I;16B, I, F)."""

    image: Image.Image
    notes: Sequence[str]  # the conversions so far, as sentences
    low: Image.Image | None = None  # the low bytes, where `image` holds the high bytes of 16-bit colours
    bits: int = 8  # of a value in the file; 0 for floats
    signed: bool = True  # whether values of 32 bits have a sign
    others: Sequence[Image.Image] = ()  # green and blue, where `image` holds the red of colours as floats


def load(data: bytes, kind: str, *, plain: bool = False) -> Loaded:
    """The image in a file of a Pillow format, in any mode and as it is stored if `plain`.

    Raises TooManyPixels, Unreadable, and any error for damaged bytes.
    """
    image = _opened(data, kind)
    if plain:
        image.load()
        return Loaded(image, ())
    low, reduced = _low_bytes(image, data, kind)
    notes = []
    if getattr(image, "is_animated", False):
        notes.append("Of several frames, the first is shown.")
        image.seek(0)
    if image.getexif().get(_ORIENTATION, 1) in _UPRIGHT:  # read before loading: some formats rotate themselves then
        notes.append("Turned upright as its camera noted.")
    notes += _reduced(image)
    bits, signed = _bits(image)
    image.load()
    if low is None and reduced:
        notes.append("Its values were reduced to 8 bits.")
    loaded = prepared(image, notes, bits, signed)
    return loaded if low is None else Loaded(loaded.image, notes, _upright(low, image.getexif()), 16)


def prepared(image: Image.Image, notes: Sequence[str], bits: int = 0, signed: bool = True) -> Loaded:
    """A loaded image turned upright, with colours as RGB or RGBA."""
    if image.mode == "CMYK":
        notes = [*notes, "Converted from CMYK to RGB."]
    if not bits:
        bits = 16 if image.mode.startswith("I;16") else 32 if image.mode == "I" else 0 if image.mode == "F" else 8
    image = _upright(image, image.getexif())
    if not image.mode.startswith(("I", "F")):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return Loaded(image, notes, None, bits, signed)


def _opened(data: bytes, kind: str) -> Image.Image:
    """The image with its header read and nothing decoded yet."""
    most = MAX_JPEG_PIXELS if kind == "JPEG" else MAX_PIXELS
    try:
        if kind == "JPEG":  # without Pillow's own limit of pixels
            image: Image.Image = JpegImagePlugin.jpeg_factory(io.BytesIO(data), "")
        else:
            image = Image.open(io.BytesIO(data), formats=(kind,))
    except Image.DecompressionBombError as error:
        count = re.search(r"\d+", str(error))
        raise TooManyPixels(_megapixels(int(count[0]) if count else 179_000_000, most)) from None
    except Exception as error:
        raise Unreadable from error
    check_size(*image.size, most)
    return image


def check_size(width: int, height: int, most: int = MAX_PIXELS) -> None:
    """Raise TooManyPixels for an image of more than `most` pixels, or MAX_SIDE on a side."""
    pixels = width * height
    if pixels > most:
        raise TooManyPixels(f"{width:,} × {height:,} px, {_megapixels(pixels, most)}")
    if max(width, height) > MAX_SIDE:
        raise TooManyPixels(f"{width:,} × {height:,} px; the limit of a side is {MAX_SIDE:,}")


def _megapixels(pixels: int, most: int) -> str:
    return f"{-(-pixels // 10**6):,} megapixels; the limit is {most / 1e6:.0f}"


def _reduced(image: Image.Image) -> list[str]:
    """Reduce the scale at which a large JPEG will be decoded; the sentence that says so."""
    full = image.size
    pixels = full[0] * full[1]
    if pixels <= FULL_SCALE or not isinstance(image, JpegImagePlugin.JpegImageFile):
        return []
    scale = next((scale for scale in (2, 4) if pixels / scale**2 <= FULL_SCALE), 8)
    image.draft(None, (max(1, full[0] // scale), max(1, full[1] // scale)))
    return [f"Decoded at 1/{scale} of its {full[0]:,} × {full[1]:,} px."]


def _low_bytes(image: Image.Image, data: bytes, kind: str) -> tuple[Image.Image | None, bool]:
    """The low bytes of an image with 16 bits per colour where they can be read, and whether it is such an image."""
    tiles = getattr(image, "tile", [])
    modes = {tile.args if isinstance(tile.args, str) else tile.args[0] for tile in tiles if tile.args}
    if not any(isinstance(mode, str) and ";16" in mode for mode in modes) or image.mode.startswith("I"):
        return None, False
    if image.width * image.height > _DEEP_COLOUR or not modes <= _LOW_BYTES.keys():
        return None, True
    other = _opened(data, kind)
    other.tile = [  # type: ignore[attr-defined]  # of every image that Pillow opened from a file
        tile._replace(
            args=_LOW_BYTES[tile.args] if isinstance(tile.args, str) else (_LOW_BYTES[tile.args[0]], *tile.args[1:])
        )
        for tile in tiles
    ]
    other.load()
    if modes == {"LA;16B"}:
        _, grey, _, alpha = other.split()
        other = Image.merge("RGBA", (grey, grey, grey, alpha))
    return other, True


def _bits(image: Image.Image) -> tuple[int, bool]:
    """The bits of a value in the file, 0 for floats, and whether values of 32 bits have a sign."""
    tags = getattr(image, "tag_v2", {})
    if image.mode == "I" and tags:
        return int(tags.get(258, (32,))[0]), int(tags.get(339, (1,))[0]) == 2
    return {"I": (16, True), "F": (0, True)}.get(image.mode, (16 if image.mode.startswith("I") else 8, True))


def _upright(image: Image.Image, exif: Any) -> Image.Image:
    turn = _UPRIGHT.get(exif.get(_ORIENTATION, 1))
    return image if turn is None else image.transpose(turn)


def send(pipe: IO[bytes], facts: Mapping[str, Any], *parts: bytes) -> None:
    """Write one message: facts as JSON, and parts of bytes."""
    pipe.write(json.dumps({**facts, "lengths": [len(part) for part in parts]}).encode() + b"\n")
    for part in parts:
        pipe.write(part)
    pipe.flush()


def receive(pipe: IO[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """Read one message of `send`. Raises EOFError if there is none, or only the beginning of one."""
    head = pipe.readline()
    if not head.endswith(b"\n"):
        raise EOFError
    facts = json.loads(head)
    parts = [pipe.read(length) for length in facts["lengths"]]
    if [len(part) for part in parts] != facts["lengths"]:
        raise EOFError
    return facts, parts


def received(pipe: IO[bytes]) -> Loaded:
    """The image that `main` wrote. Raises what `load` raised there."""
    facts, parts = receive(pipe)
    if error := facts.get("error"):
        kinds = {"TooManyPixels": TooManyPixels, "Unreadable": Unreadable, "MemoryError": MemoryError}
        raise kinds.get(error, ValueError)(facts["text"])
    image, *low = (Image.frombytes(facts["mode"], tuple(facts["size"]), part) for part in parts)
    if facts["palette"]:
        image.putpalette(facts["palette"])
    return Loaded(image, facts["notes"], low[0] if low else None, facts["bits"], facts["signed"])


def main(memory: int) -> None:
    """Load the images that come on stdin within a limit of memory, and write them to stdout, until stdin ends."""
    with suppress(ImportError, ValueError, OSError):  # on systems without this limit, that of time remains
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # the stacks of threads count as memory
    with suppress(EOFError):
        while True:
            facts, (data,) = receive(sys.stdin.buffer)
            answer, parts = _answer(data, facts["kind"], facts["plain"])
            send(sys.stdout.buffer, answer, *parts)


def _answer(data: bytes, kind: str, plain: bool) -> tuple[dict[str, Any], list[bytes]]:
    try:
        loaded = load(data, kind, plain=plain)
        parts = [image.tobytes() for image in (loaded.image, loaded.low) if image]
    except Exception as error:  # noqa: BLE001 - on malformed bytes decoders raise errors of any kind
        return {"error": type(error).__name__, "text": str(error)[:200]}, []
    facts = {name: getattr(loaded, name) for name in ("notes", "bits", "signed")}
    image = loaded.image
    return {**facts, "mode": image.mode, "size": image.size, "palette": image.getpalette()}, parts


if __name__ == "__main__":
    main(int(sys.argv[1]))
