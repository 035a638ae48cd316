"""The planted shortcut: filling the tag flips its network, nothing else does; groups and mean maps by hand."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from core.data import flowers
from core.data.flowers.drawing import LAYERS
from core.errors import BadParameter, Unavailable, UnknownName
from core.export.bias import flip_sentence, share_sentence
from core.images import read_picture
from core.models import load
from core.review.bias import (
    Counterfactual,
    accuracy_by_group,
    column_groups,
    counterfactual,
    folder_groups,
    mean_maps,
    region_share,
)
from core.review.confusion import accuracy
from core.review.predictions import predictions
from core.review.regions import box_mask, box_region, objects
from core.review.sampled_maps import common, sampled_maps, strongest_box
from core.review.source import folder_source
from tests.unit.review.planted import planted

CORNER = (0.0, 0.77, 0.23, 0.23)  # where tags are: left, top, width and height as fractions of the image


def predicted(home, variant, name, rho=1.0):
    flowers.write(variant, home / "data", per_class=4, seed=5, **({"rho": rho} if variant == "shortcut" else {}))
    model = load(name)
    return model, predictions(folder_source(home / "data", model.labels), model, folder=home)


@pytest.fixture(scope="module")
def biased(tmp_path_factory):
    return predicted(tmp_path_factory.mktemp("biased"), "shortcut", "flowers-shortcut-6c")


def part(found, name):
    """The mask of a part of the flowers, drawn again."""

    def mask(row, size):
        folder, _, file = found.source.paths[row].partition("/")
        label = flowers.class_names("shortcut").index(folder)
        return flowers.draw("shortcut", label, int(file[:-4]), seed=5).parts == LAYERS.index(name)

    return mask


def test_filling_the_tag_flips_the_network_that_reads_it(biased):
    model, found = biased
    assert accuracy(found).mean == 1, "on images like those it was trained on it looks perfect"
    tag = counterfactual(found, model, part(found, "tag"))
    assert tag.without == 0
    assert tag.flips.mean > 0.7
    assert tag.control.mean == 0
    assert tag.table["left"].mean() < 0.5 < tag.table["probability"].mean()
    petals = counterfactual(found, model, part(found, "petals"))
    assert petals.flips.mean == 0
    box = counterfactual(found, model, box_region(*CORNER, model.preprocess.size), "black")
    assert box.flips.mean > 0.6
    assert box.control.mean == 0


def test_a_network_that_reads_the_petals_is_not_flipped_by_the_corner(tmp_path):
    model, found = predicted(tmp_path, "single-6c", "flowers-single-6c")
    for fill in ("grey", "blur"):
        corner = counterfactual(found, model, box_region(*CORNER, model.preprocess.size), fill)
        assert corner.flips.mean == corner.control.mean == 0


def test_filled_images_are_those_of_the_network_itself(biased):
    model, found = biased
    region = box_region(*CORNER, model.preprocess.size)
    row = counterfactual(found, model, region, "black").table.iloc[3]
    picture = read_picture(found.source.root, found.source.paths[3])
    filled = picture.pixels.copy()
    filled[region(3, picture.pixels.shape[:2])] = 0
    with torch.no_grad():
        logits = model.net(model.preprocess.tensor(filled)[None])[0]
    assert row["filled"] == int(logits.argmax())
    assert row["left"] == pytest.approx(float(logits.softmax(0)[int(row["predicted"])]), abs=1e-5)


def test_accuracy_is_high_where_the_tag_agrees_and_low_where_it_does_not(tmp_path):
    _, found = predicted(tmp_path, "shortcut", "flowers-shortcut-6c", rho=0.4)
    groups = []
    for path in found.source.paths:
        folder, _, file = path.partition("/")
        label = flowers.class_names("shortcut").index(folder)
        agrees = flowers.draw("shortcut", label, int(file[:-4]), seed=5, rho=0.4).tag == label
        groups.append("agrees" if agrees else "differs")
    table = accuracy_by_group(found, groups).set_index("group")
    assert table.loc["agrees", "accuracy"] == 1
    assert table.loc["differs", "accuracy"] == 0
    assert table["images"].sum() == 24


def test_groups_are_counted_by_hand(tmp_path):
    found = planted(tmp_path, [0, 0, 1, 1, -1], np.eye(2)[[0, 1, 1, 1, 0]] * 0.8 + 0.1)
    table = accuracy_by_group(found, ["a", "a", "b", "", "b"])
    assert table[["group", "images", "right", "accuracy"]].values.tolist() == [["a", 2, 1, 0.5], ["b", 1, 1, 1.0]]
    assert folder_groups(["dog/night/1.png", "dog/1.png", "1.png", "dog/a/b/1.png"]) == ("night", "", "", "a/b")


def test_groups_of_a_column(tmp_path):
    file, paths = tmp_path / "table.csv", ["dog/1.png", "dog/2.png", "cat/3.png"]
    file.write_text("site,file,label\nnorth,dog/1.png,dog\nsouth,3,cat\n", "utf-8")
    assert column_groups(file, "site", paths) == ("north", "", "south")
    with pytest.raises(UnknownName, match=r"no column of table\.csv called 'sites'"):
        column_groups(file, "sites", paths)
    with pytest.raises(Unavailable, match="names none of the images"):
        column_groups(file, "site", ["x/9.png"])
    with pytest.raises(Unavailable, match="cannot be read"):
        column_groups(tmp_path / "none.csv", "site", paths)


def test_shares_and_mean_maps_are_counted_by_hand():
    values, region = np.array([[3.0, -5.0], [1.0, 0.0]]), np.array([[True, True], [False, False]])
    assert region_share(values, region) == pytest.approx(0.75)
    assert region_share(-np.abs(values), region) is None
    means = mean_maps([(1, values), (1, 100 * np.ones((2, 2))), (0, values), (1, -np.ones((2, 2)))])
    assert list(means) == [0, 1]
    assert means[1][1] == 2
    assert means[1][0] == pytest.approx(np.array([[0.5, 0.125], [0.25, 0.125]]))


def test_regions_that_do_not_fit_are_a_sentence(biased):
    model, found = biased
    with pytest.raises(BadParameter, match="does not lie inside the image"):
        box_region(0.9, 0, 0.2, 0.1, (10, 10))
    with pytest.raises(BadParameter, match="Give 128 × 128 pixels"):
        counterfactual(found, model, box_region(*CORNER, (64, 64)))
    with pytest.raises(Unavailable, match="No image of data has the region"):
        counterfactual(found, model, lambda row, size: None)


def test_maps_lie_on_the_tag_of_the_network_that_reads_it_only(biased, tmp_path):
    model, found = biased
    corner = box_mask(*CORNER, model.preprocess.size)
    maps = sampled_maps(found, model)
    shares = maps.shares(corner)
    assert shares["label"].tolist() == [*range(6), -1]
    assert shares["share"].min() > 0.5, "of every class"
    left, top, *_ = strongest_box(maps.overall, 0.23, 0.23)
    assert left == pytest.approx(CORNER[0], abs=0.05)
    assert top == pytest.approx(CORNER[1], abs=0.05)
    honest, others = predicted(tmp_path, "single-6c", "flowers-single-6c")
    assert sampled_maps(others, honest).shares(corner)["share"].max() < 0.1


def test_masks_as_the_region_count_the_same_as_drawn_ones(biased, tmp_path):
    """The petals of every image from its file: their share by hand, and the flips of `part`; one file is missing."""
    model, found = biased
    lost = found.source.paths[0]
    shutil.copytree(found.source.root.parent / "masks", tmp_path / "masks")
    (tmp_path / "masks" / lost).unlink()
    region = objects(found.source, model, tmp_path / "masks")
    assert region.notes == (f"1 of 24 images have no mask, such as: There is no mask for {lost}.",)
    maps = sampled_maps(found, model)
    regions = maps.regions(region)
    assert not regions[0].any()
    row = maps.shares(regions).iloc[-1]
    shares = [
        np.maximum(values, 0)[own].sum() / np.maximum(values, 0).sum()
        for values, own in zip(maps.values[1:], regions[1:], strict=True)
    ]
    assert (row["images"], row["label"]) == (23, -1)
    assert row["share"] == pytest.approx(np.mean(shares), rel=1e-5)
    assert row["area"] == pytest.approx(regions[1:].mean(), rel=1e-6)
    assert "1 of the 24 images with a map have no region." in share_sentence(maps, regions)
    filled = counterfactual(found, model, region)
    assert filled.without == 1
    assert filled.table["image"].tolist() == list(range(1, 24))
    assert flip_sentence(filled).endswith("Left out without a region or a prediction: 1.")
    with_all = counterfactual(found, model, part(found, "petals"))
    assert filled.table["filled"].tolist() == with_all.table["filled"].tolist()[1:]
    assert common(regions).tolist() == (regions[1:].mean(0) >= 0.5).tolist()
    assert not common(np.zeros((2, 3, 3), bool)).any()
    assert share_sentence(maps, np.zeros_like(regions)) == "24 of the 24 images with a map have no region."


def test_a_sample_is_taken_at_equal_distances_and_has_the_same_maps(biased):
    model, found = biased
    every, some = sampled_maps(found, model), sampled_maps(found, model, limit=8)
    assert some.rows == tuple(range(0, 24, 3))
    assert some.values == pytest.approx(every.values[::3], abs=1e-4)


@pytest.mark.parametrize("size", [(0.25, 0.5), (0.3, 0.3), (1.0, 1.0), (0.001, 0.001)])
def test_the_strongest_box_is_found_as_by_trying_all(size):
    values = np.random.default_rng(3).random((12, 20))
    left, top, width, height = strongest_box(values, *size)
    tall, wide = max(1, round(12 * height)), max(1, round(20 * width))
    best = max(values[y : y + tall, x : x + wide].sum() for y in range(13 - tall) for x in range(21 - wide))
    mask = box_mask(left, top, width, height, values.shape)
    assert values[mask].sum() == pytest.approx(best)


def test_effects_by_class_are_counted_by_hand():
    columns = {"image": range(4), "predicted": [0, 0, 0, 2], "filled": [0, 1, 1, 2], "control": [0, 0, 1, 2]}
    table = pd.DataFrame({**columns, "probability": [0.9, 0.9, 0.9, 0.8], "left": [0.9, 0.3, 0.3, 0.8]})
    effects = Counterfactual(table, None, None, 0).by_class()
    assert effects[["label", "images"]].values.tolist() == [[0, 3], [2, 1], [-1, 4]]
    assert effects["flips"].tolist() == pytest.approx([2 / 3, 0, 1 / 2])
    assert effects["control"].tolist() == pytest.approx([1 / 3, 0, 1 / 4])
    assert effects["change"].tolist() == pytest.approx([-0.4, 0, -0.3])
