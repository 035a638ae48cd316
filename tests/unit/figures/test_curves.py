import html
import io

import numpy as np
import pytest
from PIL import Image

from core.figures.charts import BLUE
from core.figures.curve_file import curves_file
from core.figures.curves import curves_figure
from core.measure.intervals import interval, intervals
from core.measure.measure import Curve, Undefined

X = np.linspace(0, 1, 5)
FALLING = np.array([1, 0.75, 0.5, 0.25, 0])


def curve(*rows, steps=(), x=X):
    return Curve("fraction <replaced>", x, "probability", list(rows), steps)


def lines(figure):
    return [trace for trace in figure.data if trace.showlegend]


def test_a_line_per_method_with_its_area():
    figure = curves_figure({"One": curve(FALLING), "Two": curve(np.ones(5))}, title="a < b")
    one, two = lines(figure)
    assert list(one.x) == X.tolist()
    assert list(one.y) == FALLING.tolist()
    assert (one.name, two.name) == ("One · area 0.500", "Two · area 1.000")
    assert figure.layout.title.text == "a &lt; b"
    assert figure.layout.xaxis.title.text == "fraction &lt;replaced&gt;"
    assert figure.layout.yaxis.title.text == "probability"


def test_lines_differ_in_colour_and_dash_and_say_their_method():
    figure = curves_figure({f"<{number}>": curve(FALLING) for number in range(42)}, title="")
    looks = [(line.line.color, line.line.dash) for line in lines(figure)]
    assert len(set(looks)) == 42
    assert len({(line.line.color, line.marker.symbol) for line in lines(figure)}) == 42
    assert "<extra>&lt;7&gt;</extra>" in lines(figure)[7].hovertemplate
    assert lines(figure)[7].customdata[3][0] == "<7>"
    assert lines(figure)[7].customdata[3][1] == 3


def test_several_images_are_a_mean_with_a_band_and_the_interval_of_the_area():
    rows = [FALLING, FALLING / 2, np.ones(5), Undefined("It is constant.")]
    shown = curve(*rows)
    bands = intervals(shown)
    figure = curves_figure({"One": shown}, title="", intervals={"One": bands})
    band, line = figure.data
    assert line.y == pytest.approx(np.mean(rows[:3], axis=0))
    assert list(band.y) == [one.high for one in bands] + [one.low for one in bands][::-1]
    assert list(band.x) == [*X, *X[::-1]]
    area = interval([0.5, 0.25, 1.0, rows[3]])
    assert line.name == f"One · area {area.mean:.3f} [{area.low:.3f}, {area.high:.3f}]"


def test_one_image_has_no_band():
    shown = curve(FALLING)
    figure = curves_figure({"One": shown}, title="", intervals={"One": intervals(shown)})
    assert len(figure.data) == 1


def test_a_method_without_a_curve_is_in_the_legend_alone():
    figure = curves_figure({"One": curve(Undefined("It is constant.")), "Two": curve(FALLING)}, title="")
    assert figure.data[0].name == "One · –"
    assert len(figure.data[0].x) == 0


def test_the_step_is_marked_and_named_steps_are_at_the_axis():
    x = np.arange(3.0)
    shown = curve(np.array([1.0, 0.5, 0.0]), steps=("none", "a" * 40, "b"), x=x)
    figure = curves_figure({"One": shown}, title="", step=1)
    assert figure.layout.shapes[0].x0 == figure.layout.shapes[0].x1 == 1
    assert figure.layout.xaxis.ticktext == ("none", "a" * 25 + "…", "b")
    assert figure.data[0].name == "One · mean 0.500"
    assert not curves_figure({"One": shown}, title="").layout.shapes


def test_nothing_is_an_empty_figure():
    assert not curves_figure({}, title="", step=3).data


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_the_file_has_the_same_lines_and_the_same_bytes(kind):
    rows = [FALLING, FALLING / 2]
    curves = {"One $x$ <b>": curve(*rows), "Two": curve(Undefined("It is constant."))}
    first, second = (
        curves_file(curves, title="A _title_", intervals={"One $x$ <b>": intervals(curve(*rows))}, kind=kind)
        for _ in range(2)
    )
    assert first == second
    if kind == "png":
        assert Image.open(io.BytesIO(first)).width == 900
    if kind == "svg":
        text = html.unescape(first.decode())
        assert "One $x$ <b> · area 0.375 [" in text
        assert "Two · –" in text
        assert "A _title_" in text
        assert BLUE.lower() in text


def test_named_steps_and_no_curves_have_a_file():
    shown = curve(np.array([1.0, 0.5]), steps=("none", "a" * 40), x=np.arange(2.0))
    assert "a" * 25 + "…" in curves_file({"One": shown}, title="", kind="svg").decode()
    assert curves_file({}, title="", kind="svg")
