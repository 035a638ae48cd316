"""Studies of networks with several labels: a transaction for each patch and label above the threshold."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.card import Passes
from core.data.model_options import ModelOptions
from core.images import Preprocess, decode
from core.models.model import as_model
from core.study.build import build_study, expected_passes
from core.study.config import PatchConfig, TransactionConfig
from core.units.ablation_study import run_ablation
from tests.nets import CLASSES, NETS, SIDE, seeded
from tests.tiny_build import config, content, draw

THRESHOLD = 0.6
PATCHES = PatchConfig(window=10, count=4, sampling="dense", tau=1e-4)  # random windows depend on the image's number
SETTINGS = {"patches": PATCHES, "transactions": TransactionConfig(filters=8, matrix=True)}


@pytest.fixture(scope="module")
def several(pictures):
    """A network of as many labels as classes, read through a sigmoid each, whose outputs differ over the images."""
    made = seeded(NETS["gap"], 0)
    prepare = Preprocess(crop=SIDE, resize=SIDE)
    inputs = [prepare.tensor(prepare.view(decode(path.read_bytes(), "x").pixels)) for path in pictures.glob("*/*")]
    with torch.no_grad():
        outputs = made(torch.stack(inputs))
        made.fc.bias.copy_((made.fc.bias - outputs.mean(0)) / outputs.std(0))
        made.fc.weight.copy_(made.fc.weight / outputs.std(0)[:, None])
    options = ModelOptions(output="multilabel", threshold=THRESHOLD)
    return as_model("gap", made, preprocess=prepare, options=options)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("several") / "set"
    for label in range(3):
        for number in range(4):
            draw(root / f"class_{label}" / f"{number}.png", 10 * label + number)
    draw(root / "zebra" / "one.png", 52)
    return root


@pytest.fixture(scope="module")
def study(pictures, several, tmp_path_factory):
    return build_study(config(pictures, **SETTINGS), tmp_path_factory.mktemp("studies") / "s", model=several)


@pytest.fixture(scope="module")
def probabilities(study, several, pictures):
    """The probabilities of the labels of each image, computed one image at a time."""
    rows = []
    for path in study.table("images")["path"]:
        view = several.preprocess.view(decode((pictures / path).read_bytes(), path).pixels)
        with torch.no_grad():
            rows.append(several.net(several.preprocess.tensor(view)[None])[0].sigmoid().numpy())
    return np.stack(rows)


def test_every_label_above_the_threshold_has_patches_of_its_own(study, probabilities):
    above = {(row, label) for row, label in np.argwhere(probabilities > THRESHOLD).tolist()}
    counts = (probabilities > THRESHOLD).sum(1)
    assert counts.max() > 1, "some image has several labels"
    assert counts.min() == 0, "some image has none"
    patches, images = study.table("patches"), study.table("images")
    assert set(zip(patches["image"].tolist(), patches["label"].tolist(), strict=True)) <= above
    assert set(images.loc[counts == 0, "stop"]) == {"none predicted"}
    assert not images.loc[counts == 0, ["patches", "candidates"]].to_numpy().any()
    assert len(patches) == images["patches"].sum() == study.table("windows")["kept"].sum() == len(study.array("items"))
    assert images["candidates"].sum() == len(study.table("windows"))
    assert not study.table("windows")[["image", "rank"]].duplicated().any()
    assert (study.table("classes")["patches"].sum()) == len(patches)


def test_patches_of_a_label_are_those_of_an_image_explained_for_it(study, several, probabilities, pictures, tmp_path):
    """The same images in the folder of each label, explained for the label of their folder, one label at a time."""
    images, patches = study.table("images"), study.table("patches")
    for label in range(CLASSES):
        for row, path in enumerate(images["path"]):
            if probabilities[row, label] > THRESHOLD:
                folder = tmp_path / "by label" / f"class_{label}"
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(pictures / path, folder / f"{row:02}.png")
    settings = config(tmp_path / "by label", **SETTINGS | {"patches": replace(PATCHES, target="label")})
    single = build_study(settings, tmp_path / "s", model=several)
    one, paths = single.table("patches"), single.table("images")["path"]
    assert len(one) == len(patches)
    original = np.array([int(path.split("/")[1][:2]) for path in paths])
    order = np.lexsort((one["rank"], one["label"], original[one["image"]]))
    rank = patches["rank"] % PATCHES.count
    expected = np.lexsort((rank, patches["label"], patches["image"]))
    for column in ("x", "y", "label"):
        assert one[column].to_numpy()[order].tolist() == patches[column].to_numpy()[expected].tolist()
    for column in ("score", "before", "after"):
        assert np.allclose(one[column].to_numpy()[order], patches[column].to_numpy()[expected], atol=1e-5)
    assert (single.array("items")[order] == study.array("items")[expected]).all()
    assert (single.array("crops")[order] == study.array("crops")[expected]).all()


def test_accuracy_is_counted_for_each_label(study, several, probabilities):
    classes, images = study.table("classes"), study.table("images")
    above, labels = probabilities > THRESHOLD, images["label"].to_numpy()
    assert classes["predicted"].tolist() == above.sum(0).tolist()
    assert classes["correct"].tolist() == [int(above[labels == k, k].sum()) for k in range(CLASSES)]
    right = np.array([k >= 0 and above[row, k] for row, k in enumerate(labels)])
    assert ((images["predicted"] == images["label"]).to_numpy() == right).all()
    assert 0 < right.sum() < len(right)
    wrong = images["predicted"].to_numpy()[~right]
    assert wrong.tolist() == probabilities.argmax(1)[~right].tolist()
    table = run_ablation(study, {"mined": {}}, several).per_class
    for label, baseline in zip(table["label"], table["baseline"], strict=True):
        assert baseline == pytest.approx(above[labels == label, label].mean())


def test_maps_and_scores_are_of_the_first_label(study, several, pictures, probabilities):
    images, windows = study.table("images"), study.table("windows")
    rows = np.flatnonzero((probabilities > THRESHOLD).sum(1) > 1)
    row = int(rows[0])
    first = int(images["predicted"][row])
    path = images["path"][row]
    view = several.preprocess.view(decode((pictures / path).read_bytes(), path).pixels)
    inputs = several.preprocess.tensor(view)[None]
    assert images["probability"][row] == pytest.approx(float(probabilities[row, first]), abs=1e-5)
    own = windows.query("image == @row and rank < @PATCHES.count and after.notna()")
    covered = inputs.clone()
    for window in own.itertuples():
        covered[..., window.y : window.y + 10, window.x : window.x + 10] = 0
        assert window.after == pytest.approx(float(several.net(covered)[0, first].sigmoid()), abs=1e-5)
    assert len(own) > 1


def test_passes_of_every_label_are_counted(study, probabilities):
    passes, windows = study.manifest.passes, study.table("windows")
    explained = int(np.maximum((probabilities > THRESHOLD).sum(1), 1).sum())
    assert passes.perturbed == int(windows["after"].notna().sum())
    assert passes.forwards == len(probabilities) + explained + passes.perturbed
    assert passes.backwards == explained


def test_expected_passes_count_a_map_and_masked_windows_for_each_label(pictures, several):
    """Three labels of each image, as this network has no fewer: 1 + 3 · (1 + 3) forwards and 3 backwards."""
    assert len(several.labels) >= 3
    made = config(pictures, **SETTINGS)
    assert expected_passes(made, 100, several) == Passes(1300, 300)
    assert expected_passes(replace(made, patches=replace(PATCHES, count=2)), 100, several) == Passes(1000, 300)
    assert expected_passes(replace(made, patches=replace(PATCHES, target="label")), 100, several) == Passes(400, 100)
    assert expected_passes(made, 100, replace(several, output="softmax")) == Passes(400, 100)


def test_the_batch_size_changes_no_patch(study, several, pictures, tmp_path):
    other = build_study(config(pictures, **SETTINGS | {"batch": 5}), tmp_path / "s", model=several)
    for column in ("image", "rank", "x", "y", "label"):
        assert other.table("patches")[column].equals(study.table("patches")[column])
    again = build_study(config(pictures, **SETTINGS), tmp_path / "t", model=several)
    assert content(again) == content(study)


def test_only_correct_ones_are_those_of_the_own_label(several, pictures, probabilities, tmp_path):
    settings = config(pictures, **SETTINGS | {"patches": replace(PATCHES, correct_only=True)})
    correct = build_study(settings, tmp_path / "s", model=several)
    images, patches = correct.table("images"), correct.table("patches")
    assert len(patches)
    assert (patches["label"].to_numpy() == images["label"].to_numpy()[patches["image"]]).all()
