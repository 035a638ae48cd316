"""Silencing filters against its closed forms."""

import numpy as np
import pytest
import torch
from torch import nn

from core.capture import capture, silence
from core.mining.ablation import ablated, from_images, from_pooled, pooled
from tests.nets import images, model


def planted():
    """Images in which one of three colours is bright, and a network with one filter for each colour."""
    net = nn.Sequential(nn.Conv2d(3, 6, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].bias.zero_()
        net[4].weight.zero_()
        net[4].bias.copy_(torch.tensor([0.1, 0.05, 0.0]))
        for k in range(3):
            net[0].weight[k, k] = 1
            net[4].weight[k, k] = 1
    rows = torch.zeros(12, 3, 32, 32)
    labels = [i % 3 for i in range(12)]
    for row, label in zip(rows, labels, strict=True):
        row[label] = 1
    return model(net), rows, labels


@pytest.mark.parametrize("shortcut", [True, False])
def test_one_filter_per_class_takes_its_class_away(shortcut):
    made, rows, labels = planted()
    layer = made.survey.default
    sets = {"mined": {k: [k] for k in range(3)}, "none": {}, "all": {k: range(6) for k in range(3)}}
    answers = from_images(made, layer, shortcut=shortcut)
    found = ablated(answers, [(rows, labels)], sets, 6, ["a", "b", "c"], draws=10)
    table = found.per_class
    assert table["baseline"].tolist() == [1, 1, 1]
    assert table["none"].tolist() == [1, 1, 1]
    assert table["all"].tolist() == [1, 0, 0]  # constant logits: the class with the largest bias
    assert table["mined"].tolist() == [1, 0, 0]  # of class a only its bias is left, the largest
    assert table["filters"].tolist() == [1, 1, 1]
    assert found.draws.shape == (3, 10)
    summary = found.summary()
    assert summary["baseline"] == 1
    assert summary["mined"] == pytest.approx(1 / 3)
    assert summary["random_mean"] == pytest.approx(found.draws.mean())
    assert summary["random_std"] == pytest.approx(found.draws.mean(0).std())
    assert summary["filters_per_class"] == 1
    assert [row["name"] for row in summary["per_class"]] == ["a", "b", "c"]


def test_random_draws_repeat_and_do_not_depend_on_batches():
    made, rows, labels = planted()
    answers = from_images(made, made.survey.default)
    sets = {"mined": {0: [0, 1], 1: [1, 2], 2: [2, 3]}}
    whole = ablated(answers, [(rows, labels)], sets, 6, "abc")
    parts = ablated(answers, [(rows[:5], labels[:5]), (rows[5:], labels[5:])], sets, 6, "abc")
    assert (whole.draws == parts.draws).all()
    assert whole.per_class.equals(parts.per_class)
    assert (ablated(answers, [(rows, labels)], sets, 6, "abc", seed=1).draws != whole.draws).any()


def test_shortcut_equals_silencing_inside_the_network():
    made = model("gap")
    rows = images(6)
    kept = (torch.rand(9, 16, generator=torch.Generator().manual_seed(0)) > 0.4).float()
    layer = made.survey.default
    slow = from_images(made, layer, shortcut=False)(rows, kept)
    fast = from_pooled(made)(pooled(made, rows, layer), kept)
    assert torch.allclose(slow, fast, atol=1e-5)
    assert torch.allclose(from_images(made, layer)(rows, kept), slow, atol=1e-5)


@pytest.mark.parametrize("name", ["gap", "cnn", "residual"])
def test_copies_of_one_image_equal_one_pass_for_every_mask(name):
    made = model(name)
    rows = images(2)
    layer = made.survey.default
    count = made.survey.layer(layer).units
    kept = torch.ones(3, count)
    kept[1, : count // 2] = 0
    kept[2] = 0
    found = from_images(made, layer, shortcut=False)(rows, kept)
    for k, silent in enumerate(([], range(count // 2), range(count))):
        with capture(made.net, edit={layer: silence(silent)}), torch.no_grad():
            truth = made.net(rows)
        assert torch.allclose(found[:, k], truth, atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(found[:, 0], made.net(rows), atol=1e-5)
    assert np.allclose(found[0, 2], found[1, 2], atol=1e-5)  # nothing left: the same answer for every image
