"""Ctrl-C during `vitrine explain`: it ends within a second, and what is finished is written."""

import json
import os
import signal
from dataclasses import replace

import pytest

from core.cli import main
from core.commands.interruption import Interruption
from core.errors import Cancelled
from core.explain import EXPLAINERS
from core.progress import silent
from tests import nets


@pytest.fixture(autouse=True)
def foreground():
    """Ctrl-C interrupts, also where the tests themselves run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def slow(monkeypatch):
    """A tiny network, loaded whatever model a command names, whose passes take seconds once `pause` is set."""
    model = nets.model(nets.seeded(nets.Slow))
    monkeypatch.setattr("core.models.load", lambda name, **rest: model)
    return model.net


def press(net, check):
    """Press Ctrl-C once, in a pass and when a state is reached; the list holds the number of pauses by then."""
    wait, pressed = net.wait, []

    def look():
        wait()
        if not pressed and check():
            pressed.append(len(net.moments))
            os.kill(os.getpid(), signal.SIGINT)

    net.wait = look
    return pressed


def command(photo_file, out, *words):
    return main(["explain", str(photo_file), "--model", "slow", "--out", str(out), *words])


def test_in_the_midst_of_a_pass_the_finished_maps_are_written(slow, photo_file, tmp_path, capsys, monkeypatch):
    """Grad-CAM is finished and integrated gradients begin, whose passes are slow."""
    method = EXPLAINERS["integrated_gradients"]

    def run(query, **settings):
        slow.pause = 0.01
        return method.run(query, **settings)

    monkeypatch.setitem(EXPLAINERS._entries, method.name, replace(method, run=run))
    pressed = press(slow, lambda: len(slow.moments) > 30)
    handler = signal.getsignal(signal.SIGINT)
    assert command(photo_file, tmp_path, "--method", "grad_cam,integrated_gradients") == 130
    assert len(slow.moments) - pressed[0] < 1 / slow.pause, "within a second"
    assert signal.getsignal(signal.SIGINT) is handler
    said = capsys.readouterr()
    assert "vitrine: stopped." in said.err
    assert "1 map, 1 forward + 1 backward" in said.out
    record = json.loads((tmp_path / "photo" / "result.json").read_text())
    assert [entry["method"] for entry in record["maps"]] == ["grad_cam"]
    assert (tmp_path / "photo" / record["maps"][0]["overlay"]).is_file()


def test_a_running_map_is_written_as_unfinished(slow, photo_file, tmp_path, monkeypatch):
    original = nets.Slow.forward
    counted = []

    def forward(net, x):
        counted.append(len(x))
        return original(net, x)

    monkeypatch.setattr(nets.Slow, "forward", forward)
    press(slow, lambda: sum(counted) > 300)
    assert command(photo_file, tmp_path, "--method", "rise", "--set", "rise.masks=8000") == 130
    entry = json.loads((tmp_path / "photo" / "result.json").read_text())["maps"][0]
    assert not entry["finished"]
    assert 64 <= entry["passes"]["forward"] < 8000


def test_before_there_is_a_map_nothing_is_written(slow, photo_file, tmp_path, capsys):
    def loaded_slowly():
        slow.pause = 0.01
        return len(slow.moments) > 30

    press(slow, loaded_slowly)
    out = tmp_path / "out"
    assert command(photo_file, out, "--method", "saliency") == 130
    assert not list(out.iterdir())
    assert "vitrine: stopped." in capsys.readouterr().err


def test_pressed_twice_it_interrupts_at_once():
    with Interruption(silent) as interruption:
        interruption.report(0.1, "")
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Cancelled):
            interruption.report(0.2, "")
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert interruption.requested


def test_a_program_that_ignores_it_goes_on(monkeypatch):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption(silent) as interruption:
            os.kill(os.getpid(), signal.SIGINT)
            interruption.report(0.2, "")
        assert not interruption.requested
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
