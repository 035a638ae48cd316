"""Loading of an image with Pillow or pydicom: one page, upright, as RGB, RGBA or deep values.

Imports nothing but these and what lies beside it: `core.images.process` runs this file in a process of its own.
"""

import io
import json
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module, util
from pathlib import Path
from typing import IO, Any

from PIL import AvifImagePlugin, Image, JpegImagePlugin

MAX_PIXELS = 50_000_000
MAX_JPEG_PIXELS = 250_000_000  # decoded at reduced scale
MAX_DICOM_PIXELS = 30_000_000  # several copies of a frame are in memory while it is rescaled
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


_FACTS = ("notes", "bits", "signed", "inverted", "pages")  # of `Loaded`, sent between processes


class TooManyPixels(Exception):
    """An image over a limit of pixels; its text describes the size and the limit."""


class Unreadable(Exception):
    """Bytes that Pillow does not recognise as an image that it can read."""


class Refused(Exception):
    """An image that is not shown: what is the matter with it, to follow its name, and what to do."""


@dataclass(frozen=True)
class Loaded:
    """A loaded image: RGB, RGBA or deep values of one channel (I;16, I;16B, I, F)."""

    image: Image.Image
    notes: Sequence[str]  # the conversions so far, as sentences
    low: Image.Image | None = None  # the low bytes, where `image` holds the high bytes of 16-bit colours
    bits: int = 8  # of a value in the file; 0 for floats
    signed: bool = True  # whether values of 32 bits have a sign
    others: Sequence[Image.Image] = ()  # green and blue, where `image` holds the red of colours as floats
    window: tuple[float, float] | None = None  # the values that the file shows as black and white
    inverted: bool = False  # whether low values are white
    pages: int = 1


def load(data: bytes, kind: str, *, plain: bool = False, page: int = 1) -> Loaded:
    """A page of a file of a Pillow format or DICOM, in any mode and as it is stored if `plain`.

    Raises TooManyPixels, Unreadable, Refused, and any error for damaged bytes.
    """
    if kind == "DICOM":
        return _dicom(data, page)
    image = _opened(data, kind)
    if plain:
        image.load()
        return Loaded(image, ())
    pages = getattr(image, "n_frames", 1)
    notes = _turned_to(page, pages)
    if pages > 1:
        image.seek(page - 1)
        check_size(*image.size, _most(kind))
    low, reduced = _low_bytes(image, data, kind, page)
    if image.getexif().get(_ORIENTATION, 1) in _UPRIGHT:  # read before loading: some formats rotate themselves then
        notes.append("Turned upright as its camera noted.")
    notes += _reduced(image)
    bits, signed = _bits(image)
    image.load()
    if low is None and reduced:
        notes.append("Its values were reduced to 8 bits.")
    loaded = replace(prepared(image, notes, bits, signed), pages=pages)
    return loaded if low is None else replace(loaded, low=_upright(low, image.getexif()), bits=16)


def _turned_to(page: int, pages: int) -> list[str]:
    """The sentence that says which page is shown, where there are several. Raises Refused if there is no such page."""
    if not 1 <= page <= pages:
        many = "one page" if pages == 1 else f"{pages:,} pages"
        raise Refused(
            f"has {many}, and no page {page:,}", f"Choose page 1 to {pages:,}" if pages > 1 else "Choose page 1"
        )
    return [f"Page {page:,} of {pages:,}."] if pages > 1 else []


def _dicom(data: bytes, page: int) -> Loaded:
    """A frame of a DICOM file, with deep values of one channel or colours."""
    dicom = _beside("dicom")
    try:
        dataset = dicom.opened(data)
        notes = _turned_to(page, dicom.pages(dataset))
        width, height = dicom.size(dataset)
        check_size(width, height, MAX_DICOM_PIXELS)
        frame = dicom.frame(dataset, page)
    except dicom.Refused as error:
        raise Refused(*error.args) from None
    eight = frame.values.dtype == "uint8" and frame.values.ndim == 3
    plain = frame.values.dtype == "uint8" and not frame.window and not frame.inverted and frame.bits == 8
    if eight or plain:
        return Loaded(Image.fromarray(frame.values).convert("RGB"), [*notes, *frame.notes], pages=dicom.pages(dataset))
    channels = [frame.values] if frame.values.ndim == 2 else list(frame.values.transpose(2, 0, 1))
    whole = frame.values.dtype.kind in "iub" and frame.values.min() >= -(2**31) and frame.values.max() < 2**31
    image, *others = (Image.fromarray(values.astype("int32" if whole else "float32")) for values in channels)
    return Loaded(
        image,
        [*notes, *frame.notes],
        bits=frame.bits,
        others=others,
        window=frame.window,
        inverted=frame.inverted,
        pages=dicom.pages(dataset),
    )


