"""Decision trees: Gini importances by hand, and predictions by walking down the nodes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.tables.data import made
from core.tables.data.datasets import DATASETS
from core.tables.table import Column, Table
from core.tables.tree import tree

NUMBERS = ("a", "b", "c")


def planted(values, answers, classes=2):
    columns = tuple(Column(name) for name in NUMBERS)
    target = Column("y", "category", tuple(f"class {number}" for number in range(classes)))
    return Table("planted", columns, values, target, answers.astype(float))


def rows_of(found, node):
    """The rows of the training that reach each node, found by asking its questions anew."""
    rows = {0: np.arange(len(found.table))}
    names = found.table.names
    for one in node:
        if one.children:
            yes = found.table.values[rows[one.number], names.index(one.feature)] <= one.threshold
            rows[one.children[0].number] = rows[one.number][yes]
            rows[one.children[1].number] = rows[one.number][~yes]
    return rows


def gini(answers):
    shares = np.unique(answers, return_counts=True)[1] / len(answers)
    return 1 - np.square(shares).sum()


def test_a_single_informative_feature_has_importance_one():
    values = np.random.default_rng(0).normal(size=(200, 3))
    found = tree(planted(values, values[:, 1] > 0.3))
    assert found.importances.tolist() == [0, 1, 0]
    assert found.root.feature == "b"
    assert found.root.depth == 1
    assert found.root.question.startswith("b ≤ 0.")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(1, 8))
def test_importances_are_the_sum_over_the_nodes(seed, classes, depth):
    """Recomputed from the answers of the rows that reach each node."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 5, (60, 3)).astype(float)
    found = tree(planted(values, rng.integers(0, classes, 60), classes), depth=depth, least=2)
    rows, expected = rows_of(found, found.root), dict.fromkeys(NUMBERS, 0.0)
    for node in found.root:
        own = found.table.answers[rows[node.number]]
        assert node.n == len(own)
        assert node.impurity == pytest.approx(gini(own))
        assert node.counts == tuple(np.bincount(own.astype(int), minlength=classes))
        if node.children:
            removed = gini(own) - sum(
                len(rows[child.number]) / len(own) * gini(found.table.answers[rows[child.number]])
                for child in node.children
            )
            expected[node.feature] += len(own) / 60 * removed
    total = sum(expected.values())
    assert np.allclose(found.importances, [value / total for value in expected.values()])
    assert np.allclose(found.importances, found.classifier.feature_importances_)


@pytest.mark.parametrize("name", ["students", "wine", "digits"])
def test_importances_are_those_of_scikit_learn(name):
    table = DATASETS[name].load()
    found = tree(table, depth=6)
    theirs, start, expected = found.classifier.feature_importances_, 0, []
    for column in table.columns:
        width = len(column.categories) or 1
        expected.append(theirs[start : start + width].sum())
        start += width
    assert np.allclose(found.importances, expected)
    assert found.importances.sum() == pytest.approx(1)


def test_predictions_are_the_shares_in_the_leaf():
    table = DATASETS["wine"].load()
    found = tree(table, depth=3)
    rows = rows_of(found, found.root)
    for node in found.root:
        if not node.children:
            assert np.allclose(found(table.values[rows[node.number]]), np.array(node.counts) / node.n)
            assert node.value == table.classes[int(np.argmax(node.counts))]


def test_a_category_asks_by_name():
    values = np.column_stack([np.repeat([0.0, 1, 2], 20), np.tile([0.0, 1], 30)])
    columns = Column("colour", "category", ("red", "green", "blue")), Column("size")
    table = Table("planted", columns, values, Column("y", "category", ("no", "yes")), (values[:, 0] == 1).astype(float))
    found = tree(table)
    assert found.root.question == "colour is not green"
    assert [child.value for child in found.root.children] == ["no", "yes"]
    assert found.importances.tolist() == [1, 0]


def test_a_number_is_split_at_its_average():
    table = made.students()
    found = tree(table)
    assert found.table.classes == ("average or below", "above average")
    assert found.root.counts == (
        (table.answers <= table.answers.mean()).sum(),
        (table.answers > table.answers.mean()).sum(),
    )


def test_nothing_to_ask_gives_no_importance():
    table = planted(np.zeros((20, 3)), np.arange(20) % 2)
    found = tree(table)
    assert found.importances.tolist() == [0, 0, 0]
    assert found.root.children == ()
    assert found.root.depth == 0


def test_a_class_without_rows_has_probability_zero():
    values = np.random.default_rng(0).normal(size=(20, 3))
    found = tree(planted(values, 2 * (values[:, 0] > 0), classes=3))
    assert np.array_equal(found(values)[:, 1], np.zeros(20))
    assert found.root.counts[1] == 0
