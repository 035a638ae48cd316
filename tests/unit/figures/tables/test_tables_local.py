"""Charts of local explanations and of the size of rules."""

import pandas as pd

from core.figures.tables.local import fidelity_figure, weights_figure


def test_bars_are_signed_and_differ_in_more_than_colour():
    figure = weights_figure(["hours > 5", "age ≤ 17", "hours > 5"], [0.3, -0.2, 0.1], explained="probability of <b>yes")
    raises, lowers = figure.data
    assert list(raises.x) == [0.3, 0.1]
    assert list(lowers.x) == [-0.2]
    assert list(raises.y) == ["1. hours &gt; 5", "3. hours &gt; 5"]
    assert raises.marker.pattern.shape != lowers.marker.pattern.shape
    assert figure.layout.yaxis.categoryarray == ("3. hours &gt; 5", "2. age ≤ 17", "1. hours &gt; 5")
    assert "<b>" not in figure.to_json().replace("\\u003c", "<")


def test_the_quantile_is_a_line_on_either_side_within_the_range():
    figure = weights_figure(["a", "b"], [0.1, -0.1], explained="score", quantile=0.5)
    assert set(figure.data[2].x) == {0.5, -0.5, None}
    assert figure.layout.xaxis.range[1] > 0.5


def test_zero_weights_have_a_range():
    assert weights_figure(["a"], [0.0], explained="score").layout.xaxis.range == (-1.25, 1.25)


def test_fidelity_and_accuracy_are_lines_over_depth():
    table = pd.DataFrame(
        {"depth": [1, 2], "rules": [2, 4], "terms": [1.0, 2], "fidelity": [0.7, 0.9], "accuracy": [0.6, 0.8]}
    )
    fidelity, accuracy = fidelity_figure(table).data
    assert list(fidelity.y) == [0.7, 0.9]
    assert list(accuracy.y) == [0.6, 0.8]
    assert fidelity.line.dash != accuracy.line.dash
