"""Clarity and redundancy against plain loops, and on the planted network."""

from itertools import combinations

import numpy as np
import pytest
import torch

from core.errors import Unsupported
from core.progress import silent
from core.units.passport.clarity import clarity, companions, likeness, patch_features, redundancy
from tests.nets import LinearNet, model
from tests.planted_units import CONCEPTS, UNITS, planted_images, planted_model


def cosine(one, other):
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def test_clarity_is_the_mean_cosine_over_all_pairs():
    rng = np.random.default_rng(0)
    own, others = rng.normal(size=(7, 5)) + 1, rng.normal(size=(6, 5))
    found = clarity(own, others)
    for rows, part in ((own, found.patches), (others, found.chance)):
        assert part.n == len(rows)
        assert part.mean == pytest.approx(np.mean([cosine(a, b) for a, b in combinations(rows, 2)]))
        assert part.low < part.mean < part.high
    assert found.difference.mean == pytest.approx(found.patches.mean - found.chance.mean)
    again = clarity(own, others)
    assert again == found, "drawn by index"


def test_the_ends_of_the_scale():
    same, apart = np.tile([1.0, 2.0], (4, 1)) * [[1], [2], [3], [4]], np.eye(4)
    found = clarity(same, apart)
    assert (found.patches.mean, found.patches.low, found.patches.high) == pytest.approx((1, 1, 1))
    # With replacement the same patch may be drawn twice; its pair with itself must not make it look clear.
    assert (found.chance.mean, found.chance.high) == (0, 0)
    assert clarity(np.zeros((3, 2)), same).patches.mean == 0
    assert clarity(same[:1], same) is None
    assert clarity(same, same[:1]).chance is None


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Patches around one direction: the expected cosine of two independent ones is known from many."""
    rng = np.random.default_rng(1)

    def draw(count):
        return rng.normal((1.5, 0, 0), 1, (count, 3))

    many = draw(4000)
    many /= np.linalg.norm(many, axis=1, keepdims=True)
    truth = (np.linalg.norm(many.sum(0)) ** 2 - 4000) / (4000 * 3999)
    held = [part.low <= truth <= part.high for part in (clarity(draw(25), many[:2]).patches for _ in range(60))]
    assert np.mean(held) > 0.8


def test_companions_are_other_patches_of_the_same_images():
    images = [0, 0, 0, 1, 1, 2, 3, 3]
    drawn = companions(images, [0, 3, 5, 6])
    assert len(drawn) == 3, "image 2 has no other patch"
    assert [images[row] for row in drawn] == [0, 1, 3]
    assert not {0, 3, 5, 6} & set(drawn)
    assert companions(images, [0, 1, 2]) == []
    assert {companions(images, [0], seed)[0] for seed in range(20)} == {1, 2}


def test_redundancy_names_the_most_similar_unit():
    features = {
        0: np.array([[1.0, 0], [1, 0.2]]),
        1: np.array([[0, 1.0]]),
        2: np.array([[3.0, 1]]),
        3: np.empty((0, 2)),
    }
    means = {k: np.mean([row / np.linalg.norm(row) for row in rows], 0) for k, rows in features.items() if len(rows)}
    assert redundancy(features, 0) == (2, pytest.approx(cosine(means[0], means[2])))
    assert redundancy({0: features[0]}, 0) is None
    assert redundancy(features, 9) is None


def test_patches_of_a_planted_unit_are_clear_and_their_features_are_those_of_the_network():
    planted, images = planted_model(), planted_images(40)
    features = patch_features(planted, images.pixels, batch=7)
    net, last = planted.net, []
    hook = net.deep.register_forward_hook(lambda module, inputs, output: last.append(output.mean((2, 3))))
    net(images.inputs)
    hook.remove()
    assert planted.survey.default == "deep"
    assert torch.allclose(torch.from_numpy(features), last[0].double(), atol=1e-6)
    of = np.array(images.shown)
    red = clarity(features[of == "red"], features[of != "red"])
    assert red.patches.mean > 0.9
    assert red.difference.low > 0.005
    units = {UNITS.index(name): features[of == name] for name in CONCEPTS if name in UNITS}
    copy = {**units, 9: features[of == "red"][:3]}
    assert redundancy(copy, 0)[0] == 9


def test_the_likeness_of_a_unit_is_made_of_its_parts():
    planted, images = planted_model(), planted_images(30)
    of = np.array(images.shown)
    rows = {0: np.flatnonzero(of == "red").tolist(), 1: np.flatnonzero(of == "blue")[:2].tolist(), 2: []}
    rows[3] = rows[0][:2]
    numbers = [k // 2 for k in range(30)]  # two patches of every image
    notes = []
    found = likeness(planted, images.pixels, numbers, rows, 0, report=lambda fraction, note: notes.append(str(note)))
    features = patch_features(planted, images.pixels)
    chance = companions(numbers, rows[0])
    assert found.clarity.patches.mean == pytest.approx(clarity(features[rows[0]], features[chance]).patches.mean)
    assert found.clarity.chance.n == len(chance) > 2
    assert found.redundancy[0] == 3
    used = {*rows[0], *rows[1], *chance}
    assert notes[-1] == f"patches {len(used)} of {len(used)}", "each once"


def test_work_is_counted_stopped_and_refused():
    planted, images = planted_model(), planted_images(5)
    notes = []
    patch_features(planted, images.pixels, batch=2, report=lambda fraction, note: notes.append(str(note)))
    assert notes[-1] == "patches 5 of 5"
    with pytest.raises(Unsupported, match="no patches"):
        patch_features(planted, images.pixels[:0], report=silent)
    with pytest.raises(Unsupported, match="no layer with spatial positions"):
        patch_features(model(LinearNet()), images.pixels)
