"""Deep images: the range shown is the real one and is said, and the network sees more than 256 levels."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from core.data.image_folder import image_folder
from core.errors import BadImage, BadParameter
from core.explain.execution import RunLog
from core.images import Picture, Preprocess, decode, picture_of, window_of
from core.progress import silent
from core.study import shard
from core.study.config import PatchConfig, TransactionConfig
from core.study.plan import StudyPlan
from core.workbench import Workbench
from tests import nets

Y, X = np.mgrid[:24, :36]
RAMP = (Y * 36 + X) / (24 * 36 - 1)  # 0 to 1, every value once


def tiff(values: NDArray[Any]) -> bytes:
    """An uncompressed TIFF of one channel or of colours, in the byte order of the values."""
    height, width = values.shape[:2]
    bands, bits = values.size // (height * width), 8 * values.dtype.itemsize
    end = "<" if values.dtype.byteorder in "<=|" else ">"
    sample = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    after = 8 + 2 + 12 * 11 + 4
    lists = struct.pack(f"{end}{bands}H", *[bits] * bands) if bands > 2 else b""
    entries = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, bands, after if lists else bits), (259, 3, 1, 1)]
    entries += [(262, 3, 1, 2 if bands > 2 else 1), (273, 4, 1, after + len(lists)), (277, 3, 1, bands)]
    entries += [(278, 3, 1, height), (279, 4, 1, values.nbytes), (284, 3, 1, 1), (339, 3, 1, sample)]
    head = (b"II*\0" if end == "<" else b"MM\0*") + struct.pack(f"{end}IH", 8, len(entries))
    for tag, kind, count, value in entries:
        short = kind == 3 and count == 1
        head += struct.pack(f"{end}HHI", tag, kind, count) + struct.pack(
            f"{end}{'HH' if short else 'I'}", *((value, 0) if short else (value,))
        )
    return head + b"\0\0\0\0" + lists + values.tobytes()


def png(values: NDArray[Any], colour: int) -> bytes:
    """A PNG of 16 bits: colour type 0 grey, 2 RGB, 4 grey with alpha, 6 RGBA."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    size = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def deep(values: NDArray[Any], **options: Any) -> Picture:
    return decode(tiff(values), "x.tif", **options)


