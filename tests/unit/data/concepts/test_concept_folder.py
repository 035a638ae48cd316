"""Masks of concepts from each layout that is read, against what was planted or drawn."""

import numpy as np
import pytest
from PIL import Image

from core.data.concepts import concept_folder
from core.data.flowers import draw, write
from core.data.flowers.drawing import LAYERS
from core.errors import BadImage, Unavailable
from core.images import Preprocess
from tests.planted_units import CATEGORIES, SIDE, planted_images

SEEN = Preprocess(crop=SIDE, resize=SIDE)


def assert_planted(found, planted, categories):
    assert {(one.name, one.category) for one in found.concepts} == {*categories.items()}
    for path in found.images.paths:
        number = int(path[-9:-4])
        masks = found.masks(path, (SIDE, SIDE), SEEN)
        by_name = {found.concepts[k].name: mask for k, mask in masks.items()}
        expected = {name: mask[number] for name, mask in planted.masks.items() if mask[number].any()}
        assert by_name.keys() == expected.keys()
        assert all(np.array_equal(by_name[name], mask) for name, mask in expected.items())


def test_a_folder_of_masks(tmp_path):
    planted = planted_images(10)
    found = concept_folder(planted.write(tmp_path))
    assert_planted(found, planted, dict.fromkeys(CATEGORIES, "concept"))
    assert len(found.images.folders) == 5


def test_categories_of_a_folder_of_masks(tmp_path):
    planted = planted_images(10)
    planted.write(tmp_path)
    rows = ["concept,category", *(f"{name},{category}" for name, category in CATEGORIES.items())]
    (tmp_path / "masks/categories.csv").write_text("\n".join(rows), "utf-8")
    assert_planted(concept_folder(tmp_path), planted, CATEGORIES)


def test_the_layout_of_broden(tmp_path):
    planted = planted_images(10)
    found = concept_folder(planted.write_broden(tmp_path))
    names = {name: category.replace("colour", "color") for name, category in CATEGORIES.items()}
    assert_planted(found, planted, names)


def test_labels_of_whole_images_and_smaller_maps(tmp_path):
    """A scene marks the whole image; a map of half the size marks pixels of the image."""
    planted_images(5).write_broden(tmp_path)
    half = np.zeros((SIDE // 2, SIDE // 2, 3), np.uint8)
    half[2:4, 3] = 7, 0, 0
    Image.fromarray(half).save(tmp_path / "images/part.png")
    rows = [
        "image,split,ih,iw,sh,sw,part,scene",
        "00000.png,val,32,32,16,16,part.png,9",
        "00001.png,val,32,32,16,16,,8",
    ]
    (tmp_path / "index.csv").write_text("\n".join(rows), "utf-8")
    labels = [
        "number,name,category",
        "7,wheel,part(1)",
        "8,street,scene(1)",
        "9,sky,object(2);scene(4)",
        "5,x,colour(1)",
    ]
    (tmp_path / "label.csv").write_text("\n".join(labels), "utf-8")
    found = concept_folder(tmp_path)
    assert [(one.name, one.category) for one in found.concepts] == [
        ("wheel", "part"), ("street", "scene"), ("sky", "scene")
    ]  # fmt: skip
    masks = found.masks("00000.png", (SIDE, SIDE), SEEN)
    assert sorted(masks) == [0, 2]
    assert masks[2].all()
    expected = np.zeros((SIDE, SIDE), bool)
    expected[4:8, 6:8] = True
    assert np.array_equal(masks[0], expected)


def test_flowers_have_their_parts_and_colours(tmp_path):
    write("double-12c", tmp_path / "set", per_class=1, size=64)
    found = concept_folder(tmp_path / "set")
    assert ("background", "part") not in {(one.name, one.category) for one in found.concepts}
    path = found.images.paths[3]
    flower = draw("double-12c", found.images.labels[3], int(path[-9:-4]), size=64)
    masks = found.masks(path, (64, 64), Preprocess(crop=64, resize=64))
    assert {found.concepts[k].category for k in masks} == {"part", "colour"}
    by_name = {found.concepts[k].name: mask for k, mask in masks.items()}
    assert np.array_equal(by_name["petals"], flower.parts == LAYERS.index("petals"))
    assert by_name.keys() == flower.concepts.keys() - {"background"}


def test_images_without_masks_are_one_sentence(tmp_path):
    planted_images(5).write(tmp_path, masks=False)
    with pytest.raises(Unavailable, match="has no masks of concepts"):
        concept_folder(tmp_path)
    planted_images(5).write(tmp_path)
    for path in (tmp_path / "masks").rglob("*.png"):
        path.rename(path.with_name(f"other{path.name}"))
    with pytest.raises(Unavailable, match="has no masks of concepts"):
        concept_folder(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("index.csv", "a,b\n1,2\n", "does not list images"),
        ("index.csv", "", "does not list images"),
        ("index.csv", "image,split,object\n../../x.png,train,\n", "no file in its folder"),
        ("label.csv", "number,name,category\n1,red,smell(3)\n", "names no label"),
        ("label.csv", b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_wrong_tables_of_broden_are_one_sentence(tmp_path, file, content, words):
    planted_images(5).write_broden(tmp_path)
    (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(Unavailable, match=words):
        concept_folder(tmp_path)


def test_a_grey_label_map_is_one_sentence(tmp_path):
    planted_images(5).write_broden(tmp_path)
    Image.fromarray(np.zeros((SIDE, SIDE), np.uint8)).save(tmp_path / "images/00000_colour.png")
    with pytest.raises(BadImage, match="not a label map"):
        concept_folder(tmp_path).masks("00000.png", (SIDE, SIDE), SEEN)
