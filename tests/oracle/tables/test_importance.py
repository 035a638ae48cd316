"""Importances by perturbation: planted networks, closed forms, and the students of whom the truth is known."""

import numpy as np
import pytest

from core.errors import Cancelled, Unsupported
from core.tables.data import made
from core.tables.data.datasets import DATASETS
from core.tables.importance import LINEAR, NETWORK, TREE, agreement, dropped, imputation, permutation, views
from core.tables.linear import linear_error
from core.tables.network import Network
from core.tables.table import Column, Table
from core.tables.training import error, train
from core.tables.tree import tree


def numbers(rows=200, count=3, seed=0):
    values = np.random.default_rng(seed).normal(size=(rows, count))
    columns = tuple(Column(name) for name in "abcdefgh"[:count])
    return Table("planted", columns, values, Column("y"), values[:, 0] * 2 + values[:, 1 % count])


def test_a_feature_without_weights_has_importance_exactly_zero():
    """By shuffles and by its mean; the others have some."""
    table = numbers()
    net = Network.of(table, [(np.array([[2.0, 1, 0], [-2, -1, 0]]), np.zeros(2)), (np.array([[1.0, -1]]), np.zeros(1))])
    assert error(net(table.values), table) < 1e-10
    shuffled, imputed = permutation(net, table), imputation(net, table, table)
    assert shuffled.shape == (3, 10)
    assert np.array_equal(shuffled[2], np.zeros(10))
    assert imputed[2] == 0
    assert (shuffled[:2] > 0).all()
    assert (imputed[:2] > 0).all()


def test_the_increase_is_that_of_the_closed_form():
    """For y = w·x, replacing feature j by its mean adds w_j² Var(x_j); a shuffle adds twice that on average."""
    table = numbers(2000)
    weights = np.array([2.0, 1, 0])
    shuffled = permutation(lambda values: (values @ weights)[:, None], table, shuffles=20).mean(1)
    imputed = imputation(lambda values: (values @ weights)[:, None], table, table)
    expected = weights**2 * table.values.var(0)
    assert np.allclose(imputed, expected)
    assert np.allclose(shuffled, 2 * expected, rtol=0.05)


def test_of_classes_it_is_the_accuracy_that_is_lost():
    table = numbers(400).above_average(0.0)

    def sign(values):
        above = (values[:, 0] * 2 + values[:, 1] > 0).astype(float)
        return np.stack([1 - above, above], axis=1)

    assert error(sign(table.values), table) == 0
    found = imputation(sign, table, table)
    values = table.values.copy()
    values[:, 0] = values[:, 0].mean()
    assert found[0] == (sign(values)[:, 1] != table.answers).mean()
    assert found[2] == 0


def test_a_category_is_replaced_by_the_most_frequent_one():
    columns = (Column("colour", "category", ("red", "green")), Column("size"))
    values = np.column_stack([[0.0, 1, 1, 1], [1.0, 2, 3, 4]])
    table = Table("planted", columns, values, Column("y"), np.array([0.0, 1, 1, 1]))
    seen = []
    imputation(lambda given: seen.append(given.copy()) or given[:, :1], table, table)
    assert seen[1][:, 0].tolist() == [1, 1, 1, 1]
    assert seen[2][:, 1].tolist() == [2.5] * 4


def test_shuffles_depend_on_seed_feature_and_number_alone():
    table = numbers(50)
    net = Network.of(table, [(np.array([[2.0, 1, 0.5]]), np.zeros(1))])
    few, many, other = permutation(net, table, shuffles=3), permutation(net, table), permutation(net, table, seed=1)
    assert np.array_equal(few, many[:, :3])
    assert not np.array_equal(many, other)
    assert len(set(many[0])) == 10


def test_without_a_feature_a_model_is_trained_again():
    table = made.students(200)
    training, held = table.rows(np.arange(150)), table.rows(np.arange(150, 200))
    names = table.names
    found = dropped("linear", training, held)
    without = tuple(Table("", part.columns[:-1], part.values[:, :-1], part.target, part.answers)
                    for part in (training, held))  # fmt: skip
    assert found[6] == pytest.approx(linear_error(*without) - linear_error(training, held))
    assert names[int(found.argmax())] == made.STRONGEST
    classes = training.above_average(), held.above_average(training.answers.mean())
    found = dropped("tree", training, held)
    whole = tree(classes[0])(held.values)
    assert names[int(found.argmax())] == made.STRONGEST
    assert found[6] == pytest.approx(
        error(tree(without[0].above_average())(without[1].values), classes[1]) - error(whole, classes[1])
    )


