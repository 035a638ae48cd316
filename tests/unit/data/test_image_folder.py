"""Folders of images: classes from sub-folders, masks and concepts from beside them, what is left out."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from core.data import flowers
from core.data.image_folder import contents, image_folder, scan
from core.data.layout import UNKNOWN
from core.data.samples import samples
from core.errors import BadImage, Cancelled, Unavailable


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("flowers") / "set"
    flowers.write("double-12c", root, per_class=1, size=40)
    return root


def test_flowers_come_back_as_they_were_drawn(data):
    found = scan(data)
    assert found.folders == flowers.class_names("double-12c")
    assert found.labels == tuple(range(12))
    for index in range(12):
        flower = flowers.draw("double-12c", index, index, size=40)
        assert (found.mask(index) == flower.mask).all()
        known = found.concepts(index)
        assert set(known) == set(flower.concepts)
        assert all((known[name] == flower.concepts[name]).all() for name in known)
    assert found.manifest()["variant"] == "double-12c"


def test_plain_class_folders_and_loose_files(tmp_path, data):
    shutil.copytree(data / "images", tmp_path / "plain")
    plain = scan(tmp_path / "plain")
    assert plain.folders == flowers.class_names("double-12c")
    assert plain.mask(0) is None
    assert plain.concepts(0) == {}
    loose = scan(tmp_path / "plain" / "red-stem")
    assert loose.folders == ()
    assert loose.labels == (-1,)


def test_published_layout_with_other_endings(tmp_path):
    for folder, value in (("images", 90), ("masks", 255)):
        (tmp_path / folder / "c1").mkdir(parents=True)
        ending = "JPG" if folder == "images" else "png"
        Image.new("L", (8, 6), value).save(
            tmp_path / folder / "c1" / f"x_r1.{ending}", "JPEG" if value == 90 else "PNG"
        )
    found = scan(tmp_path)
    assert found.paths[0] == "c1/x_r1.JPG"
    assert found.mask(0).all()
    assert found.mask(0).shape == (6, 8)


def test_hidden_and_other_files_do_not_count(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / ".b").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "a" / "x.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "a" / ".x.png")
    Image.new("RGB", (4, 4)).save(tmp_path / ".b" / "x.png")
    (tmp_path / "a" / "notes.txt").write_text("no image")
    assert scan(tmp_path).paths == ("a/x.png",)


def test_contents_go_by_every_byte(tmp_path, data):
    found = scan(data)
    names = found.paths
    seen = []
    first = contents(found.root, names, lambda fraction, note: seen.append(fraction))
    assert len(set(first)) == 12
    assert seen == sorted(seen)
    assert seen[-1] == 1
    shutil.copytree(data / "images", tmp_path / "copy")
    assert contents(tmp_path / "copy", names) == first
    file, times = tmp_path / "copy" / names[3], (tmp_path / "copy" / names[3]).stat()
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    (tmp_path / "copy" / names[5]).unlink()
    again = contents(tmp_path / "copy", names)
    assert [number for number in range(12) if again[number] != first[number]] == [3, 5]
    assert again[5] == ""

    def stop(fraction, note):
        if fraction > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        contents(found.root, names, stop)


def test_what_is_left_out_is_counted_with_its_reason(tmp_path, monkeypatch):
    def picture(*place):
        path = tmp_path.joinpath(*place)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path, "PNG")

    for place in (("a", "x.png"), ("b", "x.png"), ("loose.png",), ("a", "deep", "1.png"), ("a", "deep", "er", "2.png")):
        picture(*place)
    picture("b", "folder.png", "inside.png")
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    kinds = {"phone.HEIC": heic, "other.heic": heic, ".hidden.heic": heic, "drawing.svg": b"<?xml?><svg/>"}
    kinds |= {"notes.txt": b"x", "text.png": b"x", "nothing.jpg": b"", "Thumbs.db": b"x"}
    for name, content in kinds.items():
        (tmp_path / "b" / name).write_bytes(content)
    (tmp_path / "a" / "dangling.png").symlink_to("nowhere.png")
    (tmp_path / "a" / "circle.png").symlink_to("circle.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "back").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "a" / "pipe.png")
    (tmp_path / "a" / "piped.png").symlink_to("pipe.png")
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("os.scandir", refusing)
    found = scan(tmp_path)
    assert list(found.paths) == [
        "a/circle.png",
        "a/dangling.png",
        "a/x.png",
        "a/deep/1.png",
        "a/deep/er/2.png",
        "b/x.png",
        "b/folder.png/inside.png",
    ]
    assert dict(found.skipped) == {
        "HEIC images, which are not read (other.heic, phone.HEIC)": 2,
        "SVG drawings, which are not read (drawing.svg)": 1,
        "empty files (nothing.jpg)": 1,
        "files that are no images (notes.txt, text.png)": 2,
        "folders that cannot be opened: Permission denied (locked/)": 1,
        "links to a folder that they lie in": 2,
        "pictures beside the sub-folders (loose.png)": 1,
        "pipes and devices (pipe.png, piped.png)": 2,
        "system and hidden files": 2,
    }
    for path in ("a", "b"):
        shutil.rmtree(tmp_path / path)
    (tmp_path / "loose.png").unlink()
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "scan.nii").write_bytes(b"x")
    with pytest.raises(Unavailable, match=r"no image in .* Left out: NIfTI files, which are not read \(scan\.nii\): 1"):
        scan(tmp_path)


def folder_classes(tmp_path, names, labels):
    """The class that each of these sub-folders means."""
    for name in names:
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name / "x.png")
    found = image_folder(tmp_path, labels)
    return [found.labels[found.folders.index(name)] for name in names]


def test_a_folder_means_a_class_by_label_wordnet_id_or_index(tmp_path):
    labels = ["tabby cat", "Tiger_Cat", "crane", "crane", "7"]
    assert folder_classes(tmp_path / "a", ("Tabby-Cat", "tiger cat", "TIGER__CAT"), labels) == [0, 1, 1]
    assert folder_classes(tmp_path / "b", ("crane",), labels) == [UNKNOWN], "two classes are called so"
    reasons = image_folder(tmp_path / "b", labels).unmatched
    assert dict(reasons) == {"crane": "The label 'crane' is shared by the classes 2 and 3."}
    assert folder_classes(tmp_path / "c", ("0", "03", "4"), labels) == [0, 3, 4]
    assert folder_classes(tmp_path / "d", ("7",), labels) == [4], "a label comes before an index"
    nowhere = ("5", "-1", "1.0", "zebra", "n01440764", "9999999")
    assert folder_classes(tmp_path / "e", nowhere, labels) == [UNKNOWN] * 6
    thousand = [f"class {number}" for number in range(1000)]
    ids = ("n01440764", "n01443537", "n15075141")
    assert folder_classes(tmp_path / "f", ids, thousand) == [0, 1, 999]
    assert folder_classes(tmp_path / "g", ("n00000001", "999"), thousand) == [UNKNOWN, 999]
    assert folder_classes(tmp_path / "g", ("999", "1000"), thousand) == [UNKNOWN, UNKNOWN], "they count from 1"
    assert folder_classes(tmp_path / "f", ids[:1], thousand[:-1]) == [UNKNOWN], "another number is not ImageNet's"


def test_boxes_are_given_or_surround_the_mask(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder / "a").mkdir(parents=True)
        for name in ("given", "masked", "empty", "plain"):
            Image.new("L", (9, 7)).save(tmp_path / folder / "a" / f"{name}.png")
    mask = np.zeros((7, 9), np.uint8)
    mask[2, 3:8] = mask[5, 4] = 255
    Image.fromarray(mask).save(tmp_path / "masks" / "a" / "masked.png")
    (tmp_path / "masks" / "a" / "plain.png").unlink()
    (tmp_path / "boxes.json").write_text('{"a/given.png": [[0, 1, 2, 3], [4, 5, 2, 2]]}')
    found = scan(tmp_path)
    assert found.paths == ("a/empty.png", "a/given.png", "a/masked.png", "a/plain.png")
    assert [found.boxes(index) for index in range(4)] == [(), ((0, 1, 2, 3), (4, 5, 2, 2)), ((2, 3, 4, 5),), ()]
    for wrong in ('{"a/given.png": [[0, 1, 2]]}', '{"a/given.png": 3}', '{"a/given.png": [[0, 1, 2, -3]]}', "{"):
        (tmp_path / "boxes.json").write_text(wrong)
        with pytest.raises(Unavailable, match=r"boxes\.json"):
            scan(tmp_path).boxes(1)


def test_labels_go_with_their_images(tmp_path):
    for folder in ("2", "crane", "zebra"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / folder / "x.png")
    found = image_folder(tmp_path, ["crane", "b", "c"])
    assert found.paths == ("2/x.png", "crane/x.png", "zebra/x.png")
    assert found.labels == (2, 0, UNKNOWN)
    assert dict(found.unmatched) == {"zebra": "The model has no class zebra."}


def test_missing_things_get_a_sentence(tmp_path):
    with pytest.raises(Unavailable, match="cannot be opened"):
        scan(tmp_path / "nowhere")
    with pytest.raises(Unavailable, match="no image"):
        scan(tmp_path)
    for folder in ("images", "masks"):
        (tmp_path / folder / "a").mkdir(parents=True)
        Image.new("L", (4, 4)).save(tmp_path / folder / "a" / "x.png")
    (tmp_path / "masks" / "a" / "x.png").write_text("not a picture")
    with pytest.raises(BadImage, match=r"x\.png"):
        scan(tmp_path).mask(0)


@pytest.mark.parametrize("sample", [one for one in samples() if one.draw], ids=lambda sample: sample.name)
def test_samples_are_the_flowers_they_say_they_are(sample):
    flower = flowers.draw(**sample.draw)
    with Image.open(sample.path) as image:
        difference = np.asarray(image).astype(int) - flower.image
    assert np.abs(difference).max() <= 1  # exp and cos may differ in their last bit from machine to machine
    assert flower.name == sample.label
    assert sample.alt.endswith(".")


def test_folders_counted_from_one_are_not_shifted(tmp_path):
    for name in ("1", "2", "3"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "a.png")
    found = image_folder(tmp_path, ("rose", "tulip", "lily"))
    assert set(found.labels) == {UNKNOWN}
    assert found.notes == (
        "Folders are numbered 1 to 3 and seem to count from 1, the model's classes 0 to 2: name them by label.",
    )
    assert image_folder(tmp_path, ("rose", "tulip", "lily", "iris")).labels == (1, 2, 3)
    assert image_folder(tmp_path, ("1", "3", "2")).labels == (0, 2, 1)
