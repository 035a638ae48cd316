"""Folders of images: classes from sub-folders, masks and concepts from beside them, a fingerprint of the content."""

import shutil

import numpy as np
import pytest
from PIL import Image

from core.data import flowers, folders
from core.errors import BadImage, Unavailable


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("flowers") / "set"
    flowers.write("double-12c", root, per_class=1, size=40)
    return root


def test_flowers_come_back_as_they_were_drawn(data):
    found = folders.scan(data)
    assert found.classes == flowers.class_names("double-12c")
    assert found.labels == tuple(range(12))
    for index in range(12):
        flower = flowers.draw("double-12c", index, index, size=40)
        assert (folders.mask(found, index) == flower.mask).all()
        known = folders.concepts(found, index)
        assert set(known) == set(flower.concepts)
        assert all((known[name] == flower.concepts[name]).all() for name in known)
    assert folders.manifest(found)["variant"] == "double-12c"


def test_plain_class_folders_and_loose_files(tmp_path, data):
    shutil.copytree(data / "images", tmp_path / "plain")
    plain = folders.scan(tmp_path / "plain")
    assert plain.classes == flowers.class_names("double-12c")
    assert folders.mask(plain, 0) is None
    assert folders.concepts(plain, 0) == {}
    loose = folders.scan(tmp_path / "plain" / "red-stem")
    assert loose.classes == ()
    assert loose.labels == (-1,)


def test_published_layout_with_other_endings(tmp_path):
    for folder, value in (("images", 90), ("masks", 255)):
        (tmp_path / folder / "c1").mkdir(parents=True)
        ending = "JPG" if folder == "images" else "png"
        Image.new("L", (8, 6), value).save(
            tmp_path / folder / "c1" / f"x_r1.{ending}", "JPEG" if value == 90 else "PNG"
        )
    found = folders.scan(tmp_path)
    assert found.name(0) == "c1/x_r1.JPG"
    assert folders.mask(found, 0).all()
    assert folders.mask(found, 0).shape == (6, 8)


def test_hidden_and_other_files_do_not_count(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / ".b").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "a" / "x.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "a" / ".x.png")
    Image.new("RGB", (4, 4)).save(tmp_path / ".b" / "x.png")
    (tmp_path / "a" / "notes.txt").write_text("no image")
    assert [path.name for path in folders.scan(tmp_path).files] == ["x.png"]


def test_fingerprint_is_of_names_and_contents(tmp_path, data):
    first = folders.fingerprint(folders.scan(data))
    shutil.copytree(data / "images", tmp_path / "copy")
    copy = folders.scan(tmp_path / "copy")
    assert folders.fingerprint(copy) == first
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(copy.files[3])
    assert folders.fingerprint(copy) != first
    shutil.copy(data / "images" / copy.name(3), copy.files[3])
    copy.files[3].rename(copy.files[3].with_name("other.png"))
    assert folders.fingerprint(folders.scan(tmp_path / "copy")) != first


def test_missing_things_get_a_sentence(tmp_path):
    with pytest.raises(Unavailable, match="cannot be opened"):
        folders.scan(tmp_path / "nowhere")
    with pytest.raises(Unavailable, match="no image"):
        folders.scan(tmp_path)
    for folder in ("images", "masks"):
        (tmp_path / folder / "a").mkdir(parents=True)
        (tmp_path / folder / "a" / "x.png").write_text("not a picture")
    with pytest.raises(BadImage, match=r"x\.png"):
        folders.mask(folders.scan(tmp_path), 0)


@pytest.mark.parametrize("sample", folders.samples(), ids=lambda sample: sample.name)
def test_samples_are_the_flowers_they_say_they_are(sample):
    flower = flowers.draw(**sample.draw)
    with Image.open(sample.path) as image:
        difference = np.asarray(image).astype(int) - flower.image
    assert np.abs(difference).max() <= 1  # exp and cos may differ in their last bit from machine to machine
    assert flower.name == sample.label
    assert sample.alt.endswith(".")
