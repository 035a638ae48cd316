"""League tables against short computations of their own, and for scores made by hand."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.exam.curves import iou_curves
from core.exam.league import above_controls, cases, flips, league, order_flips, standings
from core.exam.plan import folds
from core.measure.intervals import interval
from core.measure.measure import Undefined

BETTER = ["higher", "lower"]


@given(st.lists(st.integers(-1, 5), min_size=1, max_size=60), st.integers(1, 8))
def test_folds_are_disjoint_and_balanced(labels, count):
    fold = folds(labels, count)
    sizes = np.bincount(fold, minlength=count)
    assert sizes.sum() == len(labels)
    assert sizes.max() - sizes.min() <= 1
    for label in set(labels):
        of_class = np.bincount(fold[np.array(labels) == label], minlength=count)
        assert of_class.max() - of_class.min() <= 1


def test_standings_are_means_deviations_and_ranks(scored):
    rng = np.random.default_rng(0)
    values, fold = rng.random((11, 4, 2)), np.arange(11) % 3
    values[3:5, 1, 0] = np.nan
    table = standings(scored(values, fold, BETTER)).set_index(["method", "measure"])
    for m in range(4):
        for k in range(2):
            row, own = table.loc[f"m{m}", f"k{k}"], values[:, m, k]
            known = own[~np.isnan(own)]
            means = [np.nanmean(own[fold == f]) for f in range(3)]
            bounds = interval([Undefined("") if np.isnan(one) else float(one) for one in own])
            assert row["n"] == len(known)
            assert row["mean"] == pytest.approx(known.mean())
            assert row["deviation"] == pytest.approx(np.std(means, ddof=1))
            assert (row["low"], row["high"]) == pytest.approx((bounds.low, bounds.high))
            others = [np.nanmean(values[:, other, k]) for other in range(4)]
            sign = 1 if BETTER[k] == "higher" else -1
            assert row["rank"] == 1 + sum(sign * other > sign * known.mean() + 1e-12 for other in others)


def test_the_league_shows_the_spread_of_ranks(scored):
    values = np.zeros((4, 3, 2))
    values[:, :, 0] = [3, 2, 1]  # more is better
    values[:, :, 1] = [0.5, 0.2, 0.9]  # less is better
    table = league(scored(values, [0, 1, 0, 1], BETTER)).set_index("method")
    assert table.index.tolist() == ["m0", "m1", "m2"]
    assert table[["best", "worst"]].to_numpy().tolist() == [[1, 2], [1, 2], [3, 3]]
    assert table["k0"].tolist() == [3, 2, 1]
    assert table["passes"].tolist() == [4, 4, 4]
    assert table["seconds"].tolist() == [0.25, 0.5, 0.75]


def test_equal_means_share_the_lower_rank(scored):
    values = np.array([[[1.0], [1.0], [0.0]]] * 2)
    assert standings(scored(values, [0, 1], ["higher"]))["rank"].tolist() == [1, 1, 3]


def test_order_flips_are_counted_between_folds():
    means = np.array([[3.0, 2, 1], [3, 1, 2], [1, 2, 2]])  # of three folds and methods
    expected = np.zeros((3, 3))
    for a, b in combinations(range(3), 2):
        pairs = list(combinations(range(3), 2))
        signs = [np.sign(means[f, a] - means[f, b]) for f in range(3)]
        changes = [1 if signs[f] * signs[g] < 0 else 0.5 if signs[f] != signs[g] else 0 for f, g in pairs]
        expected[a, b] = expected[b, a] = sum(changes) / len(pairs)
    assert order_flips(means) == pytest.approx(expected)
    assert order_flips(means)[0, 1] == pytest.approx(2 / 3)


def test_a_stable_order_never_flips_and_a_random_one_does(scored):
    values = np.zeros((6, 3, 1))
    values[:, 0, 0], values[:, 1, 0] = 2, [1, 1, 1, -1, -1, -1]  # the third method is always 0
    exam = scored(values, [0, 0, 0, 1, 1, 1], ["higher"])
    assert flips(exam, "k0").loc["m0"].tolist() == [0, 0, 0]
    assert flips(exam, "k0").loc["m1"].tolist() == [0, 0, 1]
    assert standings(exam)["flips"].tolist() == [0, 0.5, 0.5]


def test_a_single_fold_or_image_says_nothing_about_others(scored):
    exam = scored(np.ones((1, 2, 1)), [0], ["higher"])
    row = standings(exam).iloc[0]
    assert (row["n"], row["mean"]) == (1, 1)
    assert row[["deviation", "low", "high", "flips"]].isna().all()
    assert flips(exam, "k0").isna().all(axis=None)


def test_worst_and_best_cases_follow_the_direction(scored):
    values = np.array([0.3, np.nan, 0.9, 0.1])[:, None, None] * np.ones((4, 1, 2))
    exam = scored(values, [0, 0, 1, 1], BETTER)
    assert cases(exam, "m0", "k0", 2)["image"].tolist() == [3, 0]
    assert cases(exam, "m0", "k1", 2)["image"].tolist() == [2, 0]
    assert cases(exam, "m0", "k1", 9, worst=False)["value"].tolist() == [0.1, 0.3, 0.9]


def test_distance_to_controls_is_measured_image_by_image(scored):
    rng = np.random.default_rng(1)
    control = rng.random((9, 1, 1))
    values = np.concatenate([control - 0.1, control, control + rng.random((9, 1, 1))], 1)
    exam = scored(values, [0, 1, 2] * 3, ["lower"], families=["cam", "control", "gradient"])
    found = above_controls(exam, "k0").set_index("method")
    assert found.loc["m0", ["difference", "low", "high"]].tolist() == pytest.approx([0.1, 0.1, 0.1])
    assert found.loc["m2", "high"] < 0
    assert found["control"].tolist() == ["m1", "m1"]


def test_mean_curves_have_the_area_of_the_table(exam):
    curves = iou_curves(exam, exam.methods["name"].tolist())
    means = {
        name: np.mean([row for row in one.y if not isinstance(row, Undefined)], axis=0) for name, one in curves.items()
    }
    areas = pd.Series({name: np.trapezoid(mean, curves[name].x) * 100 for name, mean in means.items()})
    table = standings(exam).query("measure == 'auc_iou'").set_index("method")["mean"]
    assert areas.to_numpy() == pytest.approx(table[areas.index].to_numpy(), abs=0.02)
