"""The structure of image files, read before decoding: whether its cost is bounded by the size of file and picture."""

import math
import re
import struct
from collections.abc import Iterator, Sequence

_CHUNKS = 20_000  # segments of a JPEG, chunks of a PNG
_SCANS, _SCANNED = 64, 500_000_000  # of a progressive JPEG: scans, and scans times pixels
_TAGS, _TAG_BYTES = 200, 1_000_000  # of a directory of TIFF or EXIF
_PAGES = 1000  # of a TIFF or GIF, which Pillow counts one by one
_BLOCKS = 200_000  # of a GIF, at most 255 bytes each
_SMALL = 8_000_000  # bytes of a GIF or WebP with any number of frames
_CANVAS = 24_000_000  # pixels of a WebP, which is held several times while it is decoded
_PARTS = 100_000  # strips or tiles
_TYPES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_NESTED = {0x8769, 0x8825, 0xA005}  # tags whose directories Pillow reads with the image
_COMPRESSIONS = {1, 5, 8, 32773, 32946}  # none, LZW, deflate, PackBits
_EXIF = b"Exif\0\0"
_SIDES = rb"\s{1,4}\d{1,6}\s{1,4}\d{1,6}"
_PLAIN_PNM = re.compile(rb"P(?:4%b\s|[56]%b\s{1,4}(?:255|65535)\s|f%b\s{1,4}-?[\d.]{1,10}\s)" % ((_SIDES,) * 3))


def ordinary(data: bytes, kind: str) -> bool:
    """Whether a file of this Pillow format is decoded in seconds and some 100 MB, whatever its content.

    Others may be valid, too: large or unusual ones, and formats whose cost cannot be counted (JPEG 2000, AVIF).
    """
    try:
        return {"PNG": _png, "JPEG": _jpeg, "GIF": _gif, "WEBP": _webp, "BMP": _bmp, "TIFF": _tiff, "PPM": _ppm}[kind](
            data
        )
    except (KeyError, IndexError, ValueError, struct.error):
        return False


def _png(data: bytes) -> bool:
    return all(
        _modest(data[start : start + length]) if name == b"eXIf" else not _profile(name, data, start)
        for name, start, length in _png_chunks(data)
    )


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The name, start and length of each chunk."""
    at = 8
    for _ in range(_CHUNKS):
        if at + 8 > len(data):
            return
        length, name = struct.unpack_from(">I4s", data, at)
        yield name, at + 8, length
        at += length + 12
    raise ValueError("too many chunks")


def _profile(name: bytes, data: bytes, start: int) -> bool:
    """Whether a text holds EXIF, which Pillow reads as well."""
    return name in {b"tEXt", b"zTXt", b"iTXt"} and data[start : start + 11] == b"Raw profile"


def _jpeg(data: bytes) -> bool:
    at, pixels, exif = 2, 0, b""
    for _ in range(_CHUNKS):
        marker, length = struct.unpack_from(">HH", data, at)
        if marker >> 8 != 0xFF or marker == 0xFFFF or length < 2:
            return False
        if marker in range(0xFFC0, 0xFFD0) and marker not in {0xFFC4, 0xFFC8, 0xFFCC}:
            height, width = struct.unpack_from(">HH", data, at + 5)
            pixels = height * width
        if marker == 0xFFE1 and data[at + 4 : at + 10] == _EXIF:
            exif += data[at + 10 : at + 2 + length]
        if marker == 0xFFDA:
            scans = data.count(b"\xff\xda", at)
            return _modest(exif) and (scans == 1 or (scans <= _SCANS and scans * pixels <= _SCANNED))
        at += 2 + length
    return False


def _gif(data: bytes) -> bool:
    if len(data) > _SMALL:
        return False
    at, blocks, pages = 13 + _palette(data[10]), 0, 0
    while at < len(data) and data[at] != 0x3B and blocks <= _BLOCKS and pages <= _PAGES:
        if data[at] == 0x2C:
            pages, at = pages + 1, at + 11 + _palette(data[at + 9])
        else:
            at += 2
        while at < len(data) and data[at] and blocks <= _BLOCKS:
            blocks, at = blocks + 1, at + 1 + data[at]
        blocks, at = blocks + 1, at + 1
    return blocks <= _BLOCKS and pages <= _PAGES


def _palette(flags: int) -> int:
    """The bytes of the palette of a GIF or of one of its pages."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp(data: bytes) -> bool:
    if len(data) > _SMALL:
        return False
    at, pixels = 12, 0
    for _ in range(_TAGS):
        if at + 8 > len(data):
            return pixels <= _CANVAS
        name, length = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : at + 8 + length]
        if name == b"VP8X":
            pixels = math.prod(int.from_bytes(body[start : start + 3], "little") + 1 for start in (4, 7))
        elif name == b"VP8 ":
            pixels = max(pixels, math.prod(side & 0x3FFF for side in struct.unpack_from("<HH", body, 6)))
        elif name == b"VP8L":
            sides = int.from_bytes(body[1:5], "little")
            pixels = max(pixels, ((sides & 0x3FFF) + 1) * ((sides >> 14 & 0x3FFF) + 1))
        elif name == b"EXIF" and not _modest(body):
            return False
        at += 8 + length + length % 2
    return False


