"""Krippendorff's alpha against his own worked example, and against its definition as a mean over pairs."""

from itertools import permutations

import numpy as np
import pytest

from core.review.two_models.reliability import ordinal_alpha

_ = np.nan
# Four observers and twelve units of Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, section C.
WORKED = np.array([
    [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
    [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
])  # fmt: skip


def by_definition(ratings):
    """One minus observed over expected disagreement, summed pair by pair."""
    units = [[one for one in column if np.isfinite(one)] for column in ratings.T]
    units = [unit for unit in units if len(unit) > 1]
    every = sorted(one for unit in units for one in unit)
    count = {level: every.count(level) for level in set(every)}

    def distance(a, b):
        low, high = min(a, b), max(a, b)
        between = sum(number for level, number in count.items() if low <= level <= high)
        return (between - (count[a] + count[b]) / 2) ** 2 if a != b else 0.0

    observed = sum(distance(a, b) / (len(unit) - 1) for unit in units for a, b in permutations(unit, 2)) / len(every)
    expected = sum(distance(a, b) for a, b in permutations(every, 2)) / (len(every) * (len(every) - 1))
    return 1 - observed / expected


def test_the_published_example():
    assert ordinal_alpha(WORKED) == pytest.approx(0.815, abs=5e-4)


@pytest.mark.parametrize("seed", range(5))
def test_the_definition(seed):
    random = np.random.default_rng(seed)
    ratings = random.integers(-2, 3, (4, 20)).astype(float)
    ratings[random.random(ratings.shape) < 0.3] = np.nan
    assert ordinal_alpha(ratings) == pytest.approx(by_definition(ratings), abs=1e-12)


def test_full_agreement_chance_and_what_is_not_defined():
    same = np.tile([-2.0, -1, 0, 1, 2, 2], (3, 1))
    assert ordinal_alpha(same) == 1
    drawn = np.random.default_rng(0).integers(-2, 3, (2, 4000)).astype(float)
    assert abs(ordinal_alpha(drawn)) < 0.05
    assert ordinal_alpha(np.ones((3, 5))) is None, "nobody could disagree"
    assert ordinal_alpha(np.array([[1.0, np.nan], [np.nan, 2.0]])) is None, "nobody rated the same"
    assert ordinal_alpha(np.empty((0, 0))) is None
