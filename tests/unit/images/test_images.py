"""Every file an upload may be: a picture, or one sentence."""

import contextlib
import io
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from core.errors import BadImage
from core.images import MAX_PIXELS, MAX_RATIO, Preprocess, decode, picture_of, resized, shown

Y, X = np.mgrid[:24, :36]
COLOURS = np.stack([X * 7, Y * 10, 255 - X * 7], 2).astype(np.uint8)


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds one row of it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"\0" * (3 * width + 1)))


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("BMP", {}), ("TIFF", {})])
def test_formats_without_loss(kind: str, options: dict[str, Any]) -> None:
    picture = decode(saved(Image.fromarray(COLOURS), kind, **options), "x")
    assert (picture.pixels == COLOURS).all()
    assert picture.note == ""
    assert len(picture.sha) == 64


def test_jpeg() -> None:
    picture = decode(saved(Image.fromarray(COLOURS), "JPEG", quality=95), "x.jpg")
    assert np.abs(picture.pixels.astype(int) - COLOURS).mean() < 6


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "dog.png is empty."),
        (b"just some text", "dog.png is not an image this app can read."),
        (b"<svg onload=alert(1)>", "dog.png is an SVG drawing, which this app cannot read."),
        (saved(Image.effect_noise((64, 64), 50), "JPEG")[:-800], "dog.png is incomplete or damaged."),
        (saved(Image.fromarray(COLOURS))[:-40], "dog.png is incomplete or damaged."),
        (bytes(55_460_000), "dog.png: 55.5 MB is over the 50 MB limit."),
        (bytes(50_000_001), "dog.png: 50.1 MB is over the 50 MB limit."),
    ],
)
def test_refused_in_one_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(BadImage) as error:
        decode(data, "dog.png")
    assert error.value.message == sentence
    assert error.value.hint.endswith(".")
    assert error.value.__cause__ is None


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("side", "megapixels"), [(20_000, "400"), (12_000, "144"), (7_100, "51")])
def test_bomb_is_refused_before_it_is_decoded(side: int, megapixels: str) -> None:
    data = png_header(side, side)
    with pytest.raises(BadImage, match=f"{megapixels} megapixels; the limit is 50"):
        decode(data, "bomb.png")
    assert MAX_PIXELS == 50_000_000
    assert Image.MAX_IMAGE_PIXELS is not None, "the limit of other users of Pillow is left alone"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_of_several_frames(kind: str) -> None:
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    picture = decode(saved(first, kind, save_all=True, append_images=[second]), "x")
    assert picture.pixels[4, 4, 0] > 240 > 20 > picture.pixels[4, 4, 2]
    assert picture.note == "Page 1 of 2."


@pytest.mark.parametrize("kind", ["PPM", "JPEG2000", "AVIF", "MPO"])
def test_further_formats(kind: str) -> None:
    picture = decode(saved(Image.fromarray(COLOURS), kind, **({"quality": 95} if kind in ("AVIF", "MPO") else {})), "x")
    assert picture.pixels.shape == COLOURS.shape
    assert np.abs(picture.pixels.astype(int) - COLOURS).mean() < 6


