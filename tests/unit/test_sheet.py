import numpy as np
import pytest

from core.figures.colours import default, table
from core.figures.sheet import OPACITY, Panel, limits_of, overlay, png, sharing, sheet


@pytest.fixture
def view():
    return np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)


@pytest.fixture
def values():
    return np.random.default_rng(1).normal(size=(6, 6)).astype(np.float32)


def naive(view, values, signed, low, high):
    """Every pixel by itself, with Python's own numbers."""
    colours = table(default(signed)).tolist()
    out = np.zeros_like(view)
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            share = min(max((float(values[y, x]) - low) / (high - low), 0.0), 1.0)
            alpha = (abs(2 * share - 1) if signed else share) ** OPACITY
            colour = colours[round(share * 255)]
            for c in range(3):
                out[y, x, c] = round(int(view[y, x, c]) * (1 - alpha) + colour[c] * alpha)
    return out


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("limits", [None, (-1.0, 2.0)])
def test_overlay_equals_the_naive_one(view, values, signed, limits):
    low, high = limits or limits_of(values, signed)
    ours = overlay(view, values, signed=signed, limits=limits).astype(int)
    assert np.abs(ours - naive(view, values, signed, low, high)).max() <= 1  # float32 against float64


def test_zero_of_a_signed_map_shows_the_photo(view):
    values = np.zeros((6, 6), np.float32)
    values[0, 0], values[5, 5] = 3, -1
    shown = overlay(view, values, signed=True)
    untouched = values == 0
    assert (shown[untouched] == view[untouched]).all()
    assert (shown[0, 0] == table(default(True))[255]).all()


@pytest.mark.parametrize("signed", [False, True])
def test_a_map_of_one_value_leaves_the_photo_alone(view, signed):
    assert (overlay(view, np.zeros((6, 6), np.float32), signed=signed) == view).all()


@pytest.mark.parametrize("signed", [False, True])
def test_one_bright_pixel_does_not_hide_the_others(signed):
    values = np.linspace(0, 1, 10_000, dtype=np.float32).reshape(100, 100)
    values[50, 50] = 1000
    assert limits_of(values, signed)[1] == pytest.approx(0.999, abs=1e-3)
    lonely = np.zeros((100, 100), np.float32)
    lonely[3, 4] = 2
    assert limits_of(lonely, signed)[1] == 2


def test_sharing_puts_all_maps_on_one_range(values):
    small, large = Panel("a", values=np.abs(values)), Panel("b", values=np.abs(values) * 3)
    limits = {panel.limits for panel in sharing([small, large, Panel("photo")])}
    assert limits == {(np.abs(values).min(), np.abs(values).max() * 3)}
    mixed = sharing([small, Panel("c", values=values * 5, signed=True)])
    assert all(panel.signed for panel in mixed)
    assert mixed[0].limits == (-np.abs(values).max() * 5, np.abs(values).max() * 5)
    assert sharing([Panel("photo")]) == [Panel("photo")]


def test_a_sheet_has_a_row_per_sequence_and_wraps_long_ones(view, values):
    photo, one = Panel("photo"), Panel("Saliency", ("tench",), values, note="")
    single = sheet(view, "t", [[photo, one]])
    double = sheet(view, "t", [[photo, one], [photo, one]])
    wrapped = sheet(view, "t", [[photo, *[one] * 7]])
    assert double.width == single.width
    assert double.height == wrapped.height > single.height
    assert wrapped.width > 3 * single.width


def test_any_text_can_be_drawn(view, values):
    hostile = "写真\N{PILE OF POO}\x00\r\n<script>\N{RIGHT-TO-LEFT OVERRIDE}" + "x" * 100_000
    panels = [Panel(hostile, (hostile,)), Panel(hostile, (hostile, ""), values), Panel("", (), None, note=hostile)]
    page = sheet(view, hostile, [panels])
    assert page.width < 1000
    assert png(page) == png(sheet(view, hostile, [panels]))


def test_a_note_is_drawn_instead_of_the_map(view):
    values = np.ones((6, 6), np.float32)
    values[0] = 2
    photo = Panel("photo")
    noted = sheet(view, "t", [[photo, Panel("a", values=values, note="No evidence.")]])
    silent = sheet(view, "t", [[photo, Panel("a", values=None, note="No evidence.")]])
    drawn = sheet(view, "t", [[photo, Panel("a", values=values)]])
    assert png(noted) == png(silent) != png(drawn)
