import re

import numpy as np
import pytest
from plotly.colors import sample_colorscale

from core.errors import UnknownName
from core.figures.colormaps import DIVERGING, SEQUENTIAL, table
from core.figures.sheet import overlay
from core.figures.style import DrawnMap, Style, span


@pytest.mark.parametrize("name", SEQUENTIAL + DIVERGING)
def test_a_table_has_256_colours_that_change_little_by_little(name):
    colours = table(name)
    assert colours.shape == (256, 3)
    assert colours.dtype == np.uint8
    assert np.abs(np.diff(colours.astype(int), axis=0)).max() <= 12


@pytest.mark.parametrize("name", SEQUENTIAL + DIVERGING)
def test_a_table_is_sampled_from_the_scale_of_plotly(name):
    samples = sample_colorscale(name, [step / 255 for step in range(256)])
    rgb = [[float(number) for number in re.findall(r"[\d.]+", sample)] for sample in samples]
    assert np.array_equal(table(name), np.round(rgb))


def test_the_ends_are_those_of_the_published_scales():
    assert table("viridis")[[0, 255]].tolist() == [[0x44, 0x01, 0x54], [0xFD, 0xE7, 0x25]]
    assert table("RdBu_r")[[0, 255]].tolist() == [[5, 48, 97], [103, 0, 31]]


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_sequential_colours_get_lighter_all_the_way(name):
    lightness = table(name) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) > -1).all()
    assert lightness[-1] - lightness[0] > 150


@pytest.mark.parametrize("name", DIVERGING)
def test_diverging_colours_are_lightest_in_the_middle(name):
    lightness = table(name) @ np.array([0.2126, 0.7152, 0.0722])
    assert 120 <= int(lightness.argmax()) <= 135
    assert max(lightness[0], lightness[-1]) < 80


def test_a_table_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        table("viridis")[0] = 0


def test_jet_is_refused_with_the_names_there_are():
    with pytest.raises(UnknownName, match=r"no colour map called 'jet'.*inferno"):
        table("jet")


@pytest.mark.parametrize("name", DIVERGING)
def test_signed_maps_diverge(name):
    """Drawn, the two signs end in the two ends of the scale and zero is its middle; without signs zero is an end."""
    style, photo = Style(diverging=name, blend="even"), np.zeros((1, 3, 3), np.uint8)
    values = np.array([[-2.0, 0.0, 2.0]], np.float32)
    drawn = overlay(photo, values, span(DrawnMap(values, signed=True), style), style)
    assert drawn[0].tolist() == table(name)[[0, 128, 255]].tolist()
    plain = np.abs(values)
    drawn = overlay(photo, plain, span(DrawnMap(plain, signed=False), style), style)
    assert drawn[0].tolist() == table(style.sequential)[[255, 0, 255]].tolist()