@pytest.mark.parametrize(("size", "scale"), [((6000, 4001), 2), ((10_000, 9_800), 4)])
def test_large_jpegs_are_decoded_at_reduced_scale(size: tuple[int, int], scale: int) -> None:
    picture = decode(saved(Image.new("L", size, 99), "JPEG"), "camera.jpg")
    assert picture.pixels.shape == (-(-size[1] // scale), -(-size[0] // scale), 3)
    assert picture.note == f"Decoded at 1/{scale} of its {size[0]:,} × {size[1]:,} px."
    assert np.abs(picture.pixels.astype(int) - 99).max() <= 2


def test_the_limit_of_bytes_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(Image.fromarray(COLOURS)) + bytes(2_000_000)
    decode(data, "x.png")
    monkeypatch.setenv("VITRINE_IMAGE_MB", "1")
    with pytest.raises(BadImage, match=r"x\.png: 2\.1 MB is over the 1 MB limit\."):
        decode(data, "x.png")


def test_cmyk() -> None:
    picture = decode(saved(Image.fromarray(COLOURS).convert("CMYK"), "JPEG", quality=95), "x.jpg")
    assert np.abs(picture.pixels.astype(int) - COLOURS).mean() < 6
    assert picture.note == "Converted from CMYK to RGB."


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_of_grey(kind: str) -> None:
    grey = (X * 1800).astype(np.uint16)
    picture = decode(saved(Image.fromarray(grey), kind), "x")
    assert np.abs(picture.pixels[..., 0] - grey / 257).max() <= 0.5
    assert (picture.pixels[..., 0] == picture.pixels[..., 2]).all()
    assert picture.note == "Values 0 to 65,535 of 16 bits shown as black to white."


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "1-bit palette"])
def test_transparency_is_shown_on_white(mode: str) -> None:
    layer = np.dstack([np.zeros_like(COLOURS), np.where(X < 18, 255, 0).astype(np.uint8)])
    image = Image.fromarray(layer)
    if mode in {"LA", "RGBA"}:
        data = saved(image.convert(mode))
    elif mode == "PA":
        data = saved(image.quantize(4))
    else:
        palette = Image.fromarray((X >= 18).astype(np.uint8), "P")
        palette.putpalette([0, 0, 0, 10, 200, 10])
        data = saved(palette, "GIF" if mode == "P" else "PNG", transparency=1)
    picture = decode(data, "x")
    assert (picture.pixels[:, :18] == 0).all()
    assert (picture.pixels[:, 18:] == 255).all()
    assert picture.note == "Its transparent parts are shown on white."


def test_half_transparent_is_mixed_with_white() -> None:
    picture = decode(saved(Image.new("RGBA", (4, 4), (0, 0, 0, 51))), "x.png")
    assert (picture.pixels == 204).all()


def test_opaque_alpha_needs_no_remark() -> None:
    assert decode(saved(Image.fromarray(COLOURS).convert("RGBA")), "x.png").note == ""


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, np.rot90),
        (7, lambda a: np.rot90(a, 2).transpose(1, 0, 2)),
        (8, lambda a: np.rot90(a, 3)),
    ],
)
def test_shown_upright(kind: str, orientation: int, stored: Callable[[Any], Any]) -> None:
    image = Image.fromarray(np.ascontiguousarray(stored(COLOURS)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(saved(image, kind, exif=exif, quality=95), "x")
    assert picture.pixels.shape == COLOURS.shape
    assert np.abs(picture.pixels.astype(int) - COLOURS).mean() < 8
    assert picture.note == "Turned upright as its camera noted."


def test_one_pixel_is_a_picture() -> None:
    picture = decode(saved(Image.new("RGB", (1, 1), (10, 20, 30))), "x.png")
    assert picture.pixels.tolist() == [[[10, 20, 30]]]
    view = Preprocess().view(picture.pixels)
    assert view.shape == (224, 224, 3)
    assert (view == (10, 20, 30)).all()


def test_a_long_strip_is_prepared_without_filling_the_memory() -> None:
    strip = np.zeros((1, 65_000, 3), np.uint8)
    strip[:, 32_490:32_510] = 200
    view = Preprocess().view(strip)
    assert view.shape == (224, 224, 3)
    assert (view == 200).all()
    assert MAX_RATIO == 16


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>.png", "гладиолус 🌷.png", "a" * 5000 + ".png", "", "..\\..\\x", "a\nb\x00\u202e.png"],
)
def test_names_are_text(name: str) -> None:
    assert decode(saved(Image.fromarray(COLOURS)), name).name == name
    with pytest.raises(BadImage) as error:
        decode(b"no image", name)
    sentence = error.value.message
    assert len(sentence) < 110
    assert sentence.isprintable()
    assert sentence.endswith("is not an image this app can read.")


def test_a_long_name_keeps_both_ends() -> None:
    assert shown("begin" + "x" * 100 + "end.png", 20) == "beginxxxxxxxx…nd.png"
    assert shown("short.png") == "short.png"


def test_threads_decode_at_once() -> None:
    files = [saved(Image.fromarray(np.roll(COLOURS, shift, 1))) for shift in range(16)]
    with ThreadPoolExecutor(8) as pool:
        pictures = list(pool.map(lambda data: decode(data, "x"), files))
    assert all((picture.pixels == np.roll(COLOURS, shift, 1)).all() for shift, picture in enumerate(pictures))


REAL = [
    saved(Image.fromarray(COLOURS), kind, **options)
    for kind, options in [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True, "exif": Image.Exif()}),
        ("WEBP", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("GIF", {"save_all": True, "append_images": [Image.new("RGB", (36, 24))]}),
    ]
]


