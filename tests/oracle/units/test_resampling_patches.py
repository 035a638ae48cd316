"""Selection of filters, and their patches against a deconvnet built by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from core.errors import BadParameter, Unsupported
from core.network.hooks import capture
from core.units.resampling import patches, resample, select
from core.units.resampling.patches import bounding_box, projected
from tests.nets import doubled, query


def by_hand(net, image, number, guided):
    """A filter of the second convolution of TinyCnn: unpool, rectify, filter."""
    first, second = net.features[0], net.features[3]
    before = first(image)
    pooled, switches = F.max_pool2d(before.relu(), 2, return_indices=True)
    maps = second(pooled)
    only = torch.zeros_like(maps)
    place = int(maps[0, number].argmax())
    only[0, number].view(-1)[place] = maps[0, number].max()
    below = F.conv_transpose2d(only, second.weight, padding=1)
    above = F.max_unpool2d(below, switches, 2).clamp(min=0)
    if guided:
        above = above * (before > 0)
    return F.conv_transpose2d(above, first.weight, padding=1)[0]


@pytest.mark.parametrize("rule", ["deconvnet", "guided"])
@torch.no_grad()
def test_signals_are_those_of_a_deconvnet_built_by_hand(rule):
    asked = doubled(query("cnn", count=1))
    found = projected(asked, "features.3", [0, 5, 11], rule)
    for number, signal in zip([0, 5, 11], found, strict=True):
        expected = by_hand(asked.net, asked.images, number, rule == "guided")
        assert torch.allclose(signal, expected, atol=1e-12)
    assert (asked.log.forwards, asked.log.backwards) == (1, 3)


@torch.no_grad()
def test_boxes_lie_around_the_signal_of_the_maximal_location():
    asked = doubled(query("cnn", count=1))
    with capture(asked.net, "features.3") as outputs:
        asked.net(asked.images)
    maps = outputs["features.3"][0]
    found = patches(asked, {"features.0": [1], "features.3": [4, 2]})
    assert [(patch.layer, patch.filter, patch.group) for patch in found] == [
        ("features.0", 1, 0), ("features.3", 4, 1), ("features.3", 2, 1),
    ]  # fmt: skip
    for patch in found[1:]:
        assert patch.activation == pytest.approx(float(maps[patch.filter].max()))
        assert patch.activation == pytest.approx(float(maps[patch.filter][patch.position]))
        strength = by_hand(asked.net, asked.images, patch.filter, guided=False).abs().amax(0)
        rows, columns = (strength > 1e-6 * strength.max()).nonzero(as_tuple=True)
        top, left, height, width = patch.box
        assert (top, left) == (int(rows.min()), int(columns.min()))
        assert (top + height, left + width) == (int(rows.max()) + 1, int(columns.max()) + 1)
        assert height <= 8 >= width  # the receptive field of two 3 × 3 filters with pooling between them
    tight = patches(asked, {"features.3": [4]}, share=0.05)[0].box
    assert tight[2] * tight[3] <= found[1].box[2] * found[1].box[3]


def test_a_planted_pattern_is_found_where_it_is():
    """A filter that is the pattern, and one that is dead."""
    pattern = torch.tensor([[1.0, -1, 1], [-1, 1, -1], [1, -1, 1]])
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
    with torch.no_grad():
        net[0].weight[0] = pattern
        net[0].weight[1] = 0
        nn.init.zeros_(net[0].bias)
        nn.init.ones_(net[4].weight)
    asked = query(net, count=1)
    asked.images.fill_(0.1)
    asked.images[0, :, 11:14, 20:23] += pattern
    planted, dead = patches(asked, {"0": [0, 1]})
    assert (planted.position, planted.box) == ((11, 20), (11, 20, 3, 3))
    assert dead.box is None


def test_the_batch_norm_after_a_convolution_decides_where_it_is_maximal():
    asked = query("gap", count=1)
    with torch.no_grad():
        asked.net.features[1].weight[2] *= -1
        (found,) = patches(asked, {"features.0": np.array([2])})
        maps = asked.net.features[:2](asked.images)[0, 2]
    assert found.activation == pytest.approx(float(maps.max()), rel=1e-5)
    assert float(maps[found.position]) == pytest.approx(float(maps.max()))


def test_boxes_of_signals():
    signal = torch.zeros(3, 10, 12)
    assert bounding_box(signal) is None
    signal[0, 4, 5], signal[2, 7, 9], signal[1, 0, 0] = 1.0, -0.04, 1e-7
    assert bounding_box(signal) == (4, 5, 4, 5)
    assert bounding_box(signal, 0.05) == (4, 5, 1, 1)
    assert bounding_box(signal, 0.0) == (0, 0, 8, 10)


def test_patches_of_a_selection_of_all_layers():
    asked = query("residual", count=1)
    chosen = resample(asked, samples=4).selected("act_sum", top=2)
    found = patches(asked, chosen, rule="guided")
    assert [(patch.layer, patch.filter) for patch in found] == [(k, int(n)) for k, v in chosen.items() for n in v]
    assert all(patch.box for patch in found if patch.activation > 0)
    assert patches(asked, {"one": []}) == ()


def test_bad_questions_are_refused():
    with pytest.raises(Unsupported, match="uses no ReLU"):
        patches(query("norelu", count=1), {"features.0": [0]})
    with pytest.raises(BadParameter, match="no filter 8"):
        patches(query("gap", count=1), {"features.0": [0, 8]})
    with pytest.raises(BadParameter, match="2 are given"):
        patches(query("gap", count=2), {"features.0": [0]})


def test_the_best_filters_above_the_threshold_are_selected():
    scores, means = np.array([5.0, 9, 7, 8, 1]), np.array([0.2, 0.05, 0.3, 1.0, 0.5])
    assert select(scores, means, top=3).tolist() == [1, 3, 2]
    assert select(scores, means, top=3, threshold=0.1).tolist() == [3, 2, 0]
    assert select(scores, means, top=3, relative=0.25).tolist() == [3, 2, 4]
    assert select(scores, means, top=9, threshold=0.4, relative=0.6).tolist() == [3]
    assert select(scores, -means, top=3).tolist() == []


def test_ties_are_broken_by_the_seed_and_not_by_position():
    scores, means = np.zeros(50), np.ones(50)
    drawn = [tuple(select(scores, means, seed=seed)) for seed in range(200)]
    assert drawn[3] == tuple(select(scores, means, seed=3))
    counts = np.bincount(np.array(drawn).ravel(), minlength=50)
    assert counts.min() > 5  # of 20 on average
    one = np.array([1.0, 1, 3, 1])
    assert {tuple(select(one, np.ones(4), top=2, seed=seed)) for seed in range(40)} == {(2, 0), (2, 1), (2, 3)}


def test_thresholds_of_a_metric_are_in_units_of_activation():
    found = resample(query("gap", count=1), samples=4)
    means = found.means["features.4"]
    for metric, least in {"prec": 0.1, "corr": 0.0, "snr": 0.1}.items():
        assert set(found.selected(metric, top=12)["features.4"]) == set(np.flatnonzero(means >= least))
    assert set(found.selected("corr", top=12, threshold=0.3)["features.4"]) == set(np.flatnonzero(means >= 0.3))
