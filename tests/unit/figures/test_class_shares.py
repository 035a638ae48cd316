"""The chart of shares: signs, the sum of the others, and what a marker opens."""

import pandas as pd
import pytest

from core.figures.units.class_shares import class_shares_figure

TABLE = pd.DataFrame({"filter": [7, 2, 5, 0], "share": [3.0, -2.0, 0.5, -0.2], "everywhere": [1.0, -1.0, 0.25, 0.5]})


def test_bars_are_signed_differ_in_more_than_colour_and_sum_to_the_whole():
    raises, lowers, means = class_shares_figure(TABLE, most=2).data
    assert (list(raises.y), list(lowers.y)) == (["F7", "2 others"], ["F2"])
    assert sum(raises.x) + sum(lowers.x) == pytest.approx(TABLE["share"].sum())
    assert raises.marker.pattern.shape != lowers.marker.pattern.shape
    assert list(means.x) == [1.0, -1.0, 0.75]
    assert (list(raises.customdata), list(lowers.customdata)) == ([7, -1], [2])


def test_few_filters_have_no_bar_of_others():
    figure = class_shares_figure(TABLE, most=4)
    assert figure.layout.yaxis.categoryarray == ("F0", "F5", "F2", "F7")
