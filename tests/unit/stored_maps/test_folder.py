"""`vitrine explain` of a whole folder: equal to single images, resumed, refused, bounded."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from core.cli import main
from core.explain import EXPLAINERS
from core.explain.method import FORWARD_BACKWARD
from core.explain.target_name import target_name
from core.images import picture_file
from core.progress import Report, silent
from core.stored_maps import images as reading
from core.stored_maps import settings as stored_settings
from core.stored_maps.reader import StoredMaps
from core.stored_maps.writer import Row, Writer
from core.workbench import Workbench
from tests import nets
from tests.said import sentence
from tests.waiting import until

COUNT = 11
ALONE = ("rise", "smoothgrad", "guided_backprop", "random")


@pytest.fixture
def model(monkeypatch):
    """The tiny model that any name loads, in batches of four."""
    found = nets.model("gap")
    monkeypatch.setattr("core.models.load", lambda name, **rest: found)
    monkeypatch.setattr(stored_settings, "batch_of", lambda model, folder: 4)
    return found


@pytest.fixture
def folder(tmp_path):
    """Images of noise in two class folders: odd names, one image twice, one damaged."""
    root = tmp_path / "photos"
    names = [f"{k}.png" for k in range(COUNT - 4)] + ["=1+2.png", "ümläut und blank.png", "twice.png", "again.png"]
    for number, name in enumerate(names):
        path = root / f"class {number % 2}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(min(number, COUNT - 2)).integers(0, 255, (nets.SIDE, nets.SIDE, 3))
        Image.fromarray(noise.astype(np.uint8)).save(path)
    (root / "class 1" / "damaged.png").write_bytes((root / "class 0" / "0.png").read_bytes()[:70])
    return root


@pytest.fixture
def explain(folder, tmp_path):
    """The command for the folder."""

    def run(*words, out=tmp_path / "out", of=folder):
        return main(["explain", str(of), "--model", "gap", "--out", str(out), *words])

    return run


def table(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files(out: Path) -> dict[str, bytes]:
    """All that is stored, by path."""
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_maps_equal_those_of_single_images(model, folder, explain, tmp_path):
    """Of all methods that share the passes of a batch, and of some that draw random numbers or run alone."""
    shared = [name for name, method in EXPLAINERS.items() if method.shares == FORWARD_BACKWARD]
    methods = [name for name in (*shared, *ALONE) if not EXPLAINERS[name].unmet(model)]
    few = ["--set", "rise.masks=64", "--set", "smoothgrad.samples=4", "--set", "score_cam.channels=8"]
    explain("--method", ",".join(methods), "--target", "predicted", "--target", "2-1", "--limit", "5", *few)
    stored, compared = StoredMaps(tmp_path / "out"), 0
    settings = {name: stored.settings.methods[name] for name in methods}
    for path in dict.fromkeys(row["image"] for row in table(tmp_path / "out") if row["predicted"]):
        picture, bench = picture_file(folder / path), Workbench(model)
        for request in bench.requests(settings, [bench.target(picture), target_name("2-1", model)]):
            found = stored.explanation(model, picture, request, 0)
            if request.name == "cam" and request.target.index is None:
                assert found is None, "it explains single classes only"
                continue
            alone = bench.explain(picture, request)
            assert found is not None, request
            assert nets.relative(found.maps, alone.maps) < 1e-4, request.name
            assert (found.note(), found.layer) == (alone.note(), alone.layer)
            assert (found.signed, found.offset) == (alone.signed, alone.offset)
            assert dict(found.remarks) == {**alone.remarks, "read from": "out"}
            compared += 1
    assert compared >= 2 * 5 * (len(methods) - 1)


def test_the_table_has_a_row_for_every_map_and_every_image_without(model, folder, explain, tmp_path, capsys):
    assert explain("--method", "grad_cam,saliency", "--layer", "features.4", "--target", "1") == 2
    said = capsys.readouterr()
    assert "damaged.png is incomplete or damaged" in said.err
    assert f"results.csv: {COUNT + 1} images, {2 * COUNT} maps." in said.out
    found = table(tmp_path / "out")
    assert len(found) == 2 * COUNT + 1
    (damaged,) = [row for row in found if row["error"]]
    assert (damaged["image"], damaged["predicted"], damaged["file"]) == ("class 1/damaged.png", "", "")
    for row in found:
        if row is damaged:
            continue
        picture = picture_file(folder / row["image"])
        assert row["sha256"] == picture.sha
        assert row["true"] == row["image"][6]
        assert row["right"] == str(row["true"] == row["predicted"])
        with np.load(tmp_path / "out" / row["file"]) as maps:
            values = maps[row["array"]]
        assert float(row["max"]) >= values.max() or row["method"] == "grad_cam"
        assert values.shape == ((16, 16) if row["method"] == "grad_cam" else (nets.SIDE, nets.SIDE))
        assert bool(row["blank"]) == (not values.any())


def test_a_command_repeated_writes_nothing(model, explain, tmp_path, monkeypatch):
    explain("--method", "grad_cam")
    before = files(tmp_path / "out")
    monkeypatch.setattr(model.net, "forward", lambda images: pytest.fail("computed again"))
    monkeypatch.setattr("core.images.read_picture", lambda *rest: pytest.fail("read again"))
    explain("--method", "grad_cam")
    assert files(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--method", "saliency"], "other methods or settings"),
        (["--method", "upsampled_activation", "--set", "upsampled_activation.units=2"], "other methods or settings"),
        (["--method", "upsampled_activation", "--target", "1"], "other targets"),
        (["--method", "upsampled_activation", "--seed", "1"], "other seed"),
        (["--method", "upsampled_activation", "--layer", "features.4"], "other layers"),
        (["--method", "upsampled_activation", "--limit", "2"], "other images"),
        (["--method", "upsampled_activation", "--label", "1"], "other true class"),
    ],
)
def test_other_settings_are_refused(model, explain, tmp_path, capsys, words, match):
    explain("--method", "upsampled_activation")
    before = files(tmp_path / "out")
    assert "finished.log" in before
    capsys.readouterr()
    assert explain(*words) == 2
    assert match in capsys.readouterr().err
    assert files(tmp_path / "out") == before


def test_another_model_is_refused(model, explain, tmp_path, monkeypatch, capsys):
    explain("--method", "grad_cam")
    other = nets.model("gap", seed=1)
    monkeypatch.setattr("core.models.load", lambda name, **rest: other)
    capsys.readouterr()
    assert explain("--method", "grad_cam") == 2
    assert "holds maps of another model" in capsys.readouterr().err


def test_files_of_others_are_not_touched(model, explain, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results.csv").write_text("mine")
    assert explain("--method", "grad_cam") == 2
    assert "holds another results.csv" in sentence(capsys)
    assert (tmp_path / "out" / "results.csv").read_text() == "mine"


def test_an_empty_folder_says_so(model, explain, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert explain("--method", "grad_cam", of=tmp_path / "empty") == 2
    assert "There is no image in" in sentence(capsys)


def put_and_wait(writer: Writer, rows: list[Row], report: Report, put: Callable[..., None] = Writer.put) -> None:
    """Queue a block and wait until the log says that it is written."""
    put(writer, rows, report)
    log, last = writer.folder / "finished.log", str(rows[-1].number + 1).encode()
    until(lambda: log.exists() and log.read_bytes().splitlines()[-1].split()[0] == last)


KILLED = """
import os, signal, sys, torch
from pathlib import Path
from core import models
from core.stored_maps import settings
from core.cli import main
from core.stored_maps.writer import Writer
from tests import nets
from tests.unit.stored_maps.test_folder import put_and_wait
torch.set_num_threads(int(sys.argv[1]))
model = nets.model(nets.seeded(nets.Slow))
models.load = lambda name, **rest: model
settings.batch_of = lambda model, folder: 4
log = Path(sys.argv[2])

