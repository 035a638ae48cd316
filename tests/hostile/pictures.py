"""Hostile image files, made by code: work and memory hidden in small files, claims that do not hold, damaged parts."""

import io
import random
import struct
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from core.images import decode, process
from tests.hostile import dicom
from tests.hostile.forked import Case

KINDS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
File = tuple[str, bytes]


def files() -> Iterator[File]:
    """Names and contents of hostile image files; each is to be a picture or one sentence."""
    for part in (_png, _jpeg, _gif, _webp, _bmp, _tiff, _pnm, _boxes, _foreign):
        for name, content in part():
            yield f"{part.__name__[1:]}-{name}", content
    for name, content in dicom.files():
        yield f"dicom-{name}", content


def cases(folder: Path, mutants: int = 0) -> Iterator[Case]:
    """The files and this many mutated ones for the worker; nothing is written to the folder."""
    for name, content in (*files(), *mutated(mutants)):
        yield f"image {name}", partial(_decoded, content, name)


def _decoded(content: bytes, name: str) -> None:
    """Decode with less patience than for users; runs in the worker."""
    process.SECONDS = 4
    decode(content, name)


def mutated(count: int, seed: int = 0) -> Iterator[File]:
    """Small valid files of all formats with some bytes changed, removed, repeated or replaced by extreme numbers."""
    originals = [saved(kind, **options) for kind in KINDS for options in _OPTIONS.get(kind, ({},))]
    originals += dicom.valid()
    for number in range(count):
        rng = random.Random(f"{seed}-{number}")
        content = bytearray(rng.choice(originals))
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(min(len(content), rng.choice((64, 400, len(content)))))
            match rng.randrange(5):
                case 0:
                    content[at] ^= 1 << rng.randrange(8)
                case 1:
                    content[at : at + 4] = rng.choice(
                        (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\xff\xff")
                    )
                case 2:
                    del content[at : at + rng.randint(1, 40)]
                case 3:
                    content[at:at] = content[at : at + rng.randint(1, 40)] * rng.randint(1, 3)
                case _:
                    content[at : at + 8] = rng.randbytes(8)
            if not content:
                break
        yield f"mutant-{number}", bytes(content)


def saved(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    """A small valid file."""
    stream = io.BytesIO()
    (image or Image.linear_gradient("L").resize((24, 20)).convert("RGB")).save(stream, kind, **options)
    return stream.getvalue()


def _exif(orientation: int = 6) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


_OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "PNG": ({}, {"exif": _exif()}, {"image": Image.new("I;16", (9, 7), 900)}, {"image": Image.new("P", (9, 7), 3)}),
    "JPEG": ({}, {"progressive": True, "exif": _exif()}, {"image": Image.new("CMYK", (16, 9))}),
    "GIF": ({}, {"save_all": True, "append_images": [Image.new("RGB", (24, 20))]}),
    "WEBP": ({}, {"lossless": True}, {"save_all": True, "append_images": [Image.new("RGB", (24, 20))]}),
    "TIFF": ({}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate", "exif": _exif()},
             {"image": Image.new("F", (9, 7), 0.5)}, {"compression": "jpeg"}),
}  # fmt: skip


# PNG


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    *chunks: bytes,
    width: int = 4,
    height: int = 4,
    depth: int = 8,
    colour: int = 2,
    rows: bytes = b"",
    interlace: int = 0,
) -> bytes:
    """A PNG with these chunks before its data."""
    size = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    data = chunk(b"IDAT", zlib.compress(rows or bytes(13 * 4)))
    return b"\x89PNG\r\n\x1a\n" + size + b"".join(chunks) + data + chunk(b"IEND", b"")


def tiff_directory(entries: list[tuple[int, int, int, int]], after: int = 0, order: str = "<") -> bytes:
    """A directory of (tag, type, count, value or offset)."""
    body = b"".join(struct.pack(f"{order}HHII", *entry) for entry in sorted(entries))
    return struct.pack(f"{order}H", len(entries)) + body + struct.pack(f"{order}I", after)


def _exif_bombs() -> dict[str, bytes]:
    many = [(0x9000 + number, 1, 60_000, 0) for number in range(5000)]
    return {
        "claims": b"II*\0\x08\0\0\0" + tiff_directory(many) + bytes(1000),
        "loop": b"II*\0\x08\0\0\0" + tiff_directory([(0x0112, 3, 1, 6), (0x8769, 4, 1, 8)], 8),
        "huge count": b"II*\0\x08\0\0\0" + tiff_directory([(0x0112, 3, 2**32 - 1, 8)]),
        "no order": b"XX*\0\x08\0\0\0",
        "odd orientation": b"II*\0\x08\0\0\0" + tiff_directory([(0x0112, 2, 4, 0x41414141)]),
    }


