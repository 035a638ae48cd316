"""The mu-lasso against a general solver, least squares, and features planted on purpose."""

import numpy as np
import pytest
from scipy.optimize import minimize

from core.errors import BadParameter
from core.units.relevance.lasso import mu_lasso

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # equal features


@pytest.fixture
def planted():
    """Features (40, 90) of which 3, 7 and 11 tell the three classes, and labels (3, 90)."""
    rng = np.random.default_rng(0)
    classes = np.arange(90) % 3
    features = rng.random((40, 90)) * 0.3
    for number, feature in enumerate((3, 7, 11)):
        features[feature] += classes == number
    return features / np.linalg.norm(features, axis=0), np.eye(3)[:, classes]


def by_a_general_solver(features, label, bound, positive):
    """The least error by sequential quadratic programming over positive and negative parts."""
    count = len(features)
    signs = np.concatenate([np.ones(count), np.zeros(count) if positive else -np.ones(count)])

    def error(parts):
        rest = features.T @ (signs * parts).reshape(2, count).sum(0) - label
        slope = 2 * features @ rest
        return rest @ rest, np.concatenate([slope, slope]) * signs

    found = minimize(
        error, np.zeros(2 * count), jac=True, method="SLSQP", bounds=[(0, None)] * (2 * count),
        constraints={"type": "ineq", "fun": lambda parts: bound - parts.sum(), "jac": lambda parts: 0 * parts - 1},
        options={"maxiter": 1000, "ftol": 1e-12},
    )  # fmt: skip
    return found.fun


@pytest.mark.parametrize("positive", [False, True])
def test_the_error_is_the_least_within_the_bound(planted, positive):
    features, labels = planted
    for label, solutions in zip(labels, mu_lasso(features, labels, (0.3, 1, 3), positive=positive), strict=True):
        for solution in solutions:
            assert np.abs(solution.weights).sum() <= solution.bound + 1e-6
            assert not positive or solution.weights.min() >= 0
            rest = features.T @ solution.weights - label
            assert solution.error == pytest.approx(rest @ rest, abs=1e-8)
            best = by_a_general_solver(features, label, solution.bound, positive)
            assert solution.error == pytest.approx(best, rel=2e-3)
            assert solution.error - best <= solution.gap + 1e-6


def test_planted_features_come_first_and_a_small_bound_takes_them_alone(planted):
    features, labels = planted
    for feature, solutions in zip((3, 7, 11), mu_lasso(features, labels, (0.5, 10)), strict=True):
        tight, loose = solutions
        assert tight.weights.argmax() == loose.weights.argmax() == feature
        assert tight.features <= 2 < loose.features


def test_the_error_falls_as_the_bound_grows_to_that_of_least_squares(planted):
    features, labels = planted
    bounds = (0.1, 0.5, 2, 8, 1e4)
    for label, solutions in zip(labels, mu_lasso(features, labels, bounds), strict=True):
        errors = [one.error for one in solutions]
        assert errors == sorted(errors, reverse=True)
        _, (least,), *_ = np.linalg.lstsq(features.T, label)
        assert errors[-1] == pytest.approx(least, rel=1e-4)
        assert all(one.gap >= 0 for one in solutions)


def test_equal_features_and_features_of_nothing_are_solved(planted):
    features, labels = planted
    doubled = np.concatenate([features, features, np.zeros((5, 90))])
    for once, twice in zip(mu_lasso(features, labels, (2.0,)), mu_lasso(doubled, labels, (2.0,)), strict=True):
        assert twice[0].error == pytest.approx(once[0].error, abs=1e-3)
        assert not twice[0].weights[-5:].any()
    (nothing,) = mu_lasso(np.zeros((4, 90)), labels, (1.0,))[:1]
    assert not nothing[0].weights.any()


@pytest.mark.parametrize("bounds", [(), (0,), (-1, 2), (np.nan,)])
def test_bounds_that_are_none_get_a_sentence(planted, bounds):
    with pytest.raises(BadParameter, match="mu cannot be"):
        mu_lasso(*planted, bounds)


def test_values_that_are_not_finite_get_a_sentence(planted):
    features, labels = planted
    features[3, 4] = np.nan
    with pytest.raises(BadParameter, match="not finite"):
        mu_lasso(features, labels, (1.0,))
