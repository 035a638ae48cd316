"""Linear regression against certified values, closed forms and a worked computation."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.datasets import longley

from core.errors import UnknownName, Unsupported
from core.tables.data import made
from core.tables.data.datasets import DATASETS
from core.tables.linear import linear, linear_error
from core.tables.table import Column, Table

# NIST Statistical Reference Datasets, Longley: coefficients and their standard deviations.
CERTIFIED = {
    "intercept": (-3482258.63459582, 890420.383607373),
    "GNPDEFL": (15.0618722713733, 84.9149257747669),
    "GNP": (-0.358191792925910e-01, 0.334910077722432e-01),
    "UNEMP": (-2.02022980381683, 0.488399681651699),
    "ARMED": (-1.03322686717359, 0.214274163161675),
    "POP": (-0.511041056535807e-01, 0.226073200069370),
    "YEAR": (1829.15146461355, 455.478499142212),
}


def planted(values, answers, names="abcdefgh"):
    columns = tuple(Column(name) for name in names[: values.shape[1]])
    return Table("planted", columns, values, Column("y"), answers)


def test_the_certified_values_of_longley_to_eight_digits():
    data = longley.load_pandas()
    columns = tuple(Column(name) for name in data.exog)
    found = linear(Table("longley", columns, data.exog.to_numpy(), Column("TOTEMP"), data.endog.to_numpy()))
    assert found.notes == ()
    assert found.coefficients["term"].tolist() == list(CERTIFIED)
    for row in found.coefficients.itertuples():
        assert row.coefficient == pytest.approx(CERTIFIED[row.term][0], rel=5e-9)
        assert row.std_error == pytest.approx(CERTIFIED[row.term][1], rel=5e-9)
    assert found.r_squared == pytest.approx(0.995479004577296, rel=1e-12)
    assert found.degrees == 9


def test_the_formulas_of_the_textbook():
    """b = (X'X)⁻¹X'y, se = √(s² diag (X'X)⁻¹), t = b/se, and p of Student's distribution, computed by hand."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(40, 3))
    answers = values @ [2.0, -1.0, 0.1] + rng.normal(size=40)
    found = linear(planted(values, answers)).coefficients
    design = np.column_stack([np.ones(40), values])
    inverse = np.linalg.inv(design.T @ design)
    expected = inverse @ design.T @ answers
    variance = np.square(answers - design @ expected).sum() / 36
    errors = np.sqrt(variance * np.diag(inverse))
    assert np.allclose(found["coefficient"], expected)
    assert np.allclose(found["std_error"], errors)
    assert np.allclose(found["t"], expected / errors)
    assert np.allclose(found["p"], 2 * stats.t.sf(abs(expected / errors), 36))
    assert np.allclose(found["high"] - found["low"], 2 * errors * stats.t.ppf(0.975, 36))


def test_data_without_noise_give_their_coefficients():
    values = np.random.default_rng(2).normal(size=(20, 3))
    found = linear(planted(values, 3 + values @ [1.0, 0.0, -4.0]))
    assert np.allclose(found.coefficients["coefficient"], [3, 1, 0, -4], atol=1e-12)
    assert found.r_squared == pytest.approx(1)
    assert found.features["importance"].argmax() == 2


def test_a_category_is_tested_as_a_whole():
    """F of a category against the sums of squares of the models with and without it; of a number it is t²."""
    table = made.students(200)
    found = linear(table)
    assert found.coefficients["term"].tolist()[1:3] == ["course = languages", "course = science"]
    design = np.column_stack([np.ones(200), table.encoded()[:, 1:]])
    without = np.delete(design, [1, 2], axis=1)
    full, small = (np.square(table.answers - one @ np.linalg.lstsq(one, table.answers)[0]).sum()
                   for one in (design, without))  # fmt: skip
    expected = (small - full) / 2 / (full / (200 - 9))
    assert found.features["importance"][0] == pytest.approx(np.sqrt(expected))
    assert found.features["p"][0] == pytest.approx(stats.f.sf(expected, 2, 191))
    numbers = found.coefficients.iloc[3:]
    assert np.allclose(found.features["importance"][1:], numbers["t"].abs())
    assert np.allclose(found.features["p"][1:], numbers["p"], rtol=1e-6)


def test_columns_that_others_determine_are_left_out_and_said():
    values = np.random.default_rng(3).normal(size=(30, 4))
    values[:, 2] = values[:, 0] - 2 * values[:, 1] + 5
    values[:, 3] = 7
    found = linear(planted(values, values[:, 0]))
    assert found.coefficients["term"].tolist() == ["intercept", "a", "b"]
    assert [note.partition(" ")[0] for note in found.notes] == ["c", "d"]
    assert found.features["importance"].tolist()[2:] == [0, 0]


def test_a_class_is_zero_and_one():
    wine = DATASETS["wine"].load()
    found = linear(wine, "class_0")
    assert found.outcome == "cultivar = class_0"
    design = np.column_stack([np.ones(len(wine)), wine.values])
    expected = np.linalg.lstsq(design, wine.answers == 0)[0]
    assert np.allclose(found.coefficients["coefficient"], expected, rtol=1e-6)
    assert linear(wine).outcome == "cultivar = class_2"
    with pytest.raises(UnknownName, match="class_9"):
        linear(wine, "class_9")


def test_fewer_rows_than_coefficients_are_refused_with_the_numbers():
    with pytest.raises(Unsupported, match=r"18,633 coefficients, which 46 rows"):
        linear(DATASETS["drugs"].load())
    values = np.random.default_rng(4).normal(size=(10, 8))
    assert linear(planted(values, values[:, 0] + values[:, 1] ** 2)).degrees == 1
    with pytest.raises(Unsupported, match="9 rows do not determine"):
        linear(planted(values[:9], values[:9, 0]))


def test_the_error_on_rows_held_out_is_that_of_the_coefficients():
    table = made.students(300)
    training, held = table.rows(np.arange(200)), table.rows(np.arange(200, 300))
    weights = linear(training).coefficients["coefficient"].to_numpy()
    outputs = np.column_stack([np.ones(100), held.encoded()[:, 1:]]) @ weights
    assert linear_error(training, held) == pytest.approx(np.square(outputs - held.answers).mean())
    classes = training.above_average(), held.above_average(training.answers.mean())
    weights = linear(classes[0]).coefficients["coefficient"].to_numpy()
    outputs = np.column_stack([np.ones(100), held.encoded()[:, 1:]]) @ weights
    assert linear_error(*classes) == ((outputs >= 0.5) != classes[1].answers).mean()
