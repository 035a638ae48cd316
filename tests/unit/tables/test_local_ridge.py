"""Ridge regression against scikit-learn, in both of its forms."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge as Reference

from core.tables.ridge import Ridge


@pytest.mark.parametrize("shape", [(60, 7), (20, 20), (15, 80)])
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.bool_])
def test_weights_intercept_and_score_are_those_of_scikit_learn(shape, kind):
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=shape) > 0).astype(kind) if kind is np.bool_ else rng.normal(size=shape).astype(kind)
    weights, target = rng.uniform(0.1, 1, shape[0]), rng.normal(size=shape[0]) + 3
    for alpha in (0.01, 1.0, 50.0):
        fit = Ridge(rows, weights, alpha).fit(target)
        expected = Reference(alpha=alpha).fit(rows.astype(float), target, sample_weight=weights)
        np.testing.assert_allclose(fit.weights, expected.coef_, rtol=1e-7, atol=1e-9)
        assert fit.intercept == pytest.approx(expected.intercept_)
        assert fit.score == pytest.approx(expected.score(rows.astype(float), target, weights), abs=1e-9)


def test_a_linear_target_is_recovered_without_penalty():
    rows = np.random.default_rng(1).normal(size=(50, 4))
    fit = Ridge(rows, np.ones(50), 1e-12).fit(rows @ [1.0, -2, 0, 3] + 5)
    np.testing.assert_allclose([*fit.weights, fit.intercept, fit.score], [1, -2, 0, 3, 5, 1], atol=1e-9)


@pytest.mark.parametrize("shape", [(30, 4), (10, 40)])
def test_a_constant_target_has_weights_of_exactly_zero_and_no_score(shape):
    fit = Ridge(np.random.default_rng(2).normal(size=shape), np.full(shape[0], 0.3), 1.0).fit(np.full(shape[0], 0.1))
    assert not fit.weights.any()
    assert (fit.intercept, fit.score) == (0.1, None)


def test_many_columns_are_read_in_blocks(monkeypatch):
    rng = np.random.default_rng(3)
    rows, target = rng.normal(size=(12, 100)), rng.normal(size=12)
    whole = Ridge(rows, np.ones(12), 1.0).fit(target)
    monkeypatch.setattr("core.tables.ridge._BLOCK", 36)
    parts = Ridge(rows, np.ones(12), 1.0).fit(target)
    np.testing.assert_allclose(parts.weights, whole.weights, rtol=1e-10)
