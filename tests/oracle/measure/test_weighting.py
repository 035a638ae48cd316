"""Average drop and increase against their definition, and where they are known or undefined."""

import numpy as np
import pytest
import torch

from core.errors import BadParameter
from core.explain.baselines import baseline
from core.explain.targets import Classes, Difference
from core.measure import Evidence, Undefined, evaluate
from tests import nets


def noise(count=6):
    return torch.randn(count, nets.SIDE, nets.SIDE, generator=torch.Generator().manual_seed(0))


def probabilities(query, maps, fill):
    """The probabilities (B,) of the images and of the weighted ones, one image at a time."""
    pairs = []
    empties = baseline(query, fill).expand_as(query.images)
    for image, empty, one, index in zip(query.images, empties, maps, query.targets.indices, strict=True):
        weights = (one / one.max()).clamp(min=0)
        mixed = weights * image + (1 - weights) * empty
        pairs.append([float(query.net(each[None]).detach().softmax(1)[0, index]) for each in (image, mixed)])
    return np.array(pairs).T


@pytest.mark.parametrize("batch", [1, 4, 64])
@pytest.mark.parametrize("fill", ["grey", "black", "blur", "uniform"])
def test_they_are_as_defined(fill, batch):
    query = nets.query("cnn", count=6, batch=batch)
    classes = query.clean_logits().argsort(1)[torch.arange(6), [0, -1, 0, -1, 0, -1]]  # the last and the first of all
    query = query.with_targets(Classes(classes))
    clean, weighted = probabilities(query, noise(), fill)
    drops = evaluate("average_drop", Evidence(query, noise()), {"fill": fill}).result
    assert drops == pytest.approx(np.maximum(0, clean - weighted) / clean, abs=1e-5)
    increases = evaluate("average_increase", Evidence(query, noise()), {"fill": fill}).result
    assert increases == (weighted > clean).tolist()
    assert 0 < sum(increases) < 6


def test_a_map_of_ones_changes_nothing():
    evidence = Evidence(nets.query("gap", count=5, batch=3), torch.full((5, nets.SIDE, nets.SIDE), 7.0))
    assert evaluate("average_drop", evidence).result == pytest.approx([0] * 5, abs=1e-6)
    assert evaluate("average_increase", evidence).result == [0] * 5


def test_rounding_is_no_increase():
    maps = torch.ones(20, nets.SIDE, nets.SIDE)
    maps[:, 0, 0] -= 1e-5
    query = nets.query("linear", count=20)
    clean, weighted = probabilities(query, maps, "grey")
    assert (weighted > clean).any()
    assert evaluate("average_increase", Evidence(query, maps)).result == [0] * 20


def test_a_map_without_positive_values_weights_nothing():
    maps = noise(3)
    maps[0], maps[1] = 0, -maps[1].abs()
    for name in ("average_drop", "average_increase"):
        first, second, third = evaluate(name, Evidence(nets.query("gap", count=3), maps)).result
        assert first == second == Undefined("The map has no positive value.")
        assert isinstance(third, float)


def test_there_is_no_share_of_a_score_that_is_not_positive():
    certain = nets.seeded(nets.LinearNet)
    torch.nn.init.constant_(certain.fc.bias[0], 200)
    query = nets.query("cnn", count=2)
    classes = [Classes(query.clean_logits().argsort(1)[:, column]) for column in (0, -1)]
    lower = query.with_targets(Difference(*classes))
    for name in ("average_drop", "average_increase"):
        reason = Undefined("The score of the unmodified image is not positive.")
        for one in (lower, nets.query(certain, count=2)):  # log-odds below zero, and a probability of zero
            assert evaluate(name, Evidence(one, noise(2))).result == [reason, reason]


def test_both_share_their_passes():
    query = nets.query("cnn", count=6)
    query.clean_logits()
    spent = query.log.forwards
    for name in ("average_drop", "average_increase"):
        evaluate(name, Evidence(query, noise()))
    assert query.log.forwards - spent == 6
    evaluate("average_drop", Evidence(query, noise().flip(0)))
    evaluate("average_drop", Evidence(query, noise()), {"fill": "blur"})
    assert query.log.forwards - spent == 18


def test_wrong_maps_are_refused_with_a_sentence():
    with pytest.raises(BadParameter, match="not finite"):
        evaluate("average_drop", Evidence(nets.query("cnn"), noise(2) / 0))
    with pytest.raises(BadParameter, match="maps have 3 × 3 pixels"):
        evaluate("average_increase", Evidence(nets.query("cnn"), torch.ones(2, 3, 3)))
