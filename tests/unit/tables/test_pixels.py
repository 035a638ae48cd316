"""Pixels as features: planted networks on pictures of two by two, and the digits."""

import numpy as np
import pytest

from core.errors import Unsupported
from core.tables.data import made
from core.tables.data.datasets import DATASETS
from core.tables.network import Network
from core.tables.pixels import forest_weights, gini, inversion, saliency, side
from core.tables.table import Column, Table
from core.tables.training import train
from core.tables.tree import tree


def squares(rows=100):
    values = np.random.default_rng(0).uniform(0, 1, (rows, 4))
    values[:, 3] = 0.5
    columns = tuple(Column(f"pixel {number}") for number in range(4))
    answers = (values[:, 1] > 0.5).astype(float)
    return Table("squares", columns, values, Column("y", "category", ("dark", "bright")), answers)


WEIGHT = np.array([[0.0, 0, 0, 0], [-1, 2, 0, 5]])


def test_gini_is_a_picture_of_the_pixel_that_is_asked_for():
    assert gini(tree(squares())).tolist() == [[0, 1], [0, 0]]


def test_lime_on_a_forest_finds_the_pixel_that_decides():
    table = squares()
    bright, dark = table.values[table.answers == 1][0], table.values[table.answers == 0][0]
    found = forest_weights(table, bright, "bright", samples=500)
    assert np.abs(found).argmax() == 1
    assert found[0, 1] > 0.3
    assert forest_weights(table, dark, "bright", samples=500)[0, 1] < -0.3
    assert np.array_equal(found, forest_weights(table, bright, "bright", samples=500))


def test_saliency_of_a_linear_network_is_its_weights_times_the_deviation():
    table = squares()
    found = saliency(Network.of(table, [(WEIGHT, np.zeros(2))]), table.values[:3], "bright")
    expected = np.abs(WEIGHT[1]) * table.values.std(0)
    assert np.allclose(found, expected.reshape(2, 2))
    assert found[1, 1] == 0
    with pytest.raises(Unsupported, match="No rows of squares"):
        saliency(Network.of(table, [(WEIGHT, np.zeros(2))]), table.values[:0], "bright")


def test_inversion_goes_to_the_ends_of_the_range_of_each_pixel():
    table = squares()
    network = Network.of(table, [(WEIGHT, np.zeros(2))])
    found = inversion(network, "bright", decay=0.0)
    assert np.allclose(found, [[table.values[:, 0].min(), table.values[:, 1].max()], [found[1, 0], 0.5]], atol=1e-6)
    # With decay the maximum of w z − λ/2 z² is w/λ, if it lies within the range.
    assert np.allclose(
        inversion(network, "bright", decay=4.0, steps=800)[0], [table.values[:, 0].min(), 0.5], atol=1e-2
    )


def test_an_input_that_maximises_a_digit_is_classified_as_it():
    table = DATASETS["digits"].load()
    network = train(table, epochs=15).network
    for label in table.classes:
        found = inversion(network, label)
        assert found.shape == (8, 8)
        assert (found >= -1e-4).all()
        assert (found <= 16 + 1e-4).all()
        assert network(found.reshape(1, -1))[0, int(label)] > 0.99
    map_ = saliency(network, table.values[:20], "3")
    never = table.values.std(0).reshape(8, 8) == 0
    assert never.sum() == 3
    assert (map_[never] == 0).all()
    assert (map_[~never] > 0).all()


def test_a_few_pixels_have_most_of_the_gini_importance():
    """The point of Song and Zhang's figure 2."""
    found = np.sort(gini(tree(DATASETS["digits"].load(), depth=10)).ravel())[::-1]
    assert found[:16].sum() > 0.8


@pytest.mark.parametrize("table", [made.students(20), DATASETS["wine"].load()])
def test_other_tables_are_no_pictures(table):
    with pytest.raises(Unsupported, match="not the pixels of a square picture"):
        side(table)
