"""Boxes against truth tables, and the trees that give them against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.tree import DecisionTreeClassifier

from core.tables.rules.boxes import Boxes, TooMany
from core.tables.rules.forest import Forest

COLUMNS = 3
BOUND = st.sampled_from([-np.inf, 0.0, 1.0, 2.0, np.inf])
SIDES = st.lists(st.tuples(*[BOUND] * COLUMNS), min_size=1, max_size=6)
# Every cell between the thresholds, and the thresholds themselves.
GRID = np.stack(np.meshgrid(*[[-1, 0, 0.5, 1, 1.5, 2, 3]] * COLUMNS), -1).reshape(-1, COLUMNS).astype(float)


@st.composite
def boxes(draw):
    sides = draw(SIDES)
    other = draw(st.lists(st.tuples(*[BOUND] * COLUMNS), min_size=len(sides), max_size=len(sides)))
    return Boxes(np.array(sides), np.array(other))


def truth(some):
    """Which rows of the grid any of some boxes holds, one condition at a time."""
    pairs = [list(zip(low, high, strict=True)) for low, high in zip(some.low, some.high, strict=True)]
    return [any(all(a < x <= b for x, (a, b) in zip(row, box, strict=True)) for box in pairs) for row in GRID]


@given(boxes())
@settings(max_examples=50, deadline=None)
def test_simplified_boxes_hold_the_same_rows_and_are_not_more(some):
    simple = some.simplified()
    assert truth(simple) == truth(some)
    assert len(simple) <= len(some)
    assert (simple.low < simple.high).all()
    assert simple.holds(GRID).any(1).tolist() == truth(some)
    assert len(simple.simplified()) == len(simple)


@given(boxes(), boxes())
@settings(max_examples=50, deadline=None)
def test_intersections_and_unions_are_those_of_the_truth_tables(one, other):
    both = [a and b for a, b in zip(truth(one), truth(other), strict=True)]
    assert truth(one.both(other, 1000)) == both
    assert truth(one | other) == [a or b for a, b in zip(truth(one), truth(other), strict=True)]


def test_the_strictest_thresholds_stay():
    inf = np.inf
    one, other = (
        Boxes(np.array([[1.0, -inf]]), np.array([[inf, 5.0]])),
        Boxes(np.array([[2.0, -inf]]), np.array([[inf, 3.0]])),
    )
    found = one.both(other, 10)
    assert (found.low.tolist(), found.high.tolist()) == ([[2, -inf]], [[inf, 3]])


def test_a_condition_and_its_negation_are_exact_complements():
    above, below = Boxes(np.array([[0.1]]), np.array([[np.inf]])), Boxes(np.array([[-np.inf]]), np.array([[0.1]]))
    assert len(above.both(below, 10)) == 0
    values = np.array([[np.nextafter(0.1, 1)], [0.1], [np.nextafter(0.1, 0)]])
    assert above.holds(values).ravel().tolist() == [True, False, False]
    assert below.holds(values).ravel().tolist() == [False, True, True]
    assert (above | below).simplified().low.tolist() == [[-np.inf]]


def test_true_and_false_are_neutral():
    some = Boxes(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]))
    assert some.both(Boxes.everywhere(2), 10).low.tolist() == some.low.tolist()
    assert len(some.both(Boxes.everywhere(2, 0), 10)) == 0
    assert Boxes.everywhere(2, 0).holds(np.zeros((3, 2))).shape == (3, 0)


def test_too_many_boxes_are_an_error():
    rng = np.random.default_rng(0)
    many = Boxes(rng.random((30, 3)), 1 + rng.random((30, 3)))
    assert len(many.both(many, 900)) <= 900
    with pytest.raises(TooMany):
        many.both(many, 100)


@pytest.mark.parametrize("depth", [0, 2, 4])
def test_leaves_partition_the_rows_as_the_tree_does(depth):
    rng = np.random.default_rng(1)
    values = np.round(rng.normal(size=(200, 4)), 1)
    labels = (values[:, 0] * values[:, 1] > 0).astype(int) + (values[:, 2] > 1)
    forest = Forest(values)
    tree = forest.grow(labels, depth, 0)
    used = forest.used([tree])
    found, given_labels = forest.leaves(tree, used)
    held = found.holds(values[:, used])
    assert (held.sum(1) == 1).all()
    ranks = np.stack([np.unique(column, return_inverse=True)[1] for column in values.T], 1)
    reference = DecisionTreeClassifier(criterion="entropy", max_depth=depth or None, random_state=0).fit(ranks, labels)
    assert (given_labels[held.argmax(1)] == reference.predict(ranks)).all()


def test_rows_that_differ_less_than_32_bits_are_told_apart():
    values = np.array([[1e9], [1e9 + 1e-6], [1e9 + 2e-6]])
    forest = Forest(values)
    tree = forest.grow(np.array([0, 1, 0]), 0, 0)
    found, labels = forest.leaves(tree, np.array([0]))
    assert labels[found.holds(values).argmax(1)].tolist() == [0, 1, 0]


def test_neighbouring_numbers_are_told_apart():
    values = np.array([[1.0], [np.nextafter(1, 2)]])
    forest = Forest(values)
    found, labels = forest.leaves(forest.grow(np.array([0, 1]), 0, 0), np.array([0]))
    assert labels[found.holds(values).argmax(1)].tolist() == [0, 1]


def test_labels_that_are_all_equal_give_one_box_without_conditions():
    forest = Forest(np.arange(4.0)[:, None])
    tree = forest.grow(np.ones(4, bool), 0, 0)
    found, labels = forest.leaves(tree, forest.used([tree]))
    assert (len(found), labels.tolist()) == (1, [True])
    assert found.holds(np.zeros((2, 0))).all()
