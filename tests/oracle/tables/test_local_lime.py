"""LIME for tables against what is known of simple models, and against the package of its authors."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression

from core.errors import BadParameter, TooLarge
from core.tables.lime import LIME, lime_table
from core.tables.neighbourhood import neighbourhood
from core.tables.table import Column, Table

SLOPES = np.array([3.0, -2.0, 1.0, 0.0])


def numbers(count=400, columns=4, seed=0):
    values = np.random.default_rng(seed).normal(size=(count, columns))
    names = tuple(Column(f"f{number}") for number in range(columns))
    return Table("made", names, values, Column("y"), np.zeros(count))


def linear(values):
    return (values @ SLOPES)[:, None]


def colours(count=300):
    rng = np.random.default_rng(5)
    columns = (Column("size"), Column("colour", "category", ("red", "green", "blue")))
    values = np.stack([rng.normal(size=count), rng.choice(3, count, p=[0.6, 0.3, 0.1])], 1)
    return Table("made", columns, values, Column("y"), np.zeros(count))


@pytest.mark.parametrize("sampling", ["mean", "row"])
def test_a_linear_model_gives_its_slopes_per_standard_deviation(sampling):
    table = numbers()
    found = lime_table(table, linear, table.values[3], sampling=sampling, samples=2000, alpha=0.001)
    np.testing.assert_allclose(found.weights, SLOPES * table.values.std(0), atol=0.01)
    assert found.fit == pytest.approx(1, abs=1e-4)
    assert found.local_prediction == pytest.approx(found.prediction, abs=0.02)
    assert found.prediction == pytest.approx(float(table.values[3] @ SLOPES))


def test_quartiles_give_sign_and_order_of_a_linear_models_slopes():
    """In the highest quarter of every column, a weight is the slope times the distance from the mean of the rest."""
    table = numbers()
    row = np.full(4, 2.0)
    found = lime_table(table, linear, row)
    assert found.order[:3].tolist() == [0, 1, 2]
    assert np.sign(found.weights[:3]).tolist() == [1, -1, 1]
    expected = SLOPES * [highest_quarter(column) for column in table.values.T]
    np.testing.assert_allclose(found.weights, expected, rtol=0.15, atol=0.1)


def highest_quarter(column):
    """The mean of uniform draws in the highest quarter of a column, less that of draws in the others."""
    edges = np.percentile(column, (0, 25, 50, 75, 100))
    middles = (edges[1:] + edges[:-1]) / 2
    return middles[3] - middles[:3].mean()


def test_a_constant_model_has_zero_weights_and_no_fit():
    found = lime_table(numbers(), lambda values: np.full((len(values), 1), 0.7), np.zeros(4), samples=200)
    assert not found.weights.any()
    assert found.fit is None
    assert "all equal" in found.sentence


def test_a_category_has_the_effect_of_being_equal():
    table = colours()
    found = lime_table(table, lambda values: 2.0 * (values[:, 1:] == 0), np.array([0.0, 0]), alpha=0.001)
    assert found.conditions[1] == "colour = red"
    np.testing.assert_allclose(found.weights, [0, 2], atol=1e-3)
    red, green, _ = np.bincount(table.values[:, 1].astype(int)) / len(table)
    rare = lime_table(table, lambda values: 2.0 * (values[:, 1:] == 0), np.array([0.0, 2]), sampling="row")
    assert rare.weights[1] == pytest.approx(-2 * red / (red + green), abs=0.05)


def test_categories_are_drawn_with_their_frequencies_and_numbers_by_quarters():
    table, seen = colours(), []
    lime_table(table, lambda values: (seen.append(values), values[:, :1])[1], np.array([0.0, 0]), samples=4000)
    drawn = np.concatenate(seen[1:])
    np.testing.assert_allclose(np.bincount(drawn[:, 1].astype(int)) / 3999, [0.6, 0.3, 0.1], atol=0.06)
    edges = np.percentile(table.values[:, 0], (0, 25, 50, 75, 100))
    shares = np.histogram(drawn[:, 0], edges)[0] / 3999
    np.testing.assert_allclose(shares, 0.25, atol=0.02)
    assert drawn[:, 0].min() >= edges[0]
    assert drawn[:, 0].max() <= edges[-1] + 1e-6


def test_conditions_are_the_quarters_of_the_row():
    table = Table("made", (Column("hours"),), np.arange(1.0, 6)[:, None], Column("y"), np.zeros(5))
    found = [lime_table(table, lambda x: x, np.array([x]), samples=50).conditions[0] for x in (1.0, 2.0, 2.5, 9.0)]
    assert found == ["hours ≤ 2", "hours ≤ 2", "2 < hours ≤ 3", "hours > 4"]


def test_a_constant_column_has_weight_zero():
    table = numbers()
    table.values[:, 3] = 7
    for sampling in ("quartiles", "mean", "row"):
        found = lime_table(table, linear, table.values[0], sampling=sampling, samples=300)
        assert found.weights[3] == pytest.approx(0, abs=1e-12)
        assert np.isfinite(found.weights).all()


@pytest.mark.parametrize("sampling", ["quartiles", "mean", "row"])
def test_nearness_is_the_kernel_of_the_distance_of_features(sampling):
    table = numbers()
    found = neighbourhood(table, table.values[0], sampling, samples=100, width=0.75, seed=0)
    distances = np.linalg.norm(found.features.astype(float) - found.features[0], axis=1)
    np.testing.assert_allclose(found.weights, np.sqrt(np.exp(-(distances**2) / (0.75 * 2) ** 2)))  # 4 features
    assert found.weights[0] == 1
    assert len(np.unique(found.weights)) > 3
    if sampling == "quartiles":
        edges = np.percentile(table.values, (25, 50, 75), axis=0)
        quarters = (found.values[:, None] > edges[None]).sum(1)
        assert (found.features == (quarters == quarters[0])).mean() > 0.999  # 32 bits may round onto an edge
    else:
        standard = (found.values - table.values.mean(0)) / table.values.std(0)
        np.testing.assert_allclose(found.features, standard, atol=1e-5)


def test_the_same_seed_gives_the_same_weights_in_any_blocks(monkeypatch):
    table = numbers()
    first = lime_table(table, linear, table.values[0], samples=300, seed=4)
    monkeypatch.setattr("core.tables.neighbourhood._BLOCK", 44)
    again = lime_table(table, linear, table.values[0], samples=300, seed=4)
    other = lime_table(table, linear, table.values[0], samples=300, seed=5)
    np.testing.assert_array_equal(first.weights, again.weights)
    assert not np.array_equal(first.weights, other.weights)


def test_more_features_than_samples_make_the_fit_meaningless_and_the_sentence_says_so():
    table = numbers(columns=80)
    found = lime_table(table, lambda values: values[:, :1], table.values[0], samples=50)
    assert "It says nothing here" in found.sentence


def test_what_cannot_be_explained_is_refused():
    table = numbers()
    with pytest.raises(BadParameter, match="each feature"):
        lime_table(table, linear, np.zeros(3))
    with pytest.raises(BadParameter, match="each feature"):
        lime_table(table, linear, np.array([0, 0, np.nan, 0]))
    with pytest.raises(TooLarge, match="do not fit"):
        lime_table(table, linear, np.zeros(4), samples=2**26)
    with pytest.raises(BadParameter, match=r"lime_table\.samples"):
        LIME.chosen({"samples": 1})


def cancer():
    data = load_breast_cancer()
    columns = tuple(Column(str(name)) for name in data.feature_names)
    return Table("cancer", columns, data.data, Column("y", "category", ("malignant", "benign")), data.target)


def diabetes():
    data = load_diabetes()
    return Table("diabetes", tuple(map(Column, data.feature_names)), data.data, Column("y"), data.target)


@pytest.mark.slow
@pytest.mark.parametrize("make", [cancer, diabetes])
def test_weights_agree_with_the_lime_package_as_well_as_it_does_with_itself(make):
    """With the same quartiles: the five strongest features, their signs, and all weights."""
    lime = pytest.importorskip("lime.lime_tabular")
    table = make()
    classes = bool(table.classes)
    fitted = (RandomForestClassifier(random_state=0) if classes else LinearRegression()).fit(
        table.values, table.answers
    )
    predict = fitted.predict_proba if classes else lambda values: fitted.predict(values)[:, None]
    ours, theirs, again = [], [], []
    for row in table.values[:50:10]:
        ours.append(lime_table(table, predict, row, output=1 if classes else None).weights)
        for weights, seed in ((theirs, 0), (again, 1)):
            explainer = lime.LimeTabularExplainer(
                table.values, mode="classification" if classes else "regression", feature_selection="none",
                random_state=seed,
            )  # fmt: skip
            given = predict if classes else fitted.predict
            found = explainer.explain_instance(row, given, num_features=len(row), num_samples=5000)
            weights.append(np.array([weight for _, weight in sorted(found.local_exp[1])]))
    shared, signs, correlation = agreement(theirs, ours)
    between_seeds = agreement(theirs, again)
    print(
        f"{table.name}: top 5 shared {shared:.2f}, signs {signs:.2f}, r {correlation:.3f}; lime's seeds {between_seeds}"
    )
    assert shared >= 0.8
    assert signs == 1
    assert correlation > between_seeds[2] - 0.02


def agreement(reference, others):
    """The share of the five strongest features that are shared, that of equal signs among them, and the mean r."""
    shared, signs, correlations = [], [], []
    for one, other in zip(reference, others, strict=True):
        top = np.argsort(-np.abs(one), kind="stable")[:5]
        shared.append(len(set(top) & set(np.argsort(-np.abs(other), kind="stable")[:5])) / 5)
        signs.append(np.mean(np.sign(one[top]) == np.sign(other[top])))
        correlations.append(np.corrcoef(one, other)[0, 1])
    return tuple(float(np.mean(found)) for found in (shared, signs, correlations))
