"""Heatmaps of a folder: those of the method itself, stored once, continued after a stop; where their evidence lies."""

import numpy as np
import pytest
import torch
from PIL import Image

from core.errors import Cancelled, Unavailable, Unsupported
from core.explain import Query
from core.explain.run import explain
from core.explain.targets import Classes
from core.images import read_picture
from core.review import heatmaps as builder
from core.review.evidence import computed_evidence, located
from core.review.heatmaps import are_stored, heatmaps
from core.review.predictions import predictions
from core.review.regions import masks_beside, objects
from core.review.source import folder_source
from tests import nets
from tests.unit.review.planted import folder


@pytest.fixture(scope="module")
def gap():
    return nets.model("gap")


@pytest.fixture(scope="module")
def found(gap, tmp_path_factory):
    """Predictions of eight images, of which one is damaged."""
    root = tmp_path_factory.mktemp("data")
    folder(root / "images", class_0=4, class_1=4)
    (root / "images" / "class 1" / "03.png").write_bytes((root / "images" / "class 1" / "00.png").read_bytes()[:300])
    return predictions(folder_source(root / "images", gap.labels), gap, folder=root / "predictions")


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of three images."""
    monkeypatch.setattr(builder, "SHARD", 3)


def masks(root, found, missing=()):
    """A folder of masks, the left half of every image but those of these rows."""
    mask = np.zeros((nets.SIDE, nets.SIDE), np.uint8)
    mask[:, : nets.SIDE // 2] = 255
    for row, path in enumerate(found.source.paths):
        if row not in missing:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(root / path)
    return root


def content(stored):
    return {file.name: file.read_bytes() for file in stored.path.iterdir() if file.name != "build.json"}


def test_they_are_those_of_the_predicted_class_by_the_method_itself(gap, found, tmp_path):
    stored = heatmaps(found, gap, folder=tmp_path)
    table, places = stored.table("images"), computed_evidence(stored, gap.preprocess.size)
    assert sorted(places) == list(range(7))
    assert "03.png" in table["problem"][7]
    assert (stored.array("maps")[7] == 0).all()
    for row in range(7):
        picture = read_picture(found.source.root, found.source.paths[row])
        inputs = gap.preprocess.tensor(gap.preprocess.seen(picture))[None]
        alone = explain("grad_cam", Query(gap, inputs, Classes(torch.tensor([found.images["predicted"][row]]))))
        assert stored.array("maps")[row] == pytest.approx(alone.grid[0].numpy(), abs=1e-5)
        own = located(alone.maps[0].numpy())
        assert places[row].place == own.place
        assert places[row].area == pytest.approx(own.area, abs=0.01)
        assert (table["height"][row], table["width"][row]) == picture.pixels.shape[:2]


def test_a_stopped_computation_continues_to_the_same_bytes(gap, found, tmp_path, small_shards):
    whole = heatmaps(found, gap, folder=tmp_path / "whole")

    def stop(fraction, note):
        if "shard 2" in note:
            raise Cancelled

    with pytest.raises(Cancelled):
        heatmaps(found, gap, folder=tmp_path / "part", report=stop)
    assert not are_stored(found, tmp_path / "part")
    batches = []
    handle = gap.net.register_forward_hook(lambda net, inputs, output: batches.append(len(output)))
    again = heatmaps(found, gap, folder=tmp_path / "part")
    handle.remove()
    assert sum(batches) == 4, "the first three images are not computed again"
    assert content(again) == content(whole)
    assert are_stored(found, tmp_path / "part")


def test_they_are_computed_once(gap, found, tmp_path, monkeypatch):
    first = heatmaps(found, gap, folder=tmp_path)
    monkeypatch.setattr(gap.net, "forward", None)
    assert content(heatmaps(found, gap, folder=tmp_path)) == content(first)


def test_masks_say_what_lies_on_the_object_and_missing_ones_are_counted(gap, found, tmp_path):
    stored = heatmaps(found, gap, folder=tmp_path / "heatmaps")
    region = objects(found.source, gap, masks(tmp_path / "m", found, missing=(2,)))
    assert region.notes == (f"1 of 8 images have no mask, such as: There is no mask for {found.source.paths[2]}.",)
    places, without = (computed_evidence(stored, gap.preprocess.size, one) for one in (region, None))
    left = np.zeros((nets.SIDE, nets.SIDE), bool)
    left[:, : nets.SIDE // 2] = True
    for row, one in places.items():
        seen = torch.nn.functional.interpolate(
            torch.from_numpy(np.array(stored.array("maps")[row]))[None, None], gap.preprocess.size, mode="bilinear"
        )[0, 0].numpy()
        assert one == (without[row] if row == 2 else located(seen, left))
    assert places[2].on_object is None
    assert {one.on_object is None for one in without.values()} == {True}


def test_masks_lie_beside_a_folder_called_images(gap, found, tmp_path):
    assert masks_beside(found.source) is None
    beside = masks(found.source.root.parent / "masks", found)
    assert masks_beside(found.source) == beside
    other = folder_source(folder(tmp_path / "photos", class_0=1), gap.labels)
    assert masks_beside(other) is None
    (tmp_path / "empty").mkdir()
    with pytest.raises(Unavailable, match="No image has a mask"):
        objects(other, gap, tmp_path / "empty")


def test_a_mask_that_cannot_be_read_is_none(gap, found, tmp_path):
    root = masks(tmp_path / "m", found)
    (root / found.source.paths[0]).write_bytes(b"no picture")
    region = objects(found.source, gap, root)
    assert region(0, (nets.SIDE, nets.SIDE)) is None
    assert region(1, (nets.SIDE, nets.SIDE)).any()


def test_a_network_without_positions_is_a_sentence(tmp_path):
    flat = nets.model("linear")
    root = folder(tmp_path / "photos", class_0=1)
    found = predictions(folder_source(root, flat.labels), flat, folder=tmp_path / "predictions")
    with pytest.raises(Unsupported):
        heatmaps(found, flat, folder=tmp_path / "heatmaps")
