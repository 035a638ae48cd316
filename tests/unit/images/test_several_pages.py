"""Files of several pages: each is shown as Pillow reads it, and what was chosen tells pictures apart."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.errors import BadImage
from core.images import Picture, decode, deferred
from core.images.structure import ordinary

COLOURS = ("red", "lime", "blue", "white")
KINDS = ("TIFF", "GIF", "WEBP", "PNG")


def pages(kind: str, sizes: tuple[int, ...] = (16,) * 4, **options: Any) -> bytes:
    first, *others = (Image.new("RGB", (side, side), colour) for side, colour in zip(sizes, COLOURS, strict=False))
    stream = io.BytesIO()
    extra = {"lossless": True} if kind == "WEBP" else {}
    first.save(stream, kind, save_all=True, append_images=others, **extra, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("page", [1, 2, 4])
def test_a_page_is_what_pillow_shows_there(kind: str, page: int) -> None:
    data = pages(kind)
    picture = decode(data, "x", page=page)
    with Image.open(io.BytesIO(data)) as image:
        image.seek(page - 1)
        expected = np.asarray(image.convert("RGB"))
    assert (picture.pixels == expected).all()
    assert (picture.page, picture.pages, picture.note) == (page, 4, f"Page {page} of 4.")


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "PNG"])
@pytest.mark.parametrize("page", [0, -1, 3, 10**9])
def test_a_page_that_is_not_there_is_refused(kind: str, page: int) -> None:
    with pytest.raises(BadImage, match=r"x has 2 pages, and no page") as error:
        decode(pages(kind, (16, 16)), "x", page=page)
    assert error.value.hint == "Choose page 1 to 2."


def test_a_file_of_one_page_says_so() -> None:
    with pytest.raises(BadImage, match=r"^x has one page, and no page 2\. Choose page 1\.$"):
        decode(pages("TIFF", (16,)), "x", page=2)
    assert decode(pages("TIFF", (16,)), "x").note == ""


def test_pages_of_a_tiff_have_sizes_of_their_own() -> None:
    assert [decode(pages("TIFF", (9, 16, 24)), "x", page=page).pixels.shape[0] for page in (1, 2, 3)] == [9, 16, 24]


def test_a_vast_page_is_refused_before_it_is_decoded() -> None:
    stream = io.BytesIO()
    large = Image.new("1", (8000, 8000))
    Image.new("1", (8, 8)).save(stream, "TIFF", save_all=True, append_images=[large], compression="group4")
    assert decode(stream.getvalue(), "x").pages == 2
    with pytest.raises(BadImage, match="64 megapixels"):
        decode(stream.getvalue(), "x", page=2)


def test_a_page_of_16_bits_keeps_them() -> None:
    values = [np.arange(256 * 8, dtype=np.uint16).reshape(32, 64) * 7 + shift for shift in (0, 90)]
    stream = io.BytesIO()
    first, second = map(Image.fromarray, values)
    first.save(stream, "TIFF", save_all=True, append_images=[second])
    picture = decode(stream.getvalue(), "x", page=2)
    assert np.allclose(picture.values, values[1] / 16383, atol=1e-6)
    assert picture.scale is not None
    assert (picture.scale.least, picture.scale.most, picture.scale.whole) == (90, values[1].max(), True)


def test_pictures_of_other_pages_and_windows_have_other_keys() -> None:
    data = pages("TIFF")
    shown: list[Picture] = [decode(data, "x", window, page) for page in (1, 2) for window in (None, (0, 99), (0, 100))]
    assert len({picture.key for picture in shown}) == len(shown)
    assert {picture.sha for picture in shown} == {shown[0].sha} == {shown[0].key}
    later = deferred(lambda: decode(data, "x", (0, 99), 2))
    assert (later.key, later.page, later.pages, later.window) == (shown[4].key, 2, 4, (0, 99))


@pytest.mark.parametrize("kind", ["TIFF", "GIF"])
def test_very_many_pages_are_counted_in_a_process_of_its_own(kind: str) -> None:
    stream = io.BytesIO()
    first, *others = (Image.new("L", (2, 1), number % 250) for number in range(1200))
    first.save(stream, kind, save_all=True, append_images=others)
    assert ordinary(pages(kind), kind)
    assert not ordinary(stream.getvalue(), kind)
