"""The agreement measure against scipy's rank correlation, and where there is nothing to rank."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from core.measure import Evidence, Undefined, evaluate
from tests import nets


@pytest.fixture
def maps():
    """Maps (3 methods, 2 images, 32, 32), some with many ties."""
    found = np.random.default_rng(0).normal(size=(3, 2, nets.SIDE, nets.SIDE)).astype(np.float32)
    found[1] = np.round(found[1])
    found[2, 0] = -(found[0, 0] ** 3)
    return torch.from_numpy(found)


def evidence(maps):
    others = {f"method {number}": one for number, one in enumerate(maps[1:])}
    return Evidence(nets.query("linear", count=maps.shape[1]), maps[0], others=others)


def expected(maps, image):
    return np.mean([spearmanr(maps[0, image].ravel(), other[image].ravel()).statistic for other in maps[1:].numpy()])


@pytest.mark.parametrize("magnitude", [False, True])
def test_agreement_is_the_mean_of_scipys_correlations(maps, magnitude):
    ranked = maps.abs() if magnitude else maps
    found = evaluate("agreement", evidence(maps), {"magnitude": magnitude})
    assert found.result == pytest.approx([expected(ranked, 0), expected(ranked, 1)], abs=1e-12)
    assert found.mean == pytest.approx(np.mean([expected(ranked, 0), expected(ranked, 1)]))


def test_a_map_agrees_wholly_with_any_rising_function_of_itself(maps):
    same = torch.stack([maps[0], maps[0].exp(), 3 * maps[0] - 7])
    assert evaluate("agreement", evidence(same)).result == pytest.approx([1, 1])
    assert evaluate("agreement", evidence(torch.stack([maps[0], -maps[0]]))).result == pytest.approx([-1, -1])
    opposite = evaluate("agreement", evidence(torch.stack([maps[0], -maps[0]])), {"magnitude": True})
    assert opposite.result == pytest.approx([1, 1])


def test_constant_maps_are_left_out_and_have_no_agreement_themselves(maps):
    maps[1, 0] = 7
    maps[0, 1] = 0
    first, second = evaluate("agreement", evidence(maps)).result
    assert first == pytest.approx(expected(maps[[0, 2]], 0))
    assert second == Undefined("The map has the same value everywhere.")
    maps[2, 0] = -1
    found = evaluate("agreement", evidence(maps))
    assert found.result[0] == Undefined("The image has no other map with values that differ.")
    assert found.mean is None


def test_without_other_maps_there_is_no_agreement(maps):
    assert all(isinstance(one, Undefined) for one in evaluate("agreement", evidence(maps[:1])).result)