def picture_or_sentence(data: bytes) -> None:
    with contextlib.suppress(BadImage):
        pixels = decode(data, "fuzz").pixels
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.binary(max_size=300), st.sampled_from([b"", *(data[:16] for data in REAL)]))
@example(b"", b"II*\x00\x08\x00\x00\x00\xff\xff")
def test_any_bytes(tail: bytes, start: bytes) -> None:
    picture_or_sentence(start + tail)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.sampled_from(REAL), st.lists(st.tuples(st.integers(0, 3000), st.binary(max_size=4)), min_size=1, max_size=5))
def test_mutated_files(data: bytes, edits: list[tuple[int, bytes]]) -> None:
    mutated = bytearray(data)
    for place, new in edits:
        start = place % len(mutated)
        mutated[start : start + len(new)] = new or b"\xff"
    picture_or_sentence(bytes(mutated))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
def test_preprocess_shapes_and_inverse(interpolation: str) -> None:
    preprocess = Preprocess(20, 22, interpolation=interpolation)
    view = preprocess.view(COLOURS)
    tensor = preprocess.tensor(view)
    assert tensor.shape == (3, 20, 20)
    assert torch.allclose(
        preprocess.pixels(tensor) * 255, torch.from_numpy(view.copy()).permute(2, 0, 1).float(), atol=1e-3
    )
    assert torch.allclose(preprocess.normalised(preprocess.pixels(tensor)), tensor, atol=1e-6)


def test_resized_keeps_height_or_mass() -> None:
    maps = torch.rand(2, 4, 4)
    assert resized(maps, (4, 4)) is maps
    assert resized(torch.ones(1, 4, 4), (8, 12)).unique().tolist() == [1.0]
    assert torch.allclose(resized(maps, (8, 8), mass_preserving=True).sum((1, 2)), maps.sum((1, 2)), rtol=1e-5)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_an_image_of_pillow_is_read_like_its_file(mode: str) -> None:
    image = Image.fromarray(COLOURS)
    image = Image.fromarray(X.astype(np.uint16) * 900) if mode == "I;16" else image.convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray((X * 7).astype(np.uint8)))
    file = decode(saved(image, "TIFF"), "x")
    found = picture_of(image, "x")
    assert (found.pixels == file.pixels).all()
    assert found.note == file.note
    assert found.sha == picture_of(image.copy(), "y").sha
    assert found.sha != picture_of(image.crop((0, 0, 36, 23)), "x").sha


def test_the_frame_that_was_chosen_is_read() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    image = Image.open(io.BytesIO(saved(frames[0], "GIF", save_all=True, append_images=frames[1:])))
    image.seek(1)
    assert tuple(picture_of(image, "x").pixels[0, 0]) == (0, 0, 255)
    assert image.tell() == 1


def test_images_of_pillow_that_are_none_are_told() -> None:
    whole = saved(Image.fromarray(COLOURS).resize((400, 400)), "JPEG")
    with pytest.raises(BadImage, match=r"x\.jpg is incomplete or damaged. Open it again."):
        picture_of(Image.open(io.BytesIO(whole[: len(whole) // 3])), "x.jpg")
    with pytest.raises(BadImage, match=r"x has no pixels\."):
        picture_of(Image.new("RGB", (0, 5)), "x")
    with pytest.raises(BadImage, match=r"x has 8,000 × 7,000 px, 56 megapixels; the limit is 50\."):
        picture_of(Image.new("1", (8000, 7000)), "x")