def _png() -> Iterator[File]:
    zeros = zlib.compress(bytes(60_000_000), 9)
    yield "vast", png(width=2**31 - 1, height=2**31 - 1)
    yield "wide", png(width=49_999_999, height=1)
    yield "tall", png(width=1, height=49_999_999, depth=1, colour=0)
    yield "zero", png(width=0, height=0)
    yield "bomb", png(width=7000, height=7000, depth=1, colour=0, rows=bytes(876 * 7000))
    yield "bomb of RGBA", png(width=7000, height=7000, colour=6, rows=bytes(28_001 * 200))
    yield "sixteen bits", png(width=7000, height=7000, depth=16, colour=2, rows=bytes(42_001 * 100))
    yield "more data than pixels", png(rows=bytes(50_000_000))
    yield "chunks", png(*[chunk(b"tEXt", b"k\0v")] * 40_000)
    yield "data chunks", png()[:33] + chunk(b"IDAT", b"") * 40_000 + png()[33:]
    yield "text bomb", png(chunk(b"iTXt", b"k\0\1\0\0\0" + zeros), chunk(b"zTXt", b"k\0\0" + zeros))
    yield "many text bombs", png(*[chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_000_000)))] * 500)
    yield "profile bomb", png(chunk(b"iCCP", b"k\0\0" + zeros))
    yield "raw profile", png(chunk(b"tEXt", b"Raw profile type exif\0\n\n\n" + _exif_bombs()["claims"].hex().encode()))
    for name, body in _exif_bombs().items():
        yield f"exif {name}", png(chunk(b"eXIf", body))
    yield "frames", png(chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)))
    yield "no frames", png(chunk(b"acTL", bytes(8)), chunk(b"fcTL", bytes(26)))
    yield "depth", png(depth=3)
    yield "colour", png(colour=5)
    yield "interlace", png(interlace=9)
    yield "palette", png(colour=3)
    yield "transparency", png(chunk(b"tRNS", bytes(9000)))
    yield "long chunk", png()[:33] + struct.pack(">I", 2**31) + b"IDAT"
    yield "checksum", png()[:-20] + bytes(20)
    yield "end first", png()[:33] + chunk(b"IEND", b"")
    for cut in (9, 30, 45):
        yield f"cut at {cut}", png()[:cut]


# JPEG


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _jpeg() -> Iterator[File]:
    plain, progressive = saved("JPEG"), saved("JPEG", Image.new("L", (2000, 2000)), progressive=True)
    scan = progressive.rindex(b"\xff\xda")
    for count in (1000, 100_000):
        yield f"{count} scans", progressive[:scan] + progressive[scan:-2] * count + b"\xff\xd9"
    frame = plain.index(b"\xff\xc0") + 5
    for name, size in {"vast": (65535, 65535), "flat": (0, 24), "narrow": (20, 0), "long": (65500, 3000)}.items():
        yield name, plain[:frame] + struct.pack(">HH", *size) + plain[frame + 4 :]
    vast = progressive.index(b"\xff\xc2") + 5
    yield "vast progressive", progressive[:vast] + struct.pack(">HH", 60_000, 60_000) + progressive[vast + 4 :]
    yield "segments", plain[:2] + segment(0xE5, b"") * 60_000 + plain[2:]
    yield "comments", plain[:2] + segment(0xFE, bytes(60_000)) * 60 + plain[2:]
    yield "filling", plain[:2] + b"\xff" * 3_000_000 + plain[2:]
    yield "garbage", plain[:2] + bytes(3_000_000) + plain[2:]
    for name, body in _exif_bombs().items():
        parts = [body[at : at + 60_000] for at in range(0, len(body), 60_000)]
        yield f"exif {name}", plain[:2] + b"".join(segment(0xE1, b"Exif\0\0" + part) for part in parts) + plain[2:]
    pages = b"MPF\0II*\0\x08\0\0\0" + tiff_directory([(45057, 4, 1, 2**31), (45058, 7, 16, 8)])
    yield "pages", plain[:2] + segment(0xE2, pages) + plain[2:]
    profile = b"".join(
        segment(0xE2, b"ICC_PROFILE\0" + bytes([number, 255]) + bytes(60_000)) for number in range(1, 256)
    )
    yield "profile", plain[:2] + profile + plain[2:]
    yield "precision", plain[: frame - 1] + b"\x0c" + plain[frame:]
    yield "components", plain[: frame + 4] + b"\x09" + plain[frame + 5 :]
    for marker in (0xC3, 0xC9, 0xC5):
        yield f"process {marker:x}", plain.replace(b"\xff\xc0", bytes([0xFF, marker]))
    yield "tables", plain.replace(b"\xff\xdb", b"\xff\xe9")
    for cut in (3, 100, len(plain) - 30):
        yield f"cut at {cut}", plain[:cut]


