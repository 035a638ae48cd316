"""Bootstrap intervals against scipy's, against the normal distribution, and by how often they hold the true mean."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from core.measure import Curve, Undefined
from core.measure.intervals import Interval, bracketed, interval, intervals


def drawn(n, seed=0):
    return np.random.default_rng(seed).gamma(2, size=n).tolist()


def test_an_interval_is_that_of_scipy_up_to_its_draws():
    numbers = drawn(40)
    found = interval(numbers, level=0.9, draws=20_000)
    theirs = bootstrap(
        [numbers], np.mean, n_resamples=20_000, confidence_level=0.9, method="percentile", rng=0
    ).confidence_interval
    assert (found.n, found.mean) == (40, pytest.approx(np.mean(numbers)))
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_an_interval_of_many_images_is_that_of_a_normal_distribution():
    numbers = drawn(5000)
    found, error = interval(numbers), np.std(numbers) / np.sqrt(5000)
    assert (found.low, found.high) == pytest.approx(
        (found.mean - 1.96 * error, found.mean + 1.96 * error), abs=error / 5
    )


def test_intervals_hold_the_true_mean_as_often_as_they_say():
    samples = [np.random.default_rng(seed).random(50).tolist() for seed in range(400)]
    found = [interval(numbers, level=0.9, draws=200) for numbers in samples]
    assert np.mean([one.low <= 0.5 <= one.high for one in found]) == pytest.approx(0.89, abs=0.03)


def test_of_two_images_every_mean_is_drawn():
    assert interval([0.0, 1.0]) == Interval(2, 0.5, 0.0, 1.0)
    assert interval([0.0, 1.0], level=0.2) == Interval(2, 0.5, 0.5, 0.5)
    assert interval([0.25] * 9) == Interval(9, 0.25, 0.25, 0.25)


def test_images_without_a_number_are_left_out():
    numbers = drawn(10)
    assert interval([Undefined("No."), *numbers, Undefined("No.")]) == interval(numbers)
    assert interval([Undefined("No.")]) is None
    assert interval([]) is None


def test_one_image_has_a_mean_and_no_interval():
    assert interval([0.5, Undefined("No.")]) == Interval(1, 0.5, None, None)
    assert intervals(Curve("x", np.arange(2.0), "y", np.array([[1.0, 3.0]]))) == [
        Interval(1, 1.0, None, None), Interval(1, 3.0, None, None),
    ]  # fmt: skip


def test_a_draw_depends_on_the_seed_and_its_index_alone():
    numbers = drawn(7)
    assert interval(numbers) == interval(numbers)
    assert interval(numbers, seed=1) != interval(numbers)
    state = np.random.get_state()[1].tolist()
    few, many = (interval(numbers, draws=draws, level=1 - 1e-12) for draws in (50, 5000))
    assert many.low < few.low < few.high < many.high  # of the extremes: the first 50 draws are among the 5,000
    assert np.random.get_state()[1].tolist() == state


def test_each_step_of_a_curve_has_the_interval_of_its_numbers():
    y = np.random.default_rng(0).random((12, 5))
    found = intervals(Curve("x", np.linspace(0, 1, 5), "y", y), draws=200, seed=3)
    for step, one in enumerate(found):
        alone = interval(y[:, step].tolist(), draws=200, seed=3)
        assert (one.n, one.mean, one.low, one.high) == pytest.approx((12, alone.mean, alone.low, alone.high))


def test_bounds_are_told_in_brackets_where_there_are_any():
    assert Interval(4, 0.5, 0.25, 0.75).bounds() == " (25.0% to 75.0%)"
    assert Interval(4, -0.5, -1.0, 0.0).bounds("+.2f") == " (-1.00 to +0.00)"
    assert Interval(1, 0.5, None, None).bounds() == ""
    assert bracketed(float("nan"), float("nan")) == ""
