"""Neighbours by brute force, planted near-duplicates, and how ordinary planted decisions are."""

import numpy as np
import pytest
from PIL import Image

from core.review import neighbours
from core.review.neighbours import ENOUGH, near_duplicates, nearest, ordinary, typical
from tests.unit.review.planted import picture, planted


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    rng = np.random.default_rng(1)
    label, guessed = rng.integers(0, 3, 60), rng.integers(0, 3, 60)
    guessed[:40] = label[:40]
    pooled = np.abs(rng.normal(size=(60, 8)))
    pooled[7] = 0
    return planted(tmp_path_factory.mktemp("near"), label, (np.eye(3) * 0.8 + 0.1)[guessed], pooled=pooled)


@pytest.mark.parametrize("label", [None, 1])
def test_neighbours_are_the_right_images_of_largest_cosine(found, monkeypatch, label):
    monkeypatch.setattr(neighbours, "_BLOCK", 7)
    images, pooled = found.images, np.asarray(found.pooled, np.float64)
    for image in (3, 55):
        cosines = {
            row: pooled[row] @ pooled[image] / max(1e-12, np.linalg.norm(pooled[row]) * np.linalg.norm(pooled[image]))
            for row in range(60)
            if images["right"][row] == 1 and row != image and label in (None, images["label"][row])
        }
        best = sorted(cosines, key=cosines.get, reverse=True)[:4]
        assert [row for row, _ in nearest(found, image, 4, label)] == best
        assert [value for _, value in nearest(found, image, 4, label)] == pytest.approx([cosines[row] for row in best])


def test_near_duplicates_with_different_labels_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK", 2)
    pictures = np.stack([picture(seed, 32) for seed in range(6)])  # compared at half their side
    noise = np.random.default_rng(0).integers(-6, 7, pictures[0].shape)
    pictures[4] = (pictures[0] // 2 + 40 + noise).clip(0, 255)  # paler, and stored with loss
    pictures[5] = pictures[1]
    grey = np.full((2, 32, 32, 3), 90, np.uint8)  # even grounds are no duplicates
    label = [0, 1, 1, 0, 1, 1, 0, 1]  # 1 and 5 agree
    eye = np.eye(2)[label] * 0.8 + 0.1
    found = near_duplicates(planted(tmp_path, label, eye, pictures=np.concatenate([pictures, grey])))
    assert found[["first", "second"]].values.tolist() == [[0, 4]]
    first, second = (
        np.asarray(Image.fromarray(pictures[row]).resize((16, 16), Image.Resampling.BOX)) for row in (0, 4)
    )
    assert found["correlation"][0] == pytest.approx(np.corrcoef(first.ravel(), second.ravel())[0, 1], abs=1e-3)


def test_a_decision_far_from_its_class_is_less_ordinary(tmp_path):
    rng = np.random.default_rng(3)
    clusters = np.repeat([[5.0, 0, 0, 1], [0, 5.0, 0, 1]], 40, axis=0)
    pooled = np.concatenate([clusters + rng.normal(0, 0.3, (80, 4)), [[5, 0, 0, 1], [2.5, 2.5, 0, 1], [5, 0, 9, 1]]])
    label = [0] * 80 + [1, 1, 1]
    eye = np.tile([0.9, 0.1], (83, 1))
    found = planted(tmp_path, label, eye, pooled=pooled)
    inside, between, outside = (ordinary(found, image) for image in (80, 81, 82))
    assert inside.images == 80
    assert inside.clusters == 2
    assert inside.share > 0.7
    assert between.share < 0.05
    assert outside.share == 0
    assert ordinary(found, 81) == between, "seeded"
    assert ordinary(found, 3).images == 79, "it is not compared with itself"


def test_the_odd_images_of_a_class_come_last(tmp_path):
    rng = np.random.default_rng(4)
    pooled = rng.normal([5.0, 1, 0], 0.2, (100, 3))
    pooled[[4, 17]] += [[0, 0, 3], [0, 0, 3.3]]  # a cluster of two would make them ordinary
    found = planted(tmp_path, [0] * 100, np.tile([0.9, 0.1], (100, 1)), pooled=pooled)
    order = typical(found, 0)
    assert sorted(order) == list(range(100))
    assert set(order[-2:]) == {4, 17}
    assert typical(found, 1) == f"None of the images of class 1 are right, too few for clusters, which need {ENOUGH}."


def test_few_images_and_equal_ones_are_said(tmp_path):
    count = ENOUGH - 1
    rng = np.random.default_rng(0)
    eye = np.tile([0.9, 0.1], (count + 1, 1))
    few = ordinary(planted(tmp_path / "a", [0] * count + [1], eye, pooled=rng.normal(size=(count + 1, 3))), count)
    assert few.share is None
    assert few.reason == f"{count} of the images of class 0 are right, too few for clusters, which need {ENOUGH}."
    eye = np.tile([0.9, 0.1], (40, 1))
    equal = ordinary(planted(tmp_path / "b", [0] * 39 + [1], eye, pooled=np.ones((40, 3))), 39)
    assert (equal.share, equal.reason) == (None, "All of the class's activations are the same.")
