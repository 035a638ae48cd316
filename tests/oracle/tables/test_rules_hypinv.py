"""HypInv on networks whose boundaries are known."""

import numpy as np
import pytest

from core.errors import BadParameter, Unsupported
from core.tables.network import Network
from core.tables.rules.hypinv import hypinv
from core.tables.table import Column, Table

COLUMNS = (Column("x"), Column("y"))


def square(columns=COLUMNS):
    values = np.random.default_rng(0).uniform(-1, 1, (200, len(columns)))
    return Table("made", columns, values, Column("t", "category", ("no", "yes")), np.zeros(200))


def test_a_linear_network_has_its_own_plane():
    table = square()
    network = Network.of(table, [(np.array([[0.0, 0], [3, -4]]), np.array([0.0, 1]))])
    found = hypinv(table, network, 1, points=5)
    np.testing.assert_allclose(found.normals, np.tile([0.6, -0.8], (5, 1)), atol=1e-6)
    np.testing.assert_allclose(found.offsets, -0.2, atol=1e-4)
    np.testing.assert_allclose(network(found.points)[:, 1], 0.5, atol=1e-3)
    assert (found.fidelity, found.missed) == (1, 0)
    assert found.holds(table.encoded()).tolist() == (network(table.values).argmax(1) == 1).tolist()
    assert found.sentence(0) == "-0.8 · y +0.6 · x > -0.2"


def test_the_plane_is_in_units_of_the_features():
    table = square()
    scaled = Network(
        table, Network.of(table, [(np.array([[0.0, 0], [3, -4]]), np.zeros(2))]).net, np.ones(2), np.array([2.0, 1])
    )
    found = hypinv(table, scaled, 1, points=3)
    np.testing.assert_allclose(found.normals, np.tile([0.3, -0.8], (3, 1)), atol=1e-6)
    np.testing.assert_allclose(scaled(found.points)[:, 1], 0.5, atol=1e-3)
    assert found.fidelity == 1


def test_a_band_needs_two_half_spaces():
    """Yes where |x| < 1/2."""
    table = square()
    hidden = np.array([[8.0, 0], [-8.0, 0]]), np.zeros(2)
    network = Network.of(table, [hidden, (np.array([[1.0, 1], [-1, -1]]), np.array([-4.0, 4]))])
    found = hypinv(table, network, 1, points=12)
    assert found.fidelity == 1
    assert len(found.regions) == 1
    assert np.isfinite(found.regions.low).sum() + np.isfinite(found.regions.high).sum() == 2


def test_searches_without_an_end_are_counted_and_refused():
    table = square()
    never = Network.of(table, [(np.zeros((2, 2)), np.array([1.0, 0]))])
    with pytest.raises(Unsupported, match="No search ended"):
        hypinv(table, never, 1, points=3)
    with pytest.raises(BadParameter, match="no class 2"):
        hypinv(table, never, 2)


def test_categories_stay_as_they_are():
    columns = (Column("x"), Column("kind", "category", ("a", "b")))
    table = square(columns)
    table.values[:, 1] = np.arange(200) % 2
    network = Network.of(table, [(np.array([[0.0, 0, 0], [5, 0, 1]]), np.zeros(2))])
    found = hypinv(table, network, 1, points=8)
    assert set(found.points[:, 1]) == {0, 1}
    assert (found.points[:, 1] + found.points[:, 2] == 1).all()
    assert (found.normals[:, 1:] == 0).all()
    only = Table("made", columns[1:], table.values[:, 1:], table.target, table.answers)
    with pytest.raises(Unsupported, match="numbers"):
        hypinv(only, Network.of(only, [(np.zeros((2, 2)), np.zeros(2))]), 1)
