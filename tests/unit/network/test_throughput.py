"""The batch size that is measured once, stored, and affects the bytes of every later run."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core.network.throughput import batch_of, seconds_of
from core.workbench import Request, Workbench, pass_seconds
from tests import nets

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def clock(monkeypatch):
    """Measuring replaced by times for each batch size, and the sizes that were measured."""

    def set_to(**seconds):
        asked = []

        def told(model, batch):
            asked.append(batch)
            return seconds[f"b{batch}"]

        monkeypatch.setattr("core.network.throughput._per_image", told)
        return asked

    return set_to


def forgotten(monkeypatch):
    """As in a new process."""
    monkeypatch.setattr("core.network.throughput._batches", {})
    monkeypatch.setattr("core.network.throughput._seconds", {})


@pytest.mark.parametrize(
    ("seconds", "batch"),
    [
        ({"b4": 0.001, "b8": 0.0008, "b16": 0.0007, "b32": 0.0006}, 32),
        ({"b4": 0.001, "b8": 0.00096, "b16": 0.0012, "b32": 0.002}, 4),
        ({"b4": 0.001, "b8": 0.0008, "b16": 0.00077, "b32": 0.002}, 8),
        ({"b4": 0.001, "b8": 0.002, "b16": 0.0008, "b32": 0.0009}, 16),
    ],
)
def test_a_larger_batch_must_be_clearly_faster(clock, tmp_path, seconds, batch):
    asked = clock(**seconds)
    assert batch_of(nets.model("gap"), tmp_path) == batch
    assert seconds_of(nets.model("gap"), tmp_path) == seconds[f"b{batch}"]
    assert asked == [4, 8, 16, 32]


def test_a_slow_network_is_measured_no_longer_than_needed(clock, tmp_path):
    asked = clock(b4=0.2)
    assert batch_of(nets.model("gap"), tmp_path) == 4
    assert asked == [4]


def test_measured_once_and_kept(clock, tmp_path, monkeypatch):
    model = nets.model("gap")
    asked = clock(b4=0.004, b8=0.002, b16=0.003, b32=0.003)
    assert batch_of(model, tmp_path) == batch_of(model, tmp_path) == 8
    assert len(asked) == 4
    forgotten(monkeypatch)
    asked = clock(b4=0.001, b8=0.009, b16=0.009, b32=0.009)
    assert batch_of(model, tmp_path) == 8, "the file decides, however fast the machine is now"
    assert asked == []
    assert seconds_of(model, tmp_path) == seconds_of(model, tmp_path) == 0.009, "how long it takes is not kept"
    assert asked == [8]
    assert batch_of(nets.model("cnn"), tmp_path) == 4, "another model is measured for itself"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    assert batch_of(model, tmp_path) == 4, "and so are other conditions"
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"] * 3, "nothing half written stays"


@pytest.mark.parametrize("content", ["", "{", "[]", "\0", "{}", '{"batch": 0}', '{"batch": "x"}'])
def test_a_broken_file_is_measured_anew(clock, tmp_path, monkeypatch, content):
    asked = clock(b4=0.004, b8=0.002, b16=0.003, b32=0.003)
    assert batch_of(nets.model("gap"), tmp_path) == 8
    (file,) = tmp_path.iterdir()
    file.write_text(content)
    forgotten(monkeypatch)
    assert batch_of(nets.model("gap"), tmp_path) == 8
    assert len(asked) == 8
    kept = json.loads(file.read_text())
    assert (kept["batch"], kept["model"], kept["torch"]) == (8, nets.model("gap").sha, torch.__version__)


def test_without_a_place_to_keep_it_lasts_as_long_as_the_process(clock, tmp_path):
    (tmp_path / "file").write_text("")
    asked = clock(b4=0.001, b8=0.001, b16=0.001, b32=0.001)
    assert batch_of(nets.model("gap"), tmp_path / "file" / "below") == 4
    assert batch_of(nets.model("gap"), tmp_path / "file" / "below") == 4
    assert len(asked) == 4


def test_the_first_of_several_processes_decides(clock, tmp_path, monkeypatch):
    """Another one finished while this one measured."""
    model = nets.model("gap")
    clock(b4=0.004, b8=0.002, b16=0.003, b32=0.003)
    batch_of(model, tmp_path)
    (file,) = tmp_path.iterdir()
    kept = file.read_text()
    file.unlink()

    def slower(model, batch):
        file.write_text(kept)
        return 0.001

    monkeypatch.setattr("core.network.throughput._per_image", slower)
    forgotten(monkeypatch)
    assert batch_of(model, tmp_path) == 8


def test_threads_measure_once(clock, tmp_path):
    asked = clock(b4=0.004, b8=0.002, b16=0.003, b32=0.003)
    model, found = nets.model("gap"), []
    threads = [threading.Thread(target=lambda: found.append(batch_of(model, tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [8] * 8
    assert len(asked) == 4


@pytest.mark.parametrize(
    ("start", "each", "batch", "passes"),
    [
        (0.004, 0.001, 32, [4] * 4 + [8] * 4 + [16] * 4 + [32] * 4),  # a pass costs much to begin: large batches pay
        (0.0, 0.001, 4, [4] * 4 + [8] * 4 + [16] * 4 + [32] * 4),  # all the same: the smallest
        (0.0, 0.01, 4, [4] * 4 + [8] * 4 + [16] * 3),  # enough seen after 0.2 seconds; for 32 there is no time left
        (0.0, 0.5, 4, [4] * 2),  # as little as there can be: one pass to warm up, one to measure
    ],
)
def test_a_real_measurement_takes_few_passes_and_finds_their_time(tmp_path, monkeypatch, start, each, batch, passes):
    """Real passes by a clock that only they move."""
    model, seen = nets.model("gap"), []
    monkeypatch.setattr(
        "core.network.throughput.time", SimpleNamespace(perf_counter=lambda: sum(start + each * n for n in seen))
    )
    model.net.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    assert batch_of(model, tmp_path) == batch
    assert seen == passes
    assert seconds_of(model, tmp_path) == pytest.approx(each + start / batch)
    assert seen == passes, "the time was measured with the batch"


def test_explanations_use_the_batch_and_estimates_the_seconds(clock, tmp_path, monkeypatch):
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    clock(b4=0.5)
    model = nets.model("gap")
    assert pass_seconds(model) == 0.5
    bench = Workbench(model)
    assert bench.estimate([Request("rise", 0, {"masks": 50})]) == 25
    sizes = []
    model.net.register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))
    bench.explain(picture(), Request("rise", 0, {"masks": 50}))
    assert max(sizes) == 4


def test_estimates_learn_from_what_a_method_took(clock, tmp_path, monkeypatch):
    """In half precision, or with work of its own, it takes another time than its passes."""
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    clock(b4=0.5)
    bench = Workbench(nets.model("gap"))
    rise, saliency = Request("rise", 0, {"masks": 50}), Request("saliency", 0)
    before = bench.estimate([saliency])
    taken = bench.explain(picture(), rise).seconds
    assert bench.estimate([rise]) == pytest.approx(taken)
    assert bench.estimate([Request("rise", 1, {"masks": 500})]) == pytest.approx(10 * taken)
    assert bench.plans()["rise"].seconds["quick"] == pytest.approx(6 * taken)
    bench.explain(picture(), saliency)
    assert bench.estimate([saliency]) == before, "what it shares with others is not its own"
    assert bench.estimate([rise, saliency]) == pytest.approx(taken + before)
    assert Workbench(bench.model).estimate([rise]) == 25, "another session"


def test_early_ends_teach_nothing(clock, tmp_path, monkeypatch):
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    clock(b4=0.5)
    bench = Workbench(nets.model("gap"))
    rise = Request("rise", 0, {"masks": 200})
    assert not bench.explain(picture(), rise, watch=lambda snapshot: True).finished
    bench.explain(picture(), replace(rise, settle=True))
    assert bench.estimate([rise]) == 100


def test_a_study_never_asks_for_it(tmp_path, monkeypatch):
    from tests.small_study import built

    monkeypatch.setattr("core.network.throughput._measured", lambda model: pytest.fail("measured"))
    built(tmp_path)


@pytest.mark.slow
def test_two_processes_give_the_same_bytes(tmp_path, photo_file):
    """Whatever they would measure: the second one reads what the first one stored."""
    environment = {**os.environ, "VITRINE_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    words = ["--model", "flowers-single-6c", "--method", "rise,smoothgrad", "--set", "rise.masks=50"]
    for out in ("one", "two"):
        command = [sys.executable, "-m", "core", "explain", str(photo_file), *words, "--out", str(tmp_path / out)]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    one, two = (np.load(tmp_path / out / "photo" / "maps.npz") for out in ("one", "two"))
    assert list(one) == list(two)
    assert all(one[key].tobytes() == two[key].tobytes() for key in one)
    assert len(list((tmp_path / "home" / "pace").iterdir())) == 1


def picture():
    from core.images import Picture

    return Picture("noise", np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8), "1" * 64)