def test_the_only_feature_cannot_be_dropped():
    with pytest.raises(Unsupported, match="only feature"):
        dropped("linear", numbers(count=1), numbers(count=1))


@pytest.mark.parametrize("seed", range(10))
def test_all_three_rank_the_planted_feature_first(seed):
    """Song and Zhang 3.1, on ten tables and networks."""
    trained = train(made.students(seed=seed), seed=seed, epochs=30)
    found = views(trained.network, trained.training, trained.held_out, seed=seed, shuffles=3)
    table = found.agreement.importances
    assert list(table) == ["feature", LINEAR, TREE, NETWORK]
    for method in (LINEAR, TREE, NETWORK):
        assert table["feature"][table[method].argmax()] == made.STRONGEST
        assert table[method].nlargest(2).iloc[0] > 2 * table[method].nlargest(2).iloc[1]
    assert (found.agreement.ranks.set_index("feature").loc[made.STRONGEST] == 1).all()
    assert found.agreement.sentence.startswith("All three rank study hours first; ")
    interval = found.intervals[made.STRONGEST]
    assert interval.low <= interval.mean <= interval.high
    assert interval.n == 3


def test_where_a_linear_model_is_not_determined_the_others_are_compared():
    table = made.drugs()
    few = Table("few", table.columns[:60], table.values[:, :60], table.target, table.answers)
    trained = train(few, epochs=5)
    found = views(trained.network, trained.training, trained.held_out, shuffles=2)
    assert found.linear is None
    assert list(found.agreement.importances) == ["feature", TREE, NETWORK]
    assert any("61 coefficients" in note for note in found.notes)


def test_agreement_is_the_correlation_of_ranks():
    found = agreement(
        "abcd", {"x": np.array([4.0, 3, 2, 1]), "y": np.array([40.0, 20, 30, 10]), "z": np.array([1.0, 2, 3, 4])}
    )
    assert found.ranks["y"].tolist() == [1, 3, 2, 4]
    rows = {(row.first, row.second): (row.spearman, row.kendall) for row in found.correlations.itertuples()}
    assert rows["x", "z"] == pytest.approx((-1, -1))
    assert rows["x", "y"] == pytest.approx((0.8, 4 / 6))
    assert found.sentence == "X and y rank a first; z ranks d first; the rank correlation (Spearman) over 4 features " \
        "lies between −1.00 and 0.80."  # fmt: skip


def test_a_method_without_an_order_has_no_correlation():
    found = agreement("abc", {"x": np.array([3.0, 2, 1]), "y": np.zeros(3)})
    assert found.correlations["spearman"].isna().all()
    assert found.ranks["y"].tolist() == [2, 2, 2]
    assert found.sentence == "X ranks a first; y ranks no feature first."


def test_work_stops_when_its_report_says_so():
    def stop(fraction, note):
        if fraction > 0.3:
            raise Cancelled

    table = DATASETS["wine"].load()
    seen = []
    with pytest.raises(Cancelled):
        permutation(lambda values: seen.append(1) or np.ones((len(values), 3)), table, report=stop)
    assert len(seen) == 1 + 4 * 10


def test_reports_of_all_steps_rise_to_one():
    table = made.students(60)
    told = []
    net = Network.of(table, [(np.ones((1, 9)), np.zeros(1))])
    views(net, table, table, shuffles=2, report=lambda fraction, note: told.append((fraction, str(note))))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert told[-1] == (1, "features 7 of 7")
    assert len(told) == 2 * 8


@pytest.mark.parametrize("name", ["wine", "students"])
def test_importances_of_a_network_are_those_of_predicting_all_rows_again(name):
    """The students have a category, and so several columns of the first layer at once."""
    found = train(DATASETS[name].load(), epochs=3)
    network, held_out = found.network, found.held_out
    again = np.stack([permutation(one, held_out, shuffles=3) for one in (network, network.__call__)])
    mean = np.stack([imputation(one, held_out, held_out) for one in (network, network.__call__)])
    assert np.abs(again[0]).max() > 0
    np.testing.assert_allclose(again[0], again[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mean[0], mean[1], rtol=1e-4, atol=1e-5)
