"""Means with intervals as a chart and as a file."""

import re

import pytest

from core.figures.means import means_figure, means_file
from core.measure.intervals import Interval

ROWS = {"A": Interval(5, 0.5, 0.4, 0.7), "<b>": Interval(1, 0.2, None, None)}


def test_the_chart_has_means_and_both_sides_of_intervals():
    methods, controls = means_figure(ROWS, x_name="Share", marked=["<b>"]).data
    assert (list(methods.x), list(methods.y)) == ([0.5], ["A"])
    assert (methods.error_x.array[0], methods.error_x.arrayminus[0]) == (pytest.approx(0.2), pytest.approx(0.1))
    assert (list(controls.x), list(controls.y)) == ([0.2], ["&lt;b&gt;"])
    assert controls.error_x.array[0] == 0


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_the_file_is_of_its_kind_and_the_same_again(kind, start):
    panels = {"AUC $x$": [*ROWS.values()], "Other": [None, ROWS["A"]]}
    content = means_file([*ROWS], panels, title="Title", note="12 images", marked=["<b>"], kind=kind)
    assert content.startswith(start)
    assert content == means_file([*ROWS], panels, title="Title", note="12 images", marked=["<b>"], kind=kind)


def test_the_file_draws_means_and_intervals_to_scale():
    panels = {"Share": [*ROWS.values()], "Other": [None, None]}
    content = means_file([*ROWS], panels, title="Title", marked=["<b>"], kind="svg").decode()
    lines = re.findall(r'd="M (\S+) (\S+) \nL (\S+) (\S+) \n"[^>]*stroke: #(\w+); stroke-width: 1.5', content)
    (low, y, high, _, blue), (left, z, right, _, grey) = lines
    points = re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)" style="fill(-opacity)?: [^>]*stroke: #(\w+)', content)
    (mean, at, filled, colour), (alone, below, opacity, other) = points
    assert (float(mean) - float(low)) / (float(high) - float(low)) == pytest.approx(1 / 3, abs=1e-4)
    assert (float(mean) - float(alone)) / (float(high) - float(low)) == pytest.approx(1, abs=1e-4), "0.5 − 0.2 is 0.3"
    assert (left, at, below) == (right, y, z)
    assert left == alone
    assert (filled, opacity) == ("", "-opacity"), "a marked row is open"
    assert blue == colour != grey == other


def test_the_file_has_all_texts():
    panels = {"AUC $x$": [*ROWS.values()]}
    content = means_file([*ROWS], panels, title="Title", note="12 images", kind="svg").decode()
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", content)
    assert {"A", "&lt;b&gt;", "AUC $x$", "Title", "12 images"} <= set(texts)