def _bmp(data: bytes) -> bool:
    """Not run-length encoded, which Pillow decodes in Python."""
    head, compression = struct.unpack_from("<I", data, 14)[0], struct.unpack_from("<I", data, 30)[0]
    return head == 12 or compression in {0, 3, 6}


def _ppm(data: bytes) -> bool:
    """Binary with 8 or 16 bits; Pillow reads numbers as text, and other ranges of values, in Python."""
    return _PLAIN_PNM.match(data) is not None


def _tiff(data: bytes) -> bool:
    tags = directory(data)
    if tags is None or not _few_pages(data) or _NESTED & tags.keys() or (322 in tags and 324 not in tags):
        return False
    width, height = tags[256][0], tags[257][0]
    bits, bands = tags.get(258, (1,)), tags.get(277, (1,))[0]
    wide, high = (tags[322][0], tags[323][0]) if 322 in tags else (width, min(tags.get(278, (height,))[0], height))
    lengths = tags[325 if 322 in tags else 279]
    planes = bands if tags.get(284, (1,))[0] == 2 else 1
    if min(wide, high, width, height) < 1 or len(lengths) > _PARTS:
        return False
    parts = -(-width // wide) * -(-height // high) * planes
    decoded = parts * wide * high * max(bits) * (bands // planes) // 8
    claimed = wide * high * max(bits) * bands // 8  # of one part
    picture = width * height * max(bits) * bands // 8
    return (
        tags.get(259, (1,))[0] in _COMPRESSIONS
        and len(lengths) <= parts
        and max(lengths) <= len(data)
        and claimed <= 4 * picture + 2**24
        and decoded <= 4 * picture + 2**26
    )


def _few_pages(data: bytes) -> bool:
    """Whether a TIFF has few directories, one after the other."""
    order, large = "<" if data[:2] == b"II" else ">", data[2:4] in {b"+\0", b"\0+"}
    offset, count, entry = ("Q", "Q", 20) if large else ("I", "H", 12)
    at = 8 if large else 4
    for _ in range(_PAGES):
        start = struct.unpack_from(f"{order}{offset}", data, at)[0]
        if not start or start >= len(data):
            return True
        at = start + struct.calcsize(count) + entry * struct.unpack_from(f"{order}{count}", data, start)[0]
        if at + struct.calcsize(offset) > len(data):
            return True
    return False


def _modest(exif: bytes) -> bool:
    """Whether EXIF data claims no more memory than they may need."""
    return not exif or directory(exif.removeprefix(_EXIF)) is not None


def directory(data: bytes) -> dict[int, Sequence[int]] | None:
    """The whole numbers by tag of the first directory of a TIFF file or EXIF data.

    None if it has more entries, or claims more bytes, than _TAGS and _TAG_BYTES, besides the lists of its parts.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return None
    large = struct.unpack_from(f"{order}H", data, 2)[0] == 43
    start = struct.unpack_from(f"{order}Q", data, 8)[0] if large else struct.unpack_from(f"{order}I", data, 4)[0]
    count = struct.unpack_from(f"{order}Q" if large else f"{order}H", data, start)[0]
    if count > _TAGS:
        return None
    tags: dict[int, Sequence[int]] = {}
    total, room, width = 0, (8 if large else 4), (20 if large else 12)
    for number in range(count):
        at = start + (8 if large else 2) + number * width
        tag, form, length = struct.unpack_from(f"{order}HHQ" if large else f"{order}HHI", data, at)
        size = length * _TYPES.get(form, 1)
        total += size
        if total > _TAG_BYTES or (tag in {273, 279, 324, 325} and length > _PARTS):
            return None
        value = at + width - room
        if size > room:
            value = struct.unpack_from(f"{order}Q" if large else f"{order}I", data, value)[0]
        if code := {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}.get(form):
            tags[tag] = struct.unpack_from(f"{order}{length}{code}", data, value)
    return tags
