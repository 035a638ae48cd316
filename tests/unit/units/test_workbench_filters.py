import numpy as np
import pytest
import torch

from core.errors import UnknownName
from core.images import Picture
from core.workbench import Workbench
from tests.nets import SIDE, model


@pytest.fixture
def bench():
    return Workbench(model("gap"))


@pytest.fixture
def picture():
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    return Picture("noise.png", pixels, "0" * 64)


def test_silencing_none_changes_nothing(bench, picture):
    layer = bench.model.survey.default
    assert torch.allclose(bench.without(picture, layer, []), bench.probabilities(picture), atol=1e-6)


def test_silencing_all_leaves_the_bias(bench, picture):
    layer = bench.model.survey.default
    filters = bench.activations(picture, layer).shape[0]
    assert torch.allclose(bench.without(picture, layer, range(filters)), bench.model.net.fc.bias.softmax(0), atol=1e-6)


def test_silencing_some_is_the_head_without_them(bench, picture):
    layer = bench.model.survey.default
    pooled = bench.activations(picture, layer).mean((1, 2)).clone()
    pooled[[0, 2]] = 0
    expected = bench.model.net.fc(pooled).softmax(0)
    assert torch.allclose(bench.without(picture, layer, [2, 0, 2]), expected, atol=1e-6)


def test_unknown_layer(bench, picture):
    with pytest.raises(UnknownName):
        bench.activations(picture, "nowhere")
