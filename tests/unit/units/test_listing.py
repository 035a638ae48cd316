"""Analyses in folders: those of a model, the latest, broken ones, and the command that makes one."""

import json
import shlex
from dataclasses import replace

import pytest

from core.cli import main
from core.export.command import analysis_command
from core.units.build import build_analysis
from core.units.config import UnitsConfig
from core.units.listing import analyses_of, latest, list_analyses, unfinished
from core.units.store import UnitStore
from tests.planted_units import LAYERS, planted_images, planted_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two analyses of activating patches, of both layers and of one, a dissection, and a broken one."""
    root = tmp_path_factory.mktemp("analyses")
    data = planted_images(8).write(tmp_path_factory.mktemp("planted"))
    config = UnitsConfig(analysis="activating", model="planted", data=str(data), layers=LAYERS, settings={"top": 1})
    for name, one in {
        "both": config,
        "first": replace(config, layers=LAYERS[:1]),
        "named": replace(config, analysis="dissection", settings={}),
        "wrong": config,
    }.items():
        build_analysis(one, root / name, model=planted_model())
    for number, name in enumerate(("both", "first", "named")):
        (root / name / "build.json").write_text(json.dumps({"seconds": {}, "finished": f"2026-01-0{number + 1}"}))
    (root / "wrong" / "units.parquet").write_bytes(b"no table")
    return root


def test_the_latest_that_contains_the_layer(folder, tmp_path):
    found = list_analyses(folder, tmp_path / "missing")
    assert [path.name for path in found] == ["both", "first", "named", "wrong"]
    assert "units.parquet" in str(found[folder / "wrong"])
    assert isinstance(found[folder / "both"], UnitStore)
    own = analyses_of(planted_model().sha, found)
    assert {name: [one.name for one in stores] for name, stores in own.items()} == {
        "activating": ["both", "first"],
        "dissection": ["named"],
    }
    assert analyses_of("another", found) == {}
    assert latest(own["activating"]).name == "first"
    assert latest(own["activating"], LAYERS[1]).name == "both"
    assert latest(own["activating"], "relu9") is None
    assert unfinished(folder) == []


def test_the_command_makes_the_same_analysis(tmp_path, capsys):
    data = planted_images(4).write(tmp_path / "images")
    config = UnitsConfig(
        analysis="activating", model="flowers-single-6c", data=str(data), layers=("relu2",), images=3,
        settings={"top": 2}, batch=3, seed=4, fit="squash",
    )  # fmt: skip
    words = shlex.split(analysis_command(config, str(tmp_path / "out")))
    assert main(words[1:]) == 0
    capsys.readouterr()
    made = UnitStore(tmp_path / "out").manifest.settings
    assert made == replace(config, settings={**made.settings, "top": 2})


def test_a_dissection_has_a_command_of_its_own():
    words = analysis_command(UnitsConfig(analysis="dissection", model="a@b c", data="d"), "out")
    assert words == "vitrine units dissect 'a@b c' --data d --out out"