# GIF, WebP, BMP


def _gif() -> Iterator[File]:
    plain = saved("GIF")
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2\x44\1\0"
    head = b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0x80, 0, 0) + bytes(6)
    yield "frames", head + frame * 60_000 + b";"
    yield "vast", b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6) + frame + b";"
    yield "vast frame", head + b"\x2c" + struct.pack("<HHHHB", 60000, 60000, 65535, 65535, 0) + b"\2\2\x44\1\0;"
    yield "extensions", head + b"\x21\xf9\4\0\0\0\0\0" * 60_000 + frame + b";"
    yield "comments", head + b"\x21\xfe" + b"\1a" * 900_000 + b"\0" + frame + b";"
    yield "bits", head + frame[:-5] + b"\x0f\2\x44\1\0;"
    yield "blocks", head + frame[:-5] + b"\2" + b"\1\x44" * 900_000 + b"\0;"
    yield "cut", plain[: len(plain) // 2]
    yield "nothing", b"GIF89a"


def _webp() -> Iterator[File]:
    def riff(*parts: tuple[bytes, bytes]) -> bytes:
        body = b"WEBP" + b"".join(
            name + struct.pack("<I", len(part)) + part + bytes(len(part) % 2) for name, part in parts
        )
        return b"RIFF" + struct.pack("<I", len(body)) + body

    side = (16383).to_bytes(3, "little")
    image = saved("WEBP")[20:]
    lossless = saved("WEBP", lossless=True)[20:]
    frame = (
        bytes(6)
        + (23).to_bytes(3, "little")
        + (19).to_bytes(3, "little")
        + bytes(4)
        + b"VP8 "
        + struct.pack("<I", len(image))
        + image
    )
    yield "canvas", riff((b"VP8X", b"\2\0\0\0" + side + side), (b"ANIM", bytes(6)), (b"ANMF", frame))
    yield "frames", riff((b"VP8X", b"\2\0\0\0\x17\0\0\x13\0\0"), (b"ANIM", bytes(6)), *[(b"ANMF", frame)] * 3000)
    yield "lossless", riff((b"VP8L", lossless[:1] + b"\xff\xff\xff\x0f" + lossless[5:]))
    yield "lossy", riff((b"VP8 ", image[:6] + b"\xff\x3f\xff\x3f" + image[10:]))
    for name, body in _exif_bombs().items():
        yield f"exif {name}", riff((b"VP8X", b"\x08\0\0\0\x17\0\0\x13\0\0"), (b"VP8 ", image), (b"EXIF", body))
    yield "chunks", riff((b"VP8X", b"\0\0\0\0\x17\0\0\x13\0\0"), *[(b"XXXX", b"")] * 60_000, (b"VP8 ", image))
    yield "length", b"RIFF\xff\xff\xff\xffWEBPVP8 \xff\xff\xff\xff" + image
    yield "nothing", b"RIFF\4\0\0\0WEBP"


def _bmp() -> Iterator[File]:
    def bmp(
        width: int, height: int, bits: int, compression: int, body: bytes, colours: int = 0, offset: int = 54
    ) -> bytes:
        head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(body), 0, 0, colours, 0)
        return b"BM" + struct.pack("<IHHI", len(body) + 54, 0, 0, offset) + head + body

    yield "run of rows", bmp(49_999_999, 1, 8, 1, bytes(1024) + b"\0\2\0\xff" * 500, 256, 1078)
    yield "runs", bmp(7000, 7000, 8, 1, bytes(1024) + b"\1\1" * 1_000_000, 256, 1078)
    yield "half runs", bmp(7000, 7000, 4, 2, bytes(64) + b"\1\1" * 1_000_000, 16, 118)
    yield "vast", bmp(2**31 - 1, 2**31 - 1, 24, 0, bytes(99))
    yield "negative", bmp(-5, -5, 24, 0, bytes(99))
    yield "zero", bmp(0, 0, 24, 0, b"")
    yield "bits", bmp(4, 4, 5, 0, bytes(99))
    yield "colours", bmp(4, 4, 8, 0, bytes(99), 2**31)
    yield "offset", bmp(4, 4, 24, 0, bytes(99), 0, 2**31)
    yield "masks", bmp(4, 4, 32, 3, b"\xff" * 99)
    yield "JPEG inside", bmp(4, 4, 0, 4, saved("JPEG"))
    yield "short", b"BM" + bytes(12) + b"\x28\0\0\0"


