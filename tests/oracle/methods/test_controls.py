"""Controls: their maps are known in advance and need no model."""

import numpy as np
import pytest
import torch
from skimage.filters import sobel

from core.explain import explain
from tests.nets import query


def test_random_depends_on_the_image_and_the_seed_alone():
    q = query("linear", count=3)
    first = explain("random", q).maps
    assert torch.equal(first, explain("random", query("gap", count=3)).maps)
    assert torch.equal(first[1:2], explain("random", query("gap", count=2)).maps[1:2])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, explain("random", query("linear", count=3, seed=1)).maps)
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1


def test_edges_equal_differences_of_the_brightness():
    q = query("linear", count=1)
    b = q.model.preprocess.pixels(q.images)[0].mean(0)
    ours = explain("edge_detector", q).maps[0]
    for row, column in [(1, 1), (10, 20), (30, 30)]:
        part = b[row - 1 : row + 2, column - 1 : column + 2]
        across = float((part[:, 2] - part[:, 0]) @ torch.tensor([1.0, 2, 1])) / 4
        down = float((part[2] - part[0]) @ torch.tensor([1.0, 2, 1])) / 4
        assert float(ours[row, column]) == pytest.approx(((across**2 + down**2) / 2) ** 0.5, rel=1e-4)


def test_edges_equal_those_of_scikit_image():
    q = query("linear")
    bright = q.model.preprocess.pixels(q.images).mean(1).numpy()
    expected = np.stack([sobel(one) for one in bright])
    assert explain("edge_detector", q).maps.numpy() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_edges_of_a_step_lie_on_the_step():
    q = query("linear", count=1)
    q.images.zero_()
    q.images[..., 16:] = 1
    found = explain("edge_detector", q).maps[0]
    assert bool((found[:, 15:17] > 0).all())
    assert float(found[:, :15].max()) < 1e-6
    assert float(found[:, 17:].max()) < 1e-6


def test_the_centre_is_the_highest_and_the_spread_is_a_deviation():
    found = explain("centre_gaussian", query("linear", count=1), {"spread": 0.25}).maps[0]
    assert int(found.argmax()) in (15 * 32 + 15, 15 * 32 + 16, 16 * 32 + 15, 16 * 32 + 16)
    assert torch.allclose(found, found.flip(0))
    assert torch.allclose(found, found.T)
    weights = found.sum(0) / found.sum()
    places = (torch.arange(32) + 0.5) / 32 - 0.5
    assert abs(float((weights * places.square()).sum().sqrt()) - 0.25) < 0.05


def test_controls_ask_no_model():
    for name in ("random", "edge_detector", "centre_gaussian"):
        found = explain(name, query("gap"))
        assert found.backwards == 0
        assert found.forwards == 2  # the clean score of both images, shown beside every map