@pytest.mark.parametrize(
    ("values", "low", "high", "note"),
    [
        ((RAMP * 4095).astype("<u2"), 0, 4095, "Values 0 to 4,095 of 16 bits shown as black to white."),
        ((RAMP * 4095).astype(">u2"), 0, 4095, "Values 0 to 4,095 of 16 bits shown as black to white."),
        ((RAMP * 900).astype("<u2"), 0, 1023, "Values 0 to 1,023 of 16 bits shown as black to white."),
        ((RAMP * 16000).astype("<u2"), 0, 16383, "Values 0 to 16,383 of 16 bits shown as black to white."),
        ((RAMP * 60000).astype("<u2"), 0, 65535, "Values 0 to 65,535 of 16 bits shown as black to white."),
        ((RAMP * 200).astype("<u2"), 0, 255, "Values 0 to 255 of 16 bits shown as black to white."),
        ((RAMP * 20).astype("<u2"), 0, 20, "Values 0 to 20 of 16 bits shown as black to white."),
        ((RAMP * 4000 - 1000).astype("<i2"), -1000, 3000, "Values −1,000 to 3,000 of 16 bits shown as black to white."),
        ((RAMP * 255 - 100).astype("<i4"), -100, 155, "Values −100 to 155 of 32 bits shown as black to white."),
        ((RAMP * 255 - 100).astype(">i4"), -100, 155, "Values −100 to 155 of 32 bits shown as black to white."),
        ((RAMP * 4e9).astype("<u4"), 0, 4e9, "Values 0 to 4,000,000,000 of 32 bits shown as black to white."),
        (RAMP.astype("<f4"), 0, 1, "Values 0 to 1 shown as black to white."),
        ((RAMP * 0.8 + 0.1).astype("<f4"), 0, 1, "Values 0 to 1 shown as black to white."),
        ((RAMP * 0.25).astype("<f4"), 0, 0.25, "Values 0 to 0.25 shown as black to white."),
        ((RAMP * 17.5 - 3).astype(">f4"), -3, 14.5, "Values −3 to 14.5 shown as black to white."),
        ((RAMP * 1e9).astype("<f8"), 0, 1e9, "Values 0 to 1,000,000,000 shown as black to white."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_real_range_is_shown_and_said(values: NDArray[Any], low: float, high: float, note: str) -> None:
    picture = deep(values)
    assert picture.note == note
    assert picture.values is not None
    expected = (values.astype(np.float64) - low) / (high - low)
    assert np.abs(picture.values - expected).max() < 1e-6
    assert (picture.pixels == np.rint(picture.values * 255)[..., None]).all()


@pytest.mark.parametrize("kind", ["<f2", "<f4", ">f4", "<f8", "<i4"])
def test_floats_in_colour_and_of_other_sizes(kind: str) -> None:
    values = np.dstack([RAMP, RAMP[::-1], 1 - RAMP**2]) * (1023 if kind == "<i4" else 1)
    for part in (values, values[..., 0]):
        picture = deep(part.astype(kind))
        assert picture.values is not None
        assert picture.values.shape == part.shape
        whole = part.astype(kind).astype(np.float64)
        assert np.abs(picture.values - whole / whole.max()).max() < 1e-3


def test_what_is_no_number_is_black_and_counted() -> None:
    values = RAMP.astype(np.float32)
    values[:2, :3], values[5, 5], values[6, 6] = np.nan, np.inf, -np.inf
    picture = deep(values)
    assert (
        picture.note
        == "Values 0 to 1 shown as black to white; 8 pixels are not numbers (NaN or infinite), shown black."
    )
    assert not picture.pixels[:2, :3].any()
    assert not picture.pixels[5, 5].any()
    assert picture.pixels[20, 20].all()
    with pytest.raises(BadImage, match="contains no number"):
        deep(values * np.nan)


def test_a_tiff_of_many_channels_is_told() -> None:
    with pytest.raises(BadImage, match=r"x\.tif is a TIFF of 5 channels, which this app cannot read\."):
        deep(np.dstack([RAMP] * 5).astype("<f4"))


def test_one_value_everywhere_is_black() -> None:
    assert not deep(np.full((4, 4), 7.0, np.float32)).pixels.any()


@pytest.mark.parametrize("colour", [0, 2, 4, 6])
def test_sixteen_bits_of_a_png_are_all_read(colour: int) -> None:
    rng = np.random.default_rng(colour)
    values = rng.integers(0, 65536, (9, 11, {0: 1, 2: 3, 4: 2, 6: 4}[colour]))
    picture = decode(png(values, colour), "x.png")
    assert picture.values is not None
    colours = values[..., : 1 if colour in (0, 4) else 3] / 65535
    opacity = values[..., -1:] / 65535 if colour in (4, 6) else 1
    found = picture.values if picture.values.ndim == 3 else picture.values[..., None]
    assert np.abs(found - (colours * opacity + 1 - opacity)).max() < 1e-6
    assert picture.note.startswith("Values 0 to 65,535 of 16 bits shown as black to white.")


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bits_of_colours_in_a_tiff_are_all_read(order: str) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (9, 11, 3))
    picture = deep(values.astype(f"{order}u2"))
    assert picture.values is not None
    assert np.abs(picture.values - values / 65535).max() < 1e-6


def test_deep_images_are_shown_upright() -> None:
    image, exif = Image.fromarray((RAMP * 4095).astype(np.uint16)), Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    image.save(stream, "PNG", exif=exif)
    picture = decode(stream.getvalue(), "x.png")
    assert picture.pixels.shape == (36, 24, 3)
    assert picture.values is not None
    assert np.abs(picture.values - np.rot90(np.floor(RAMP * 4095) / 4095, -1)).max() < 1e-6


@pytest.mark.parametrize("values", [(RAMP * 4095).astype("<u2"), RAMP.astype("<f4")])
def test_a_window_in_the_units_of_the_file(values: NDArray[Any]) -> None:
    low, high = float(values.max()) / 4, float(values.max()) / 2
    picture = deep(values, window=(low, high))
    assert picture.values is not None
    assert np.abs(picture.values - ((values - low) / (high - low)).clip(0, 1)).max() < 1e-4
    assert "shown as black to white." in picture.note


def test_a_window_of_an_image_of_eight_bits() -> None:
    pixels = np.dstack([X * 7, Y * 10, 255 - X * 7]).astype(np.uint8)
    picture = picture_of(Image.fromarray(pixels), "x", (0, 100))
    assert picture.note == "Values 0 to 100 of 8 bits shown as black to white."
    assert picture.values is not None
    assert np.abs(picture.values - (pixels / 100).clip(0, 1)).max() < 1e-6


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "5,5", "6,5", "nan,1", "0,inf", "0,1e400"])
def test_windows_that_are_none_get_a_sentence(text: str) -> None:
    with pytest.raises(BadParameter, match="LOW,HIGH"):
        window_of(text)
    assert window_of(" -3, 4.5e1") == (-3, 45)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
def test_a_network_sees_more_than_256_levels(interpolation: str) -> None:
    preprocess = Preprocess(20, 22, interpolation=interpolation)
    picture = deep((RAMP * 4095).astype("<u2"))
    view = preprocess.view(picture.source)
    assert view.shape == (20, 20, 3)
    assert len(np.unique(view)) > 256
    assert (view.min(), view.max()) >= (0, 0)
    assert view.max() <= 1
    shown = preprocess.tensor(preprocess.view(picture.pixels))
    assert torch.allclose(preprocess.tensor(view), shown, atol=0.02)


def test_images_of_eight_bits_have_no_other_values() -> None:
    stream = io.BytesIO()
    Image.fromarray((RAMP * 255).astype(np.uint8)).save(stream, "PNG")
    picture = decode(stream.getvalue(), "x.png")
    assert picture.values is None
    assert picture.source is picture.pixels
    assert picture.note == ""


def test_the_workbench_and_studies_see_the_depth(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    content = tiff((np.kron(RAMP, np.ones((3, 3))) * 4095).astype("<u2"))
    (tmp_path / "a" / "x.tif").write_bytes(content)
    model = nets.model("gap")
    seen = Workbench(model).inputs(decode(content, "x"))
    assert len(seen.unique()) > 256
    settings = {"explainer": "grad_cam", "settings": {}, "patches": PatchConfig(), "transactions": TransactionConfig()}
    plan = StudyPlan.of(model, image_folder(tmp_path, model.labels), layer="", **settings)
    images, views = shard._opened(plan, range(1), silent)
    batch = shard._read(plan, images, views, RunLog(), silent)
    assert torch.equal(batch.images.cpu(), seen.cpu())
    assert batch.views.dtype == np.uint8
    assert (batch.views[0] == np.rint(views[0] * 255)).all()
