"""What the colours of maps span, for every mode of the range, counted by hand."""

import json

import numpy as np
import pytest

from core.figures.style import DEFAULT, DrawnMap, Span, Style, span, spans, styled


def ramp(low, high):
    """A map of 2,000 values from `low` to `high`, evenly."""
    return np.linspace(low, high, 2000, dtype=np.float32).reshape(40, 50)


@pytest.fixture
def maps():
    """Two classes and three methods, the last of them signed."""
    found = {
        ("cat", "a"): DrawnMap(ramp(0, 1), False),
        ("cat", "b"): DrawnMap(ramp(0.5, 4), False),
        ("cat", "c"): DrawnMap(ramp(-2, 6), True),
    }
    return found | {("dog", name): DrawnMap(one.values / 2, one.signed) for (_, name), one in found.items()}


def told(maps, **style):
    return spans(maps, Style(clip=False, **style))


def test_own(maps):
    found = told(maps)
    assert found["cat", "a"] == Span(0, 1)
    assert found["dog", "b"] == Span(0, 2)  # zero keeps its colour
    assert found["cat", "c"] == Span(-6, 6, signed=True)


def test_least_to_greatest(maps):
    found = told(maps, range="minmax")
    assert found["dog", "b"] == Span(0.25, 2)
    assert found["cat", "c"] == Span(-6, 6, signed=True)
    assert told({(0, 0): DrawnMap(ramp(-3, -1), False)}) == told(
        {(0, 0): DrawnMap(ramp(-3, -1), False)}, range="minmax"
    )


def test_what_all_values_share_is_left_out_where_it_means_nothing(maps):
    maps["cat", "b"] = DrawnMap(maps["cat", "b"].values, False, offset=True)
    assert told(maps)["cat", "b"] == Span(0.5, 4)
    assert told(maps, range="method")["cat", "b"] == Span(0, 4)  # beside a map whose zero counts
    maps["dog", "b"] = DrawnMap(maps["dog", "b"].values, False, offset=True)
    assert told(maps, range="method")["cat", "b"] == Span(0.25, 4)


def test_one_range_for_a_class(maps):
    assert set(told(maps, range="row").values()) == {Span(-6, 6, signed=True), Span(-3, 3, signed=True)}
    plain = {place: one for place, one in maps.items() if place[1] != "c"}
    assert set(told(plain, range="row").values()) == {Span(0, 4), Span(0, 2)}


def test_one_range_for_a_method(maps):
    found = told(maps, range="method")
    assert found["cat", "b"] == found["dog", "b"] == Span(0, 4)
    assert found["cat", "c"] == found["dog", "c"] == Span(-6, 6, signed=True)


def test_modes_of_the_sign(maps):
    assert told(maps, range="symmetric")["cat", "b"] == Span(-4, 4, signed=True)
    assert told(maps, range="positive")["cat", "c"] == Span(0, 6, only=True)
    assert told(maps, range="negative")["cat", "c"] == Span(0, -2, only=True)
    assert told(maps, range="negative")["cat", "a"] == Span(0, 0, only=True)
    assert told({(0, 0): DrawnMap(ramp(-3, -1), True)}, range="positive")[0, 0] == Span(0, 0, only=True)


def test_fixed(maps):
    assert told(maps, range="fixed", low=-1.0, high=2.0)["cat", "c"] == Span(-1, 2, signed=True)
    assert told(maps, range="fixed", low=-1.0, high=2.0)["cat", "a"] == Span(-1, 2)
    assert told(maps, range="fixed", low=3.0, high=1.0)["cat", "c"] == Span(3, 1)


@pytest.mark.parametrize("signed", [False, True])
def test_one_bright_pixel_does_not_hide_the_others(signed):
    values = np.linspace(0, 1, 10_000, dtype=np.float32).reshape(100, 100)
    values[50, 50] = 1000
    assert span(DrawnMap(values, signed)).high == pytest.approx(0.999, abs=1e-3)
    assert span(DrawnMap(values, signed), Style(clip=False)).high == 1000
    lonely = np.zeros((100, 100), np.float32)
    lonely[3, 4] = 2
    assert span(DrawnMap(lonely, signed)).high == 2


def test_a_look_is_read_as_far_as_it_makes_sense():
    view = {"range": "row", "clip": False, "low": -1, "opacity": 0.4, "sequential": "viridis", "zoom": 3, "x": "?"}
    assert styled(view) == Style(range="row", clip=False, low=-1, opacity=0.4, sequential="viridis")
    broken = {"range": "all", "clip": 1, "low": "0", "high": float("nan"), "sequential": ["jet"], "blend": None}
    assert styled(broken) == DEFAULT
    assert styled({"range": {}, "threshold": True, "opacity": 7, "low": json.loads("1e999")}) == DEFAULT
    assert styled({"threshold": -1, "opacity": 7}) == Style(threshold=0, opacity=1)
