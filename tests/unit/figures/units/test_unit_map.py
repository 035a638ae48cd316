"""The map of units and the tiles of their activations: what is drawn where, in which colours."""

import io

import numpy as np
import pytest
from PIL import Image

from core.figures.colormaps import table
from core.figures.units.activation_tiles import activation_tiles
from core.figures.units.unit_map import OTHERS, UnitMap, unit_map, unit_map_file


def shown(groups):
    count = len(groups)
    places = np.random.default_rng(0).random((count, 2))
    return UnitMap([3 * n for n in range(count)], places, (0.5, 0.25), groups, [f"F{3 * n} <b>" for n in range(count)])


def test_every_unit_is_drawn_once_with_its_number():
    drawn = shown(["a", "b", "a", "", "c"])
    figure = unit_map(drawn, chosen=[6])
    *groups, ring = figure.data
    assert [trace.name for trace in groups] == [OTHERS, "a", "b", "c"]
    assert sorted(unit for trace in groups for unit in trace.customdata) == list(drawn.units)
    for trace in groups:
        for unit, x, y in zip(trace.customdata, trace.x, trace.y, strict=True):
            assert (x, y) == tuple(drawn.places[unit // 3])
    assert len({(trace.marker.color, trace.marker.symbol) for trace in groups}) == 4
    assert len({trace.marker.symbol for trace in groups}) == 4  # never colour alone
    assert ring.text == ("F6",)
    assert "<b>" not in groups[1].text[0]


def test_more_groups_than_looks_share_the_last_one():
    drawn = shown([f"class {n // 2}" for n in range(40)])
    names = [trace.name for trace in unit_map(drawn).data]
    assert len(names) == 13
    assert names[0] == OTHERS
    assert sum(len(trace.x) for trace in unit_map(drawn).data) == 40


def test_twelve_groups_have_no_others_and_a_look_each():
    drawn = unit_map(shown([f"c{n:02}" for n in range(12)])).data
    assert [trace.name for trace in drawn] == [f"c{n:02}" for n in range(12)]
    assert len({trace.marker.symbol for trace in drawn}) == 12


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_file_is_the_same_every_time(kind):
    files = [unit_map_file(shown(["a", "b", "", "a"]), "conv · map", [3], kind) for _ in range(2)]
    assert files[0] == files[1]
    if kind == "png":
        assert np.asarray(Image.open(io.BytesIO(files[0]))).std() > 5
    else:
        assert b"conv" in files[0]


def test_a_tile_shows_each_position_as_a_block():
    maps = np.array([[[0, 1], [2, 4]], [[0, 0], [0, 0]], [[-2, 0], [0, 1]]], np.float32)
    tiles = activation_tiles(maps, 8)
    warm, cold = table("inferno"), table("RdBu_r")
    assert tiles.shape == (3, 8, 8, 3)
    assert (tiles[0, 4:, 4:] == warm[255]).all()
    assert (tiles[0, :4, 4:] == warm[64]).all()
    assert (tiles[1] == warm[0]).all()
    assert (tiles[2, :4, :4] == cold[0]).all()
    assert (tiles[2, 4:, 4:] == cold[191]).all()
    assert (tiles[2, 4:, :4] == cold[128]).all()


def test_a_shared_range_and_maps_that_are_not_square():
    maps = np.array([[[4.0, 0]], [[1.0, 0]]])
    one = activation_tiles(maps, 8, shared=True)
    assert (one[1, 2:6, :4] == table("inferno")[64]).all()
    assert (one[:, :2] == 128).all()
    assert (one[:, 6:] == 128).all()