# TIFF


def tiff(
    changes: dict[int, tuple[int, int, int] | None], body: bytes = bytes(1024), after: int = 0, side: int = 16
) -> bytes:
    """A TIFF of one strip, with entries changed, added or left out (None); the body begins at offset 8."""
    entries = {
        256: (4, 1, side), 257: (4, 1, side), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 8),
        277: (3, 1, 1), 278: (4, 1, side), 279: (4, 1, side * side),
    }  # fmt: skip
    entries |= changes  # type: ignore[arg-type]
    table = [(tag, *entry) for tag, entry in entries.items() if entry is not None]
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + tiff_directory(table, after)


def _tiff() -> Iterator[File]:
    tiled: dict[int, tuple[int, int, int] | None] = {273: None, 278: None, 279: None, 324: (4, 1, 8), 325: (4, 1, 256)}
    for tile in (60_000, 2**31, 4_000, 0):
        for compression in (1, 5, 8, 7):
            yield (
                f"tile {tile} {compression}",
                tiff({**tiled, 322: (4, 1, tile), 323: (4, 1, tile), 259: (3, 1, compression)}),
            )
    yield "thin tiles", tiff({**tiled, 322: (4, 1, 4096), 323: (4, 1, 4096), 256: (4, 1, 1), 257: (4, 1, 40_000_000),
                              259: (3, 1, 8)}, zlib.compress(bytes(4096 * 4096)))  # fmt: skip
    yield "strip of 4 GB", tiff({279: (4, 1, 2**32 - 1)})
    yield "compressed strip of 4 GB", tiff({279: (4, 1, 2**32 - 1), 259: (3, 1, 8)})
    yield "strips", tiff({273: (4, 2**28, 8), 279: (4, 2**28, 8)})
    yield "rows", tiff({278: (4, 1, 1), 257: (4, 1, 40_000_000), 256: (4, 1, 1)})
    yield "no rows", tiff({278: (4, 1, 0)})
    for compression, packed in {
        8: zlib.compress(bytes(49_000_000)),
        5: b"\x80" + b"\0" * 9000,
        32773: b"\x81\0" * 9000,
    }.items():
        yield f"bomb {compression}", tiff({259: (3, 1, compression), 279: (4, 1, len(packed))}, packed, side=7000)
    for compression in (2, 3, 4, 6, 7, 34676, 34712, 34887, 34925, 50000, 50001, 65535):
        yield f"compression {compression}", tiff({259: (3, 1, compression)}, b"\xff" * 1024)
    yield "loop", tiff({}, after=1032)
    yield "entries", b"II*\0\x08\0\0\0" + tiff_directory([(number, 1, 500_000, 0) for number in range(1, 60_000)])
    yield "count", tiff({700: (1, 2**32 - 1, 8)})
    yield "kind", tiff({700: (255, 9, 9)})
    yield "bands", tiff({277: (3, 1, 65535), 258: (3, 65535, 8)})
    yield "bits", tiff({258: (3, 1, 65535)})
    yield "zero", tiff({256: (4, 1, 0)})
    yield "vast", tiff({256: (4, 1, 2**32 - 1), 257: (4, 1, 2**32 - 1)})
    yield "offset", tiff({273: (4, 1, 2**32 - 1)})
    yield "no lengths", tiff({279: None})
    yield "nested", tiff({0x0112: (3, 1, 6), 0x8769: (4, 1, 1032), 0x8825: (4, 1, 1032), 330: (4, 1, 1032)})
    yield "pages", _pages(20_000)
    yield "predictor", tiff({317: (3, 1, 3), 259: (3, 1, 8)}, zlib.compress(bytes(256)))
    yield "floats", tiff({339: (3, 1, 3), 258: (3, 1, 64), 279: (4, 1, 2048)}, b"\xff" * 2048)
    yield "half floats", tiff({339: (3, 1, 3), 258: (3, 1, 16), 279: (4, 1, 512)}, b"\x7c" * 1024)
    yield "vast floats", tiff({339: (3, 1, 3), 258: (3, 1, 64)}, side=60_000)
    yield "large", b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**63)
    yield "large entries", b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 1) + struct.pack("<HHQQ", 256, 16, 2**61, 0)
    yield "nothing", b"II*\0"
    yield "far directory", b"II*\0\xff\xff\xff\xff"


def _pages(count: int) -> bytes:
    content = bytearray(b"II*\0\x08\0\0\0")
    entries = [(256, 4, 1, 4), (257, 4, 1, 4), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 0), (279, 4, 1, 16)]
    size = 2 + 12 * len(entries) + 4
    for number in range(count):
        content += tiff_directory(entries, 8 + (number + 1) * size if number + 1 < count else 0)
    return bytes(content)


