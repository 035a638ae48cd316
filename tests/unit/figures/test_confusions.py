"""The chart of confusions: its markers, and names at its axes that leave room for each other."""

import numpy as np
import pytest

from core.figures.confusions import confusions


def chart(count, names=None):
    """Classes 10, 11, …; one image of each is right, and one of the first is taken for the last."""
    counts = np.eye(count, dtype=np.int64)
    counts[0, -1] = 1
    return confusions(counts, [10 + one for one in range(count)], names or [f"class {one}" for one in range(count)])


def test_markers_lie_at_their_classes_and_name_them():
    right, wrong = chart(3).data
    assert (list(wrong.x), list(wrong.y)) == (["class 2"], ["class 0"])
    assert [list(pair) for pair in wrong.customdata] == [[10, 12]]
    assert list(wrong.text) == ["class 0 as class 2: 1"]
    assert list(right.x) == list(right.y) == ["class 0", "class 1", "class 2"]


def test_names_are_categories_of_which_the_browser_leaves_out_what_does_not_fit():
    """It leaves none out where ticks are listed, or at numbers."""
    for figure in (chart(8), chart(40)):
        for axis in (figure.layout.xaxis, figure.layout.yaxis):
            assert (axis.type, axis.tickvals, axis.ticktext) == ("category", None, None)
            assert axis.showticklabels
    assert not chart(41).layout.xaxis.showticklabels


@pytest.mark.parametrize(("count", "angle"), [(8, -45), (9, -90)])
def test_many_names_below_stand_upright(count, angle):
    assert chart(count).layout.xaxis.tickangle == angle


def test_long_names_are_shortened_and_equal_ones_stay_apart():
    long = "a rather long name of a class, the {}"
    names = [long.format("first"), long.format("other"), "same", "same", "<b>"]
    figure = chart(5, names)
    shown = figure.layout.xaxis.categoryarray
    assert len(set(shown)) == 5
    assert max(map(len, shown)) <= 22
    assert [one.strip("\u200b") for one in shown[2:]] == ["same", "same", "&lt;b&gt;"]
    assert figure.data[0].text[0] == f"{names[0]} as {names[0]}: 1"


@pytest.mark.parametrize("count", [3, 1000])
def test_markers_at_the_borders_are_not_cut(count):
    """Half a marker, of 13 pixels, fits before the first class in a chart of 450 pixels."""
    first, last = chart(count).layout.xaxis.range
    assert -first / (last - first) * 450 >= 12
    assert last - (count - 1) == pytest.approx(-first)