def die():
    if log.exists() and len(log.read_bytes().splitlines()) >= 2:
        os.kill(os.getpid(), signal.SIGKILL)

Writer.put = put_and_wait
model.net.wait = die  # in the midst of a pass
main(sys.argv[3:])
"""


def test_what_a_killed_process_finished_is_kept_and_continued(folder, explain, tmp_path, monkeypatch):
    slow = nets.model(nets.seeded(nets.Slow))
    monkeypatch.setattr("core.models.load", lambda name, **rest: slow)
    monkeypatch.setattr(stored_settings, "batch_of", lambda model, folder: 4)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    words = ["explain", str(folder), "--model", "gap", "--method", "grad_cam,saliency", "--out", str(killed)]
    threads = str(torch.get_num_threads())
    log = killed / "finished.log"
    command = [sys.executable, "-c", KILLED, threads, str(log), *words]
    ended = subprocess.run(command, cwd=Path(__file__).parents[3], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert log.read_bytes().splitlines()[-1].split()[0] in {b"4", b"8"}, "killed in the middle"
    with (killed / "results.csv").open("ab") as file:
        file.write(b'8,"half of a li')  # as of a kill within a write
    kept = {path: path.stat().st_mtime_ns for path in sorted(killed.rglob("*.npz"))[:4]}
    assert main(words) == 2
    assert all(path.stat().st_mtime_ns == moment for path, moment in kept.items())
    explain("--method", "grad_cam,saliency", out=whole)
    left = files(killed)
    assert {name: left[name] for name in left if not name.endswith(".part")} == files(whole)


def test_ctrl_c_keeps_what_is_finished(model, explain, tmp_path, monkeypatch, capsys):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        log, pressed = tmp_path / "out" / "finished.log", []

        def press():
            if not pressed and log.exists() and log.read_bytes().count(b"\n") >= 2:
                pressed.append(True)
                os.kill(os.getpid(), signal.SIGINT)

        slow = nets.model(nets.seeded(nets.Slow))
        slow.net.wait = press  # in the midst of a pass
        monkeypatch.setattr(Writer, "put", put_and_wait)
        monkeypatch.setattr("core.models.load", lambda name, **rest: slow)
        assert explain("--method", "grad_cam") == 130
    finally:
        signal.signal(signal.SIGINT, before)
    said = capsys.readouterr()
    assert "Repeat the command to continue." in said.out
    assert {row["number"] for row in table(tmp_path / "out")} < {str(k) for k in range(COUNT + 1)}


class Mixing(nn.Module):
    """Normalises over the batch, as layers in training mode do."""

    def forward(self, x):
        x = x - x.mean(0, keepdim=True)
        return x.mean((2, 3)) @ torch.arange(15.0).view(3, 5)


def test_a_network_that_mixes_images_runs_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_settings, "batch_of", lambda model, folder: 4)
    assert stored_settings._batch(nets.model(Mixing())) == 1
    assert stored_settings._batch(nets.model("gap")) == 4


def test_no_more_images_are_read_than_wait_to_be_computed(model, folder):
    read = []
    picture = picture_file(folder / "class 0" / "0.png")

    def one(number):
        read.append(number)
        return picture

    images = [lambda number=number: one(number) for number in range(40)]
    spans = []
    for span, loaded in reading.blocks(Workbench(model), images, 4, 0, silent):
        spans.append(span)
        assert len(loaded) == 4
        assert len(read) <= span.stop + 4 * reading.AHEAD
    assert spans == [range(start, start + 4) for start in range(0, 40, 4)]


def test_progress_counts_images(model, explain, monkeypatch):
    notes = []
    monkeypatch.setattr("core.commands.explain.printed", lambda stream: lambda fraction, note: notes.append(note))
    explain("--method", "grad_cam")
    assert {f"images {done} of {COUNT + 1}" for done in (0, 4, 8, 12)} <= set(map(str, notes))


def test_settings_are_plain_json(model, explain, tmp_path):
    explain("--method", "grad_cam", "--target", "1")
    stored = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert (stored["model"], stored["targets"], stored["batch"], stored["count"]) == (model.name, ["1"], 4, COUNT + 1)
