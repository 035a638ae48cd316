"""Stored analyses: the results of memory, bytes that survive a kill, and bad input as one sentence."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.errors import BadParameter, Cancelled, StoreDamaged, StoreError, Unavailable, UnknownName, Unsupported
from core.units.analysis import Subject, analyse
from core.units.build import build_analysis, planned
from core.units.config import UnitsConfig
from core.units.store import UnitStore
from tests.planted_units import LAYERS, planted_images, planted_model

ROOT = Path(__file__).resolve().parents[3]
COUNT = 40  # two shards


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return planted_images(COUNT).write(tmp_path_factory.mktemp("planted"))


@pytest.fixture
def config(folder):
    return UnitsConfig(analysis="dissection", model="planted", data=str(folder), layers=LAYERS)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("dissection", {"quantile": 0.02}), ("activating", {"signal": True}), ("profiles", {"classes": "true"})],
)
def test_a_store_holds_what_is_computed_in_memory(config, tmp_path, name, settings):
    config = replace(config, analysis=name, settings=settings)
    plan = planned(config, planted_model())
    found = build_analysis(config, tmp_path / "out", plan=plan)
    expected = analyse(name, plan.subject, settings)
    for table, rows in expected.tables.items():
        pd.testing.assert_frame_equal(found.tables[table], rows, check_dtype=False)
    for array, values in expected.arrays.items():
        assert np.array_equal(found.array(array), values)
    assert found.manifest.notes == expected.notes
    assert found.tables["images"]["name"].tolist() == list(plan.images.names)
    assert found.tables["layers"]["field_height"].tolist() == [5, 10]
    again = UnitStore(tmp_path / "out")
    assert again.analysis.name == name
    assert again.manifest.settings.settings == {**again.analysis.defaults, **settings}


def test_a_dissection_of_the_first_format_opens_without_samples(config, tmp_path):
    store = build_analysis(config, tmp_path / "out", model=planted_model())
    assert store.known_array("draws").shape == (1000, 2, 2)
    file = store.path / "dissection.json"
    content = json.loads(file.read_text())
    assert content["version"] == 2
    del content["arrays"]["draws"], content["files"]["draws.npy"]
    (store.path / "draws.npy").unlink()
    content["version"] = 1
    file.write_text(json.dumps(content))
    older = UnitStore(store.path)
    assert older.known_array("draws") is None
    assert older.tables["units"].equals(store.tables["units"])


def test_planted_units_are_named_from_a_folder_and_from_broden(config, tmp_path):
    for number, data in enumerate((config.data, str(planted_images(COUNT).write_broden(tmp_path / "broden")))):
        one = replace(config, data=data, layers=("relu",), settings={"quantile": 0.02})
        found = build_analysis(one, tmp_path / str(number), model=planted_model())
        units = found.tables["units"]
        names = units["concept"].map(found.tables["concepts"]["name"])
        assert names.tolist()[:4] == ["red", "blue", "edge", "cross"]
        assert units["iou"].tolist()[:2] == [1.0, 1.0]


BUILD = textwrap.dedent("""
    import os, signal, sys
    from core.units.build import build_analysis
    from core.units.config import UnitsConfig
    from tests.planted_units import LAYERS, planted_model

    analysis, data, words, *names = sys.argv[1:]

    def report(fraction, note):
        if words and words in note:
            os.kill(os.getpid(), signal.SIGKILL)

    for name in names:
        config = UnitsConfig(analysis=analysis, model="planted", data=data, layers=LAYERS)
        build_analysis(config, name, model=planted_model(), report=report)
