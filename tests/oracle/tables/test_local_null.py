"""The null of shuffled targets, and the rows that SP-LIME chooses."""

import numpy as np
import pytest

from core.errors import BadParameter, Cancelled
from core.tables.lime import lime_table
from core.tables.null import shuffled_null
from core.tables.representatives import cover, representative_rows
from core.tables.table import Column, Table


def noisy(count=60, columns=6, slope=0.0, seed=0):
    """A table whose first feature has an effect on the target."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, columns))
    answers = slope * values[:, 0] + rng.normal(size=count)
    return Table("made", tuple(Column(f"f{number}") for number in range(columns)), values, Column("y"), answers)


def least_squares(table):
    slopes = np.linalg.lstsq(table.values, table.answers - table.answers.mean(), rcond=None)[0]
    return lambda values: (values @ slopes + table.answers.mean())[:, None]


def last(results):
    *_, found = results
    return found


def test_the_maxima_are_those_of_lime_on_models_of_shuffled_tables():
    table, models = noisy(), []

    def fit(some):
        models.append(least_squares(some))
        return models[-1]

    row = table.values[0]
    found = last(shuffled_null(table, fit, row, shuffles=3, samples=200, seed=2))
    settings = {"samples": 200, "seed": 2}
    np.testing.assert_allclose(found.explanation.weights, lime_table(table, models[0], row, **settings).weights)
    expected = [np.abs(lime_table(table, model, row, **settings).weights).max() for model in models[1:]]
    np.testing.assert_allclose(found.maxima, expected)
    assert len(set(expected)) == 3


def test_a_planted_effect_exceeds_the_null_and_its_absence_does_not():
    for slope, exceeds in ((3.0, True), (0.0, False)):
        table = noisy(slope=slope)
        found = last(shuffled_null(table, least_squares, np.full(6, 1.5), shuffles=40, samples=300))
        assert (found.largest > found.quantile) == exceeds
        assert (found.p_value < 0.05) == exceeds
        assert ("does not exceed" in found.sentence) != exceeds


def test_the_p_value_counts_the_true_targets_as_one():
    table = noisy(slope=3.0)
    found = last(shuffled_null(table, least_squares, np.full(6, 1.5), shuffles=9, samples=200))
    assert found.p_value == pytest.approx(1 / 10)
    assert found.quantile == found.maxima.max()


def test_what_is_finished_when_it_is_stopped_is_there():
    table, found = noisy(), []

    def stop(fraction, note):
        if fraction > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        found.extend(shuffled_null(table, least_squares, table.values[0], shuffles=4, samples=60, report=stop))
    assert len(found[-1].maxima) == 2
    assert "2 of 4 shuffles" in found[-1].sentence
    assert "fewer than 19 shuffles" in found[-1].sentence


def test_shuffles_are_the_same_for_the_same_seed():
    table = noisy()
    one, same = (last(shuffled_null(table, least_squares, table.values[0], shuffles=3, samples=60)) for _ in "ab")
    np.testing.assert_array_equal(one.maxima, same.maxima)


def test_the_cover_takes_the_row_that_adds_most():
    shown = np.array([[1, 1, 0, 0], [0, 0, 1, 0], [1, 0, 1, 0], [0, 1, 0, 0]], bool)
    chosen, covered = cover(shown, np.array([3.0, 2, 2.5, 0]), 4)
    assert chosen == [2, 0]
    assert covered == pytest.approx([5.5 / 7.5, 1])


def test_the_cover_is_as_good_as_greed_can_be():
    """At least 1 − 1/e of the best choice, which is found by trying all."""
    from itertools import combinations

    rng = np.random.default_rng(0)
    for _ in range(20):
        shown, importance = rng.random((8, 6)) < 0.4, rng.random(6)
        best = max(importance[shown[list(some)].any(0)].sum() for some in combinations(range(8), 3))
        chosen, covered = cover(shown, importance, 3)
        assert importance[shown[chosen].any(0)].sum() >= (1 - 1 / np.e) * best
        assert covered[-1] == pytest.approx(importance[shown[chosen].any(0)].sum() / importance.sum())


def test_representative_rows_show_different_features():
    """The model uses the first feature where the last is positive, and the second where it is not."""

    def predict(values):
        return np.where(values[:, 2] > 0, values[:, 0], values[:, 1])[:, None]

    table = noisy(columns=3)
    table.values[:, 2] = np.where(np.arange(60) < 30, 5.0, -5.0)
    rows = [0, 1, 40, 41]
    found = representative_rows(table, predict, rows, 2, samples=500, features=1, sampling="row")
    assert len(found.rows) == 2
    assert {row < 30 for row in found.rows} == {True, False}
    strongest = np.array(
        [lime_table(table, predict, table.values[r], samples=500, sampling="row").weights for r in rows]
    )
    strongest = np.where(np.abs(strongest) == np.abs(strongest).max(1, keepdims=True), np.abs(strongest), 0)
    np.testing.assert_allclose(found.importance, np.sqrt(strongest.sum(0)))


def test_rows_outside_the_table_are_refused():
    with pytest.raises(BadParameter, match="not all in the table"):
        representative_rows(noisy(), lambda values: values[:, :1], [60], 1)
