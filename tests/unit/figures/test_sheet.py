from dataclasses import replace

import numpy as np
import pytest

from core.figures.colormaps import table
from core.figures.sheet import OPACITY, Panel, overlay, png, sheet
from core.figures.style import DrawnMap, Span, Style, span


@pytest.fixture
def view():
    return np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)


@pytest.fixture
def values():
    return np.random.default_rng(1).normal(size=(6, 6)).astype(np.float32)


def naive(view, values, span, style):
    """Every pixel by itself, with Python's own numbers."""
    colours = table(style.diverging if span.signed else style.sequential).tolist()
    out = np.zeros_like(view)
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            share = min(max((float(values[y, x]) - span.low) / (span.high - span.low), 0.0), 1.0)
            strength = abs(2 * share - 1) if span.signed else share
            alpha = (strength**OPACITY if style.blend == "value" else 1) * style.opacity
            if strength < style.threshold or (span.only and round(share * 255) == 0):
                alpha = 0
            colour = colours[round(share * 255)]
            for c in range(3):
                out[y, x, c] = round(int(view[y, x, c]) * (1 - alpha) + colour[c] * alpha)
    return out


SPANS = [Span(-1, 2), Span(-2, 2, signed=True), Span(0, 1.5, only=True), Span(0, -1.5, only=True), Span(2, -1)]
STYLES = [Style(), Style(threshold=0.4, opacity=0.5), Style(blend="even", sequential="gray", diverging="PuOr")]


@pytest.mark.parametrize("span", SPANS, ids=range(len(SPANS)))
@pytest.mark.parametrize("style", STYLES, ids=range(len(STYLES)))
def test_overlay_equals_the_naive_one(view, values, span, style):
    ours = overlay(view, values, span, style).astype(int)
    assert np.abs(ours - naive(view, values, span, style)).max() <= 1  # float32 against float64


def test_zero_of_a_signed_map_shows_the_photo(view):
    values = np.zeros((6, 6), np.float32)
    values[0, 0], values[5, 5] = 3, -1
    shown = overlay(view, values, span(DrawnMap(values, signed=True)))
    untouched = values == 0
    assert (shown[untouched] == view[untouched]).all()
    assert (shown[0, 0] == table(Style().diverging)[255]).all()


@pytest.mark.parametrize("signed", [False, True])
def test_a_map_of_one_value_leaves_the_photo_alone(view, signed):
    values = np.zeros((6, 6), np.float32)
    assert (overlay(view, values, span(DrawnMap(values, signed))) == view).all()


def test_a_finer_photo_keeps_its_size(view, values):
    fine = np.repeat(np.repeat(view, 4, 0), 4, 1)
    shown = overlay(fine, values, Span(-2, 2, signed=True))
    assert shown.shape == (24, 24, 3)
    assert (overlay(fine, values * 0, Span(-2, 2, signed=True)) == fine).all()


def test_a_sheet_has_a_row_per_sequence_and_wraps_long_ones(view, values):
    photo, one = Panel("photo"), Panel("Saliency", ("tench",), values, Span(-2, 2, signed=True))
    single = sheet(view, "t", [[photo, one]])
    double = sheet(view, "t", [[photo, one], [photo, one]])
    wrapped = sheet(view, "t", [[photo, *[one] * 7]])
    assert double.width == single.width
    assert double.height == wrapped.height > single.height
    assert wrapped.width > 3 * single.width


def test_any_text_can_be_drawn(view, values):
    hostile = "写真\N{PILE OF POO}\x00\r\n<script>\N{RIGHT-TO-LEFT OVERRIDE}" + "x" * 100_000
    panels = [
        Panel(hostile, (hostile,)),
        Panel(hostile, (hostile, ""), values, Span(-2, 2)),
        Panel("", (), None, note=hostile),
    ]
    page = sheet(view, hostile, [panels])
    assert page.width < 1000
    assert png(page) == png(sheet(view, hostile, [panels]))


def test_a_note_is_drawn_instead_of_the_map(view):
    values = np.ones((6, 6), np.float32)
    values[0] = 2
    photo = Panel("photo")
    noted = sheet(view, "t", [[photo, Panel("a", values=values, span=Span(1, 2), note="No evidence.")]])
    silent = sheet(view, "t", [[photo, Panel("a", values=None, note="No evidence.")]])
    drawn = sheet(view, "t", [[photo, Panel("a", values=values, span=Span(1, 2))]])
    assert png(noted) == png(silent) != png(drawn)


def test_the_style_reaches_the_sheet_and_its_colour_bar(view, values):
    def page(style, **change):
        return png(sheet(view, "t", [[Panel("photo"), replace(panel, **change)]], style))

    panel = Panel("a", values=np.abs(values), span=Span(0, 2))
    plain = page(Style())
    others = [Style(opacity=0.5), Style(threshold=0.5), Style(blend="even"), Style(sequential="viridis")]
    assert len({plain, *(page(style) for style in others), page(Style(), span=Span(0, 1))}) == 6
    assert page(Style(diverging="PuOr")) == plain


def test_a_side_makes_the_tiles_larger(view, values):
    small, large = (sheet(view, "t", [[Panel("a", (), values, Span(0, 1))]], side=side) for side in (256, 672))
    assert large.width - small.width == large.height - small.height == 672 - 256