""")


def test_killed_at_several_stages(folder, tmp_path):
    def build(words, *names):
        command = [sys.executable, "-c", BUILD, "dissection", str(folder), words, *names]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, cwd=tmp_path, env=env, check=False).returncode

    draft, shards = tmp_path / ".killed.draft", []
    for words in ("activations (shard 2 of 2)", "overlaps (shard 4 of 4)"):
        assert build(words, "killed") == -signal.SIGKILL, words
        assert not (tmp_path / "killed").exists()
        shards.append(sum(one.name.isdigit() for one in draft.iterdir()))
    assert shards == [1, 3]
    assert build("", "killed", "whole") == 0
    assert not draft.exists()
    files = {file.name for file in (tmp_path / "whole").iterdir()}
    assert files == {file.name for file in (tmp_path / "killed").iterdir()}
    for name in files - {"build.json"}:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name


def test_cancelling_keeps_finished_shards(config, tmp_path):
    def report(_fraction, note):
        if "shard 2" in note:
            raise Cancelled

    with pytest.raises(Cancelled):
        build_analysis(config, tmp_path / "out", model=planted_model(), report=report)
    assert (tmp_path / ".out.draft/000000").is_dir()
    assert build_analysis(config, tmp_path / "out", model=planted_model()).path == tmp_path / "out"


def test_a_finished_analysis_is_not_done_twice_and_another_not_replaced(config, tmp_path, monkeypatch):
    build_analysis(config, tmp_path / "out", model=planted_model())
    monkeypatch.setattr(Subject, "reduced", lambda *_: pytest.fail("work"))
    build_analysis(config, tmp_path / "out", model=planted_model())
    with pytest.raises(StoreError, match="with other settings"):
        build_analysis(replace(config, images=20), tmp_path / "out", model=planted_model())
    with pytest.raises(StoreError, match="something other than a finished gallery"):
        build_analysis(replace(config, analysis="activating"), tmp_path / "out", model=planted_model())


def test_an_unreadable_image_is_left_out(config, tmp_path):
    shutil.copytree(config.data, tmp_path / "data")
    (tmp_path / "data/images/red/00000.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    masks = tmp_path / "data/masks/blue/blue/00001.png"
    Image.new("RGB", (32, 32), "red").save(masks)
    found = build_analysis(replace(config, data=str(tmp_path / "data")), tmp_path / "out", model=planted_model())
    assert found.manifest.data.left_out == {"images whose file or masks cannot be used": 2}
    assert len(found.tables["images"]) == COUNT - 2


@pytest.mark.parametrize("kind", ["image", "mask"])
def test_an_image_that_changes_meanwhile_is_noticed(config, tmp_path, kind):
    shutil.copytree(config.data, tmp_path / "data")
    config = replace(config, data=str(tmp_path / "data"))
    plan = planned(config, planted_model())
    file = tmp_path / "data" / {"image": "images/red/00005.png", "mask": "masks/red/red/00005.png"}[kind]
    Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
    with pytest.raises(StoreError, match=r"00005\.png or its masks changed"):
        build_analysis(config, tmp_path / "out", plan=plan)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"layers": ("fc",)}, Unsupported, "Layer 'fc' of planted has no spatial positions"),
        ({"layers": ("nowhere",)}, UnknownName, "no layer called 'nowhere'"),
        ({"layers": ("relu", "relu")}, BadParameter, "layers has relu twice"),
        ({"analysis": "dissect"}, UnknownName, "no analysis of units called 'dissect'"),
        ({"settings": {"quantil": 0.1}}, UnknownName, "no setting of dissection"),
        ({"settings": {"quantile": 0.9}}, BadParameter, "quantile"),
        ({"batch": 0}, BadParameter, "batch"),
        ({"data": "/no/such/folder"}, Unavailable, "cannot be opened"),
    ],
)
def test_bad_input_is_one_sentence(config, tmp_path, change, error, words):
    with pytest.raises(error, match=words) as raised:
        build_analysis(replace(config, **change), tmp_path / "out", model=planted_model())
    assert raised.value.message.count("\n") == 0
    assert not (tmp_path / "out").exists()


def test_a_folder_without_masks_is_one_sentence_and_has_patches(config, tmp_path):
    planted_images(5).write(tmp_path / "data", masks=False)
    config = replace(config, data=str(tmp_path / "data"))
    with pytest.raises(Unavailable, match="has no masks of concepts"):
        build_analysis(config, tmp_path / "out", model=planted_model())
    assert len(
        build_analysis(replace(config, analysis="activating"), tmp_path / "out", model=planted_model()).tables[
            "patches"
        ]
    )


def test_what_is_no_analysis_is_one_sentence(config, tmp_path):
    with pytest.raises(StoreError, match="no analysis of units"):
        UnitStore(tmp_path)
    build_analysis(config, tmp_path / "out", model=planted_model())
    (tmp_path / "out/units.parquet").write_bytes(b"")
    with pytest.raises(StoreDamaged, match="The dissection out is damaged"):
        UnitStore(tmp_path / "out")