# PPM, JPEG 2000, AVIF and others


def _pnm() -> Iterator[File]:
    yield "vast", b"P6 999999 999999 255\n" + bytes(99)
    yield "claims", b"P6 7000 7000 255\n" + bytes(99)
    yield "text", b"P3 1000 1000 255\n" + b"1 " * 3_000_000
    yield "bits as text", b"P1 3000 3000\n" + b"1" * 9_000_000
    yield "range", b"P5 2000 2000 4095\n" + bytes(8_000_000)
    yield "comment", b"P6\n#" + b"a" * 9_000_000 + b"\n4 4 255\n" + bytes(48)
    yield "spaces", b"P6" + b" " * 9_000_000 + b"4 4 255\n" + bytes(48)
    yield "number", b"P6 " + b"9" * 300 + b" 4 255\n"
    yield "no range", b"P6 4 4 0\n" + bytes(48)
    yield "large range", b"P6 4 4 70000\n" + bytes(96)
    yield "negative", b"P6 -4 -4 255\n" + bytes(48)
    yield "scale", b"Pf 4 4 0\n" + bytes(64)
    yield "not finite", b"Pf 4 4 nan\n" + b"\xff" * 64
    yield "cut", b"P6 4"


def _boxes() -> Iterator[File]:
    jp2 = saved("JPEG2000", no_jp2=True)
    size = jp2.index(b"\xff\x51") + 6
    for name, sides in {
        "vast": (2**32 - 1, 2**32 - 1, 0, 0, 2**32 - 1, 2**32 - 1, 0, 0),
        "tiles": (8000, 8000, 0, 0, 1, 1, 0, 0),
        "zero": (0, 0, 0, 0, 0, 0, 0, 0),
        "large": (7000, 7000, 0, 0, 7000, 7000, 0, 0),
        "offset": (24, 20, 2**31, 2**31, 24, 20, 0, 0),
    }.items():
        yield f"jpeg2000 {name}", jp2[:size] + struct.pack(">8I", *sides) + jp2[size + 32 :]
    yield "jpeg2000 components", jp2[: size + 32] + b"\x40\0" + jp2[size + 34 :]
    style = jp2.index(b"\xff\x52")
    large = jp2[:size] + struct.pack(">8I", 7000, 7000, 0, 0, 7000, 7000, 0, 0) + jp2[size + 32 : style]
    precincts = segment(0x52, b"\1\0\xff\xff\0\5\4\4\0\0" + bytes(6))
    rest = jp2[style + 2 + struct.unpack_from(">H", jp2, style + 2)[0] :]
    yield "jpeg2000 precincts", large + precincts + rest
    yield "jpeg2000 cut", jp2[:-30]
    boxed = saved("JPEG2000")
    for length in (0, 1, 2**31):
        yield f"jpeg2000 box {length}", boxed[:12] + struct.pack(">I", length) + boxed[16:]
    avif = saved("AVIF")
    spatial = avif.index(b"ispe") + 8
    for name, sides in {"vast": (65535, 65535), "vaster": (2**31 - 1, 2**31 - 1), "zero": (0, 0)}.items():  # type: ignore[assignment]
        yield f"avif {name}", avif[:spatial] + struct.pack(">II", *sides) + avif[spatial + 8 :]
    yield "avif cut", avif[:-40]
    yield "avif grid", avif.replace(b"av01", b"grid", 1)
    yield "avif lengths", avif[:32] + b"\xff\xff\xff\xff" + avif[36:]
    yield "avif head", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf"


def _foreign() -> Iterator[File]:
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    yield "svg", f'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a0 "a">{entities}]><svg>&a9;</svg>'.encode()
    yield "icon", b"\0\0\1\0\xff\xff" + bytes(16 * 99)
    yield "icns", b"icns\xff\xff\xff\xff"
    yield "heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)
    yield "dicom", bytes(128) + b"DICM" + bytes(400)
    yield "gzip", zlib.compress(bytes(9_000_000), wbits=31)
    yield "zip", b"PK\3\4" + bytes(99)
    yield "postscript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n/x {x} def x\n"
    yield "photoshop", b"8BPS\0\1" + bytes(6) + b"\0\3\x7f\xff\xff\xff\x7f\xff\xff\xff\0\x08\0\3"
    yield "empty", b""
    yield "one byte", b"\x89"
    yield "zeros", bytes(1_000_000)
    yield "text", "Ünïcode and \x1b[31m colours\u202e".encode()
