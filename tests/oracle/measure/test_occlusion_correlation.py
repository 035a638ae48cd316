"""The correlation with occlusion against a network whose drops are known sums, and captum's windows."""

import numpy as np
import pytest
import torch
from captum.attr import Occlusion
from scipy.stats import spearmanr

from core.explain import explain
from core.measure import MEASURES, Evidence, Undefined, evaluate
from tests import nets

SIDE = nets.SIDE
TILES = {"window": 56, "stride": 56, "score": "logit"}  # 16 windows of 8 × 8 pixels that do not overlap


def correlation(query, maps, **settings):
    return evaluate("occlusion_correlation", Evidence(query, maps), {**TILES, **settings}).result


def tiled(values):
    """Values (B, 4, 4) as maps (B, 32, 32) that are constant in each window."""
    return torch.as_tensor(values).repeat_interleave(8, 1).repeat_interleave(8, 2)


@pytest.mark.parametrize("fill", ["grey", "black"])
def test_drops_are_captums(fill):
    query = nets.query("cnn", count=2)
    base = (
        0.0 if fill == "grey" else query.model.preprocess.normalised(torch.zeros(1, 3, 1, 1)).expand(1, 3, SIDE, SIDE)
    )
    drops = Occlusion(query.net).attribute(query.images, (3, 8, 8), (3, 8, 8), target=1, baselines=base)[:, 0]
    maps = torch.from_numpy(np.random.default_rng(0).normal(size=(2, SIDE, SIDE)))
    for magnitude in (True, False):
        counted = maps.abs() if magnitude else maps
        means, known = (values.unfold(1, 8, 8).unfold(2, 8, 8).mean((3, 4)).flatten(1) for values in (counted, drops))
        expected = [spearmanr(mean, drop).statistic for mean, drop in zip(means, known.detach(), strict=True)]
        assert correlation(query, maps, fill=fill, magnitude=magnitude) == pytest.approx(expected, abs=1e-9)


def test_occlusion_agrees_with_itself_and_its_negative_does_not():
    query = nets.query("cnn", count=3)
    maps = explain("occlusion", query, TILES).maps
    assert correlation(query, maps, magnitude=False) == pytest.approx([1, 1, 1])
    assert correlation(query, -maps, magnitude=False) == pytest.approx([-1, -1, -1])
    assert correlation(query, maps.exp()) == pytest.approx([1, 1, 1])
    assert correlation(query, (-maps).exp()) == pytest.approx([-1, -1, -1])


def test_overlapping_windows_and_those_cut_at_the_border_are_averaged_alone():
    """Windows of 7 × 7 pixels at every third; the last ones have 5 rows or columns. Drops of the network are sums."""
    query = nets.query("additive", count=2)
    terms = query.net.terms(query.images, 1).detach().double()
    boxes = [(row, column) for row in range(0, 28, 3) for column in range(0, 28, 3)]
    maps = torch.rand(2, SIDE, SIDE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def over(values, how):
        return [how(values[row : row + 7, column : column + 7]).item() for row, column in boxes]

    expected = [spearmanr(over(m, torch.mean), over(t, torch.sum)).statistic for m, t in zip(maps, terms, strict=True)]
    found = correlation(query, maps, window=48, stride=24)  # 7 and 3 pixels of 32
    assert found == pytest.approx(expected, abs=2e-3)  # scores are rounded: close ones may swap ranks


def test_neither_batch_nor_company_changes_a_number():
    query = nets.query("cnn", count=3)
    maps = torch.from_numpy(np.random.default_rng(0).normal(size=(3, SIDE, SIDE)))
    whole = correlation(query, maps)
    assert correlation(query.run_with(batch=2), maps) == pytest.approx(whole, abs=1e-6)
    one = query.subset(slice(1, 2), query.report)
    assert correlation(one, maps[1:2]) == pytest.approx(whole[1:2], abs=1e-6)


def test_its_cost_is_what_it_runs():
    query = nets.query("cnn", count=2)
    query.clean_scores()
    before = query.log.forwards
    correlation(query, torch.rand(2, SIDE, SIDE))
    entry = MEASURES["occlusion_correlation"]
    assert query.log.forwards - before == 2 * entry.passes(entry.chosen(TILES), SIDE).forward == 32


def test_without_an_order_there_is_no_correlation():
    query = nets.query("cnn", count=3)
    maps = torch.rand(3, SIDE, SIDE)
    maps[0], maps[1, 0, 0] = 0.1, torch.nan
    first, second, third = correlation(query, maps)
    assert first == Undefined("The map has the same mean in all windows.")
    assert second == Undefined("The map has values that are not finite.")
    assert isinstance(third, float)
    query.net.classifier[2].weight.zero_()
    assert correlation(nets.query(query.net, count=1), maps[2:]) == [
        Undefined("Every window changes the score alike when it is occluded.")
    ]


def test_equal_means_share_their_rank():
    query = nets.query("cnn", count=1)
    values = torch.arange(16.0).view(1, 4, 4) // 3
    drops = explain("occlusion", query, TILES).maps[0, ::8, ::8].flatten()
    expected = spearmanr(values.flatten(), drops).statistic
    assert correlation(query, tiled(values)) == pytest.approx([expected], abs=1e-9)
