"""Masks that belong to one image: uploaded ones, and those of the examples."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from skimage.measure import points_in_poly

from core.data import flowers
from core.data.listing import LeftOut
from core.data.masks import mask_folder
from core.data.masks.uploaded import MaskFiles, drawn_mask, mask_files, uploaded_mask
from core.data.samples import samples
from core.errors import BadImage
from core.images import Preprocess, decode

WHOLE = Preprocess(crop=32, resize=32)
BOX = np.zeros((32, 32), bool)
BOX[4:12, 8:30] = True


def png(values):
    stream = io.BytesIO()
    Image.fromarray(np.asarray(values)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("file", ["anything.png", "C:\\masks\\another.PNG", "../up.png"])
def test_a_picture_is_the_mask_whatever_it_is_called(file):
    content = png(BOX.astype(np.uint8) * 255)
    for image in ("photo.jpg", "class/photo.jpg", "..\\photo"):
        found = uploaded_mask(content, file, image, (32, 32), WHOLE)
        assert np.array_equal(found.mask, BOX), image


def test_a_coco_file_says_which_image_it_is_about():
    content = {
        "images": [{"id": 7, "file_name": "photo.jpg", "width": 32, "height": 32}],
        "annotations": [{"image_id": 7, "category_id": 1, "bbox": [8, 4, 22, 8]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    found = uploaded_mask(json.dumps(content).encode(), "instances.json", "photo.jpg", (32, 32), WHOLE)
    assert np.array_equal(found.mask, BOX)
    assert found.boxes.tolist() == [[4, 8, 8, 22]]
    with pytest.raises(BadImage, match="has no mask for other"):
        uploaded_mask(json.dumps(content).encode(), "instances.json", "other.jpg", (32, 32), WHOLE)


def test_a_file_of_boxes_is_named_as_its_image():
    content = (
        "<annotation><size><width>32</width><height>32</height></size><object><name>cat</name><bndbox><xmin>9</xmin>"
        "<ymin>5</ymin><xmax>30</xmax><ymax>12</ymax></bndbox></object></annotation>"
    )
    found = uploaded_mask(content.encode(), "boxes.xml", "photo.jpg", (32, 32), WHOLE)
    assert np.array_equal(found.mask, BOX)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"nothing", "cannot be read as an image"),
        (png(np.zeros((32, 32), np.uint8)), "marks nothing"),
        (png(np.ones((32, 64), np.uint8)), "proportions"),
        (png(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)), "colour"),
    ],
)
def test_what_is_no_mask_is_refused_with_a_sentence(content, message):
    with pytest.raises(BadImage, match=message):
        uploaded_mask(content, "mask.png", "photo.jpg", (32, 32), WHOLE)


def test_examples_of_flowers_have_the_mask_of_the_part_that_decides():
    size = Preprocess(crop=384, resize=384)
    drawn = [one for one in samples() if one.draw]
    assert drawn
    for one in drawn:
        assert np.array_equal(decode(one.path.read_bytes(), "").pixels, flowers.draw(**one.draw).image), one.name
        found, expected = one.mask(size), flowers.draw(**one.draw).mask
        assert (found is not None) == expected.any(), "a flower without leaves has no mask"
        assert found is None or np.array_equal(found.mask, expected), one.name
    assert [one.mask(size) for one in samples() if not one.draw] == [None] * (len(samples()) - len(drawn))


RECTANGLE = [8, 4, 30, 4, 30, 12, 8, 12]
TRIANGLE = [2.5, 30, 16.2, 14.7, 29.9, 31]


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def test_drawn_outlines_mark_the_pixels_whose_centres_they_hold():
    rows, columns = np.mgrid[:32, :48] + 0.5
    centres = np.stack([columns.ravel(), rows.ravel()], 1)
    expected = np.zeros((32, 48), bool)
    for outline in (RECTANGLE, TRIANGLE):
        expected |= points_in_poly(centres, np.reshape(outline, (-1, 2))).reshape(32, 48)
    found = pixels(drawn_mask([RECTANGLE, TRIANGLE], (32, 48)))
    assert np.array_equal(found > 0, expected)
    assert set(np.unique(found)) == {0, 255}
    assert np.array_equal(pixels(drawn_mask([RECTANGLE], (32, 32))) > 0, BOX)


def test_an_outline_that_crosses_itself_leaves_out_what_it_surrounds_twice():
    twice = [4, 4, 28, 4, 28, 28, 4, 28, 4, 4, 10, 10, 20, 10, 20, 20, 10, 20, 10, 10]
    found = pixels(drawn_mask([twice], (32, 32))) > 0
    assert found[5, 5]
    assert not found[15, 15]
    assert found.sum() == 24**2 - 10**2


def test_a_drawing_is_treated_as_its_file_is(tmp_path):
    content = drawn_mask([TRIANGLE], (32, 48))
    (tmp_path / "photo.png").write_bytes(content)
    for preprocess in (WHOLE, Preprocess(crop=20, resize=30), Preprocess(crop=(40, 24), resize=(40, 24), squash=True)):
        expected = mask_folder(tmp_path, ["photo.jpg"]).mask("photo.jpg", (32, 48), preprocess)
        found = uploaded_mask(content, "photo.png", "photo.jpg", (32, 48), preprocess)
        assert np.array_equal(found.mask, expected.mask)
        assert found.notes == expected.notes == ()


@pytest.mark.parametrize(
    ("outlines", "message"),
    [
        (None, "marks no pixel"),
        ([], "marks no pixel"),
        ([[1, 1, 1.2, 1, 1.2, 1.2]], "marks no pixel"),
        ([[50, 50, 60, 50, 60, 60]], "marks no pixel"),
        ([[1, 1, 5]], "no polygon"),
        ([["a", 1, 5, 5, 9, 9]], "no polygon"),
        ([[1, 1, float("nan"), 5, 9, 9]], "no polygon"),
        ([[1e9, 1, 5, 5, 9, 9]], "no polygon"),
        (["nonsense"], "no polygon"),
        ([RECTANGLE] * 1001, "more than 1,000 outlines"),
    ],
)
def test_what_is_no_drawing_is_refused_with_a_sentence(outlines, message):
    with pytest.raises(BadImage, match=message):
        drawn_mask(outlines, (32, 32))


def test_files_for_many_images_are_matched_as_those_in_a_folder_are(tmp_path):
    coco = {
        "images": [{"id": 1, "file_name": "three.jpg", "width": 32, "height": 32}],
        "annotations": [{"image_id": 1, "bbox": [8, 4, 22, 8]}],
    }
    files = {
        "a/one.png": png(BOX.astype(np.uint8) * 255),
        "two.PNG": png(BOX.T.astype(np.uint8) * 255),
        "all.json": json.dumps(coco).encode(),
        "bad.json": b"{",
        "stray.png": png(BOX.astype(np.uint8)),
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    paths = ["a/one.jpg", "two.webp", "b/three.jpg", "four.jpg"]
    expected, found = mask_folder(tmp_path, paths), MaskFiles(files).folder(paths)
    assert found.missing == expected.missing == {"four.jpg": "There is no mask for four.jpg."}
    assert set(found.notes) == set(expected.notes)
    assert len(found.notes) == 2
    for path in paths[:3]:
        ours, theirs = (one.mask(path, (32, 32), WHOLE) for one in (found, expected))
        assert np.array_equal(ours.mask, theirs.mask), path
        assert np.array_equal(ours.boxes, theirs.boxes), path
    assert np.array_equal(found.mask("b/three.jpg", (32, 32), WHOLE).mask, BOX)


def test_archives_of_masks_are_unpacked_and_what_holds_no_mask_is_counted():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("masks/one.png", png(BOX))
        archive.writestr("read me.txt", "nothing")
    left_out = LeftOut()
    given = [("set.zip", stream.getvalue()), ("two.png", png(BOX)), ("large.png", bytes(2_000)), ("b.zip", b"PK\3\4")]
    found = mask_files(given, left_out, 2_000)
    assert list(found) == ["masks/one.png", "two.png"]
    reasons = " ".join(left_out.reasons())
    for part in ("files that hold no masks (read me.txt)", "have no room (large.png)", "b.zip is damaged"):
        assert part in reasons


def test_a_text_over_the_limit_is_not_read(monkeypatch):
    monkeypatch.setenv("VITRINE_TEXT_MB", "1")
    found = MaskFiles({"all.json": b" " * 1_000_001, "one.xml": b" " * 1_000_001}).folder(["one.jpg"])
    assert "all.json is not read as COCO: it is over the limit of 1 MB" in found.notes[0]
    with pytest.raises(BadImage, match="over the limit of 1 MB"):
        found.mask("one.jpg", (32, 32), WHOLE)


def test_equal_files_have_equal_keys_and_others_have_not():
    keys = [
        MaskFiles(files).key for files in ({"a": b"1"}, {"a": b"1"}, {"a": b"2"}, {"b": b"1"}, {"a": b"1", "b": b""})
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4
