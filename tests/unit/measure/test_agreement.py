"""Agreement of maps against scipy, against sets counted by hand, and where there is nothing to order."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from core.measure.agreement import overlap, spearman


@pytest.fixture
def maps():
    return np.random.default_rng(0).normal(size=(5, 12, 10)).astype(np.float32)


def test_spearman_is_scipys(maps):
    maps[3] = np.round(maps[3])  # many ties
    maps[4] = -maps[0]
    assert spearman(maps) == pytest.approx(spearmanr(maps.reshape(5, -1), axis=1).statistic, abs=1e-12)
    assert spearman(maps)[0, 4] == pytest.approx(-1)


def test_only_the_order_counts(maps):
    others = np.exp(3 * maps)
    assert spearman(np.stack([maps[0], others[0]]))[0, 1] == pytest.approx(1)
    assert overlap(others) == pytest.approx(overlap(maps))


def test_overlap_of_planted_places():
    """Of 100 pixels 20 are strong in each map, and 15 of them the same: 15 / 25."""
    maps = np.zeros((2, 10, 10)) + np.linspace(0, 1, 100).reshape(10, 10)
    maps[0].flat[:20] += 5
    maps[1].flat[5:25] += 5
    found = overlap(maps)
    assert found[0, 1] == found[1, 0] == pytest.approx(15 / 25)
    assert np.diag(found) == pytest.approx(1)
    maps[1] = maps[0][::-1, ::-1]
    assert overlap(maps)[0, 1] == 0


def test_overlap_of_sets(maps):
    sets = [set(np.argsort(one.ravel())[-24:]) for one in maps]
    expected = [[len(a & b) / len(a | b) for b in sets] for a in sets]
    assert overlap(maps) == pytest.approx(np.array(expected))


def test_ties_where_the_share_ends_divide_the_places():
    """Four pixels are above zero and 96 tied at it, for 16 remaining positions: tied ones count a sixth each."""
    maps = np.zeros((3, 10, 10))
    maps[0].flat[:4] = maps[1].flat[:4] = 1
    maps[2].flat[96:] = 1
    found = overlap(maps)
    assert found[0, 1] == pytest.approx(1)
    both = 92 / 6 + 2 * 4 / 6
    assert found[0, 2] == pytest.approx(both / (40 - both))
    assert overlap(maps[:, ::-1]) == pytest.approx(found)  # wherever they stand


def test_a_map_of_one_value_has_no_order(maps):
    maps[2] = 7
    for found in (spearman(maps), overlap(maps)):
        assert np.isnan(found[2]).all()
        assert np.isnan(found[:, 2]).all()
        assert np.isfinite(np.delete(np.delete(found, 2, 0), 2, 1)).all()


def test_chance(maps):
    noise = np.random.default_rng(1).random((2, 200, 200))
    assert spearman(noise)[0, 1] == pytest.approx(0, abs=0.02)
    assert overlap(noise)[0, 1] == pytest.approx(0.2 / 1.8, abs=0.01)
