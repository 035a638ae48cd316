import numpy as np

from core.figures.layout import apart, lying


def overlaps(places, sizes):
    offset = np.abs(places[:, None] - places[None])
    need = (sizes[:, None] + sizes[None]) / 2
    both = (offset < need - 1e-6).all(2)
    return int(np.triu(both, 1).sum())


def test_what_has_room_stays():
    places = np.array([[0.0, 0.0], [200.0, 0.0], [0.0, 90.0]])
    assert np.array_equal(apart(places, np.full((3, 2), 40.0)), places)


def test_a_heap_comes_apart():
    rng = np.random.default_rng(0)
    places, sizes = rng.normal(size=(150, 2)) * 120, np.tile([[60.0, 30.0]], (150, 1))
    assert overlaps(places, sizes) > 100
    moved = apart(places, sizes)
    assert overlaps(moved, sizes) == 0
    assert np.array_equal(moved, apart(places, sizes))


def test_one_spot():
    assert overlaps(apart(np.zeros((5, 2)), np.full((5, 2), 20.0)), np.full((5, 2), 20.0)) == 0


def test_a_standing_graph_lies_down():
    rng = np.random.default_rng(1)
    places = rng.normal(size=(60, 2)) * [1, 5] + 7
    turned = lying(places, 1.5)
    assert np.allclose(np.ptp(turned, axis=0), [3, 2])
    assert abs(np.corrcoef(turned[:, 0], places[:, 1])[0, 1]) > 0.99
    assert np.array_equal(turned, lying(places, 1.5))


def test_few_places_stay_as_they_are():
    assert lying(np.array([[1.0, 1.0], [3.0, 1.0]]), 1.5).tolist() == [[-1.0, 0.0], [1.0, 0.0]]
    assert lying(np.zeros((0, 2)), 1.5).shape == (0, 2)