@cache
def _beside(name: str) -> Any:
    """A module of this folder, which has no package where this file runs on its own."""
    spec = util.spec_from_file_location(f"vitrine_{name}", Path(__file__).with_name(f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(name)
    sys.modules[spec.name] = module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prepared(image: Image.Image, notes: Sequence[str], bits: int = 0, signed: bool = True) -> Loaded:
    """A loaded image turned upright, with colours as RGB or RGBA."""
    if image.mode == "CMYK":
        notes = [*notes, "Converted from CMYK to RGB."]
    if not bits:
        bits = 16 if image.mode.startswith("I;16") else 32 if image.mode == "I" else 0 if image.mode == "F" else 8
    image = _upright(image, image.getexif())
    if not image.mode.startswith(("I", "F")):
        mode = "RGBA" if image.has_transparency_data else "RGB"
        image = image if image.mode == mode else image.convert(mode)
    return Loaded(image, notes, None, bits, signed)


def _opened(data: bytes, kind: str) -> Image.Image:
    """The image with its header read and nothing decoded yet."""
    most = _most(kind)
    try:
        if kind == "HEIF":
            import_module("pillow_heif").register_heif_opener()
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


def _most(kind: str) -> int:
    """The limit of pixels of a format."""
    return MAX_JPEG_PIXELS if kind == "JPEG" else MAX_PIXELS


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


def _low_bytes(image: Image.Image, data: bytes, kind: str, page: int) -> tuple[Image.Image | None, bool]:
    """The low bytes of an image with 16 bits per colour where they can be read, and whether it is such an image."""
    tiles = getattr(image, "tile", [])
    modes = {tile.args if isinstance(tile.args, str) else tile.args[0] for tile in tiles if tile.args}
    if not any(isinstance(mode, str) and ";16" in mode for mode in modes) or image.mode.startswith("I"):
        return None, False
    if image.width * image.height > _DEEP_COLOUR or not modes <= _LOW_BYTES.keys():
        return None, True
    other = _opened(data, kind)
    if page > 1:
        other.seek(page - 1)
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
        raise {**kinds, "Refused": Refused}.get(error, ValueError)(*facts["texts"])
    image, *others = (Image.frombytes(facts["mode"], tuple(facts["size"]), part) for part in parts)
    if facts["palette"]:
        image.putpalette(facts["palette"])
    low = others.pop() if facts["low"] else None
    window = tuple(facts["window"]) if facts["window"] else None
    return Loaded(image, low=low, others=others, window=window, **{name: facts[name] for name in _FACTS})


def main(memory: int) -> None:
    """Load the images that come on stdin within a limit of memory, and write them to stdout, until stdin ends."""
    with suppress(ImportError, ValueError, OSError):  # on systems without this limit, that of time remains
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # the stacks of threads count as memory
    with suppress(EOFError):
        while True:
            facts, (data,) = receive(sys.stdin.buffer)
            answer, parts = _answer(data, facts["kind"], facts["plain"], facts["page"])
            send(sys.stdout.buffer, answer, *parts)


def _answer(data: bytes, kind: str, plain: bool, page: int) -> tuple[dict[str, Any], list[bytes]]:
    try:
        loaded = load(data, kind, plain=plain, page=page)
        parts = [image.tobytes() for image in (loaded.image, *loaded.others, loaded.low) if image]
    except Exception as error:  # noqa: BLE001 - on malformed bytes decoders raise errors of any kind
        texts = error.args if isinstance(error, Refused) else [str(error)[:200]]
        return {"error": type(error).__name__, "texts": texts}, []
    facts = {name: getattr(loaded, name) for name in (*_FACTS, "window")}
    image = loaded.image
    shape = {"mode": image.mode, "size": image.size, "palette": image.getpalette()}
    return {**facts, **shape, "low": loaded.low is not None}, parts


if __name__ == "__main__":
    main(int(sys.argv[1]))
