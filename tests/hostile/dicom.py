"""Hostile DICOM files, made by code: vast images, bombs, endless and deep sequences, numbers without a meaning."""

import struct
import zlib
from collections.abc import Iterator

File = tuple[str, bytes]
_PLAIN, _DEFLATED, _RLE = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.5\0"


def element(group: int, number: int, kind: bytes, value: bytes, length: int | None = None) -> bytes:
    """An element of a DICOM file with explicit kinds of values; `length` is what it claims."""
    claimed = len(value) if length is None else length
    long = kind in {b"OB", b"OW", b"SQ", b"UN", b"UT"}
    return (
        struct.pack("<HH2s", group, number, kind) + struct.pack("<HI" if long else "<H", *[0] * long, claimed) + value
    )


def dicom(
    rows: int = 8, columns: int = 8, frames: int = 1, bits: int = 16, before: bytes = b"",
    pixels: bytes | None = None, syntax: bytes = _PLAIN,
) -> bytes:  # fmt: skip
    """A DICOM file with these elements before those of its image."""
    count = str(frames).encode()
    numbers = [(2, 1), (0x10, rows), (0x11, columns), (0x100, bits), (0x101, bits), (0x102, bits - 1), (0x103, 0)]
    parts = [(number, element(0x28, number, b"US", struct.pack("<H", value & 0xFFFF))) for number, value in numbers]
    parts += [
        (4, element(0x28, 4, b"CS", b"MONOCHROME2 ")),
        (8, element(0x28, 8, b"IS", count + b" " * (len(count) % 2))),
    ]
    content = bytes(range(256)) * (frames * bits // 16) if pixels is None else pixels
    content = content[: rows * columns * frames * bits // 8] if pixels is None else content
    body = before + b"".join(part for _, part in sorted(parts)) + element(0x7FE0, 0x10, b"OW", content)
    if syntax == _DEFLATED:
        body = zlib.compress(body, wbits=-15)
    return _file(syntax, body)


def _file(syntax: bytes, body: bytes) -> bytes:
    meta = element(2, 0x10, b"UI", syntax)
    return bytes(128) + b"DICM" + element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta + body


def _bomb(head: bytes) -> bytes:
    """A deflated stream of this head and two gigabytes of zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + zeros * 128 + packer.flush()


def valid() -> list[bytes]:
    """Small files, to be changed at random."""
    return [dicom(), dicom(frames=3), dicom(syntax=_DEFLATED)]


def files() -> Iterator[File]:
    """Names and contents of hostile files."""
    item, items, end = struct.pack("<HHI", 0xFFFE, 0xE000, 2**32 - 1), 2**32 - 1, struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    nested = element(0x28, 0x3000, b"SQ", item, items)
    yield "vast", dicom(rows=65535, columns=65535)
    yield "vast in deflate", dicom(rows=60000, columns=800, pixels=bytes(96_000_000), syntax=_DEFLATED)
    yield "bomb", _file(_DEFLATED, _bomb(element(0x28, 0x3006, b"OW", b"", 2**31)))
    yield "frames", dicom(frames=2_000_000_000, pixels=bytes(128))
    yield "no frames", dicom(frames=0)
    yield "nothing", dicom(rows=0)
    yield "bits", dicom(bits=64)
    yield "odd bits", dicom(bits=13)
    yield "long value", dicom(pixels=b"")[:-4] + b"\xff\xff\xff\x7f"
    yield "endless pixels", dicom(pixels=b"")[:-4] + b"\xff\xff\xff\xff" + item * 9
    yield "deep", dicom(before=nested * 100_000)
    yield "deep in deflate", dicom(before=nested * 3_000_000, syntax=_DEFLATED)
    yield "many", dicom(before=element(0x28, 0x3002, b"US", b"\0\0") * 1_000_000)
    empty = item[:4] + bytes(4)
    yield "items", dicom(before=element(0x28, 0x3000, b"SQ", empty * 900_000 + end, items))
    yield "runs", dicom(rows=7000, columns=7000, bits=8, pixels=item[:4] + bytes(4) + item[:4] + struct.pack("<I", 66)
                        + struct.pack("<II", 1, 64) + bytes(56) + b"\x81\0", syntax=_RLE)  # fmt: skip
    yield "cut", dicom()[:-40]
    yield "head", dicom()[:132]
    yield "window", dicom(before=element(0x28, 0x1050, b"DS", b"nan ") + element(0x28, 0x1051, b"DS", b"1e999 "))
    yield "rescaled", dicom(before=element(0x28, 0x1052, b"DS", b"1e308 ") + element(0x28, 0x1053, b"DS", b"1e308 "))
    yield "zip", b"PK\3\4" + bytes(124) + b"DICM" + bytes(99)
