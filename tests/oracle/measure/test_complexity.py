"""Complexity against the definitions of inequality and entropy, and for maps whose number is known."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from core.measure import Evidence, Undefined, evaluate
from tests import nets

SIDE = nets.SIDE


def numbers(name, maps):
    return evaluate(name, Evidence(nets.query("linear", count=len(maps)), torch.as_tensor(np.array(maps)))).result


@pytest.fixture
def maps():
    return np.random.default_rng(0).normal(size=(3, SIDE, SIDE))


def test_sparseness_is_half_the_mean_difference_of_two_pixels_relative_to_the_mean(maps):
    flat = np.abs(maps).reshape(3, -1)
    expected = [np.abs(one[:, None] - one).mean() / (2 * one.mean()) for one in flat]
    assert numbers("sparseness", maps) == pytest.approx(expected, abs=1e-12)


def test_entropy_is_scipys(maps):
    assert numbers("entropy", maps) == pytest.approx(entropy(np.abs(maps).reshape(3, -1), axis=1), abs=1e-12)


def test_a_constant_map_is_the_least_sparse_and_one_pixel_the_most():
    constant, single, quarter = np.zeros((3, SIDE, SIDE))
    constant[:], single[3, 4], quarter[: SIDE // 4] = -2, -7, 5
    assert numbers("sparseness", [constant, single, quarter]) == pytest.approx([0, 1 - 1 / SIDE**2, 0.75])
    pixels = SIDE**2
    assert numbers("entropy", [constant, single, quarter]) == pytest.approx([math.log(pixels), 0, math.log(pixels / 4)])


@pytest.mark.parametrize("name", ["sparseness", "entropy"])
def test_neither_scale_nor_sign_nor_place_counts(name, maps):
    one = maps[0]
    assert numbers(name, [3 * one, -one, one[::-1]]) == pytest.approx(3 * numbers(name, [one]))


@pytest.mark.parametrize("name", ["sparseness", "entropy"])
def test_a_map_of_zeros_and_one_that_is_not_finite_have_no_number(name, maps):
    maps[0], maps[1, 2, 2] = 0, np.inf
    first, second, third = numbers(name, maps)
    assert first == Undefined("The map is zero everywhere.")
    assert second == Undefined("The map has values that are not finite.")
    assert isinstance(third, float)
