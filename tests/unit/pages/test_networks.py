"""Networks in memory: loaded once for all sessions that wait, and freed when no session uses them."""

import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet50

from core.errors import BadModel, UnknownName
from core.models.sources import flower_networks
from pages.ui.session import networks, opened_models, shared_networks, visitors
from pages.ui.session.opened_models import OpenedModel
from pages.ui.session.state import Session


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VITRINE_MODEL", "flowers-single-6c")
    monkeypatch.setattr(visitors, "shared", lambda: False)
    shared_networks.shared_networks.clear()
    yield
    shared_networks.shared_networks.clear()


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two sessions, and a function that says whose turn it is."""
    pair = Session(), Session()
    now = [pair[0]]
    monkeypatch.setattr(networks, "session", lambda: now[0])

    def turn(number: int) -> Session:
        now[0] = pair[number]
        return pair[number]

    return turn


def weights(folder: Path, seed: int, classes: int = 3) -> OpenedModel:
    """A model that is opened with weights of its own."""
    torch.manual_seed(seed)
    file = folder / f"w{seed}.safetensors"
    save_file(flower_networks.architecture(classes).state_dict(), file)
    return OpenedModel(f"flowers@{file}", f"flowers@{file}")


def test_memory_is_released_when_no_session_uses_a_model(tmp_path: Path, sessions: Any) -> None:
    model = weights(tmp_path, 1)
    first, second = sessions(0), sessions(1)
    sessions(0)
    net = networks.of(model.name).net
    sessions(1)
    assert networks.of(model.name).net is net
    watched = weakref.ref(net)
    del net
    first.close()
    gc.collect()
    assert networks.loaded(model.name)
    assert watched() is not None
    second.close()
    gc.collect()
    assert watched() is None
    assert networks.loaded(model.name) is None


def test_a_session_holds_no_more_than_three(tmp_path: Path, sessions: Any) -> None:
    session = sessions(0)
    models = [weights(tmp_path, seed) for seed in range(5)]
    for model in models:
        networks.of(model.name)
    assert [networks.loaded(model.name) is not None for model in models] == [False, False, True, True, True]
    size = networks.loaded(models[4].name).memory
    state = flower_networks.architecture(3).state_dict()
    assert size == sum(value.numel() * value.element_size() for value in state.values())
    assert networks.others_in_memory(models[4].name) == (2, 2 * size)
    networks.release_others(models[4].name)
    assert [networks.loaded(model.name) is not None for model in models] == [False] * 4 + [True]
    assert networks.others_in_memory(models[4].name) == (0, 0)
    session.close()
    assert networks.loaded(models[4].name) is None


def test_the_apps_own_model_stays_for_the_next_visitor(sessions: Any) -> None:
    session = sessions(0)
    net = networks.of("flowers-single-6c").net
    session.close()
    sessions(1)
    assert networks.of("flowers-single-6c").net is net


def test_a_second_session_waits_for_the_first_and_shares(
    tmp_path: Path, sessions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, go, calls = weights(tmp_path, 1), threading.Event(), []
    load = networks.load

    def slow(*words: Any) -> Any:
        calls.append(words[0])
        assert go.wait(60)
        return load(*words)

    monkeypatch.setattr(networks, "load", slow)
    sessions(0)
    job = networks.begin(model)
    sessions(1)
    assert networks.begin(model) is job
    sessions(0)
    networks.give_up(model)  # the other still waits
    assert not job.stopping
    go.set()
    sessions(1)
    assert networks.of(model.name) is job.result
    assert calls == [model.loads]


def test_what_nobody_waits_for_is_stopped(tmp_path: Path, sessions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    started, go = threading.Event(), threading.Event()

    def slow(_name: str, _device: Any, report: Any, _options: Any) -> None:
        started.set()
        assert go.wait(60)
        report(0.5, "half")
        pytest.fail("it went on")

    monkeypatch.setattr(networks, "load", slow)
    sessions(0)
    model = weights(tmp_path, 1)
    job = networks.begin(model)
    assert started.wait(60)
    networks.give_up(model)
    go.set()
    assert job.wait(60)
    assert job.state == "cancelled"


def test_uploaded_weights_are_named_as_on_a_command_line(
    tmp_path: Path, sessions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = sessions(0)
    data = Path(weights(tmp_path, 1).loads.partition("@")[2]).read_bytes()
    labels = opened_models.store(b"a\nb\nc\n", "labels.txt", "text")
    options = opened_models.ModelOptions(labels=str(labels), output="multilabel")
    own = opened_models.own("flowers", opened_models.store(data, "mine.safetensors"), options)
    job = networks.begin(own)
    assert job.wait(60)
    networks.adopt(own)
    model = networks.of("flowers@mine.safetensors")
    assert model is job.result
    assert (model.name, model.options.labels, model.labels) == (
        "flowers@mine.safetensors",
        "labels.txt",
        ("a", "b", "c"),
    )
    assert networks.selectable()[0] == "flowers@mine.safetensors"
    assert networks.options_of(model.name) == options
    here = tmp_path / "here"
    here.mkdir()
    (here / "mine.safetensors").write_bytes(data)
    (here / "labels.txt").write_text("a\nb\nc\n")
    monkeypatch.chdir(here)
    assert networks.load(model.name, options=model.options).sha == model.sha
    session.close()
    sessions(1)  # a reload
    assert "flowers@mine.safetensors" not in networks.selectable()
    assert networks.known("flowers@mine.safetensors")
    assert networks.of("flowers@mine.safetensors").key == model.key
    networks.close("flowers@mine.safetensors")
    assert not networks.known("flowers@mine.safetensors")
    assert not labels.exists()


def test_own_code_is_not_run(tmp_path: Path, sessions: Any) -> None:
    sessions(0)
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef build(): return None\n")
    name = f"{tmp_path / 'mine.py'}:build"
    job = networks.begin(OpenedModel(name, name))
    assert job.wait(60)
    assert "is code, which is run only when the command line names it" in str(job.error)
    assert not (tmp_path / "ran").exists()


def test_an_error_reaches_all_who_wait(tmp_path: Path, sessions: Any) -> None:
    (tmp_path / "w.pth").write_bytes(b"PK\x03\x04 nonsense")
    name = f"flowers@{tmp_path / 'w.pth'}"
    for number in (0, 1):
        sessions(number)
        with pytest.raises(BadModel, match="nothing in it was run"):
            networks.of(name)


def test_a_stranger_opens_what_is_listed_or_their_own(
    tmp_path: Path, sessions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visitors, "shared", lambda: True)
    monkeypatch.setattr(visitors, "key", lambda: "a" * 32)
    data = Path(weights(tmp_path, 1).loads.partition("@")[2]).read_bytes()
    own = opened_models.own("flowers", opened_models.store(data, "mine.safetensors"), opened_models.ModelOptions())
    sessions(0)
    assert networks.begin(own).wait(60)
    networks.adopt(own)
    assert networks.of(own.name).name == "flowers@mine.safetensors"
    for name in (weights(tmp_path, 2).name, own.loads, "timm:resnet10t", "hf:microsoft/resnet-18", "mine.py:build"):
        assert not networks.known(name)
        with pytest.raises(UnknownName):
            networks.of(name)
    monkeypatch.setattr(visitors, "key", lambda: "b" * 32)
    sessions(1)
    assert not networks.known(own.name)
    with pytest.raises(UnknownName):
        networks.of(own.name)


def test_a_file_of_100_mb_is_loaded_once_with_progress_and_released_with_its_last_session(
    tmp_path: Path, sessions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "w.safetensors"
    with torch.device("meta"):
        shapes = resnet50().state_dict()
    save_file({name: torch.full(one.shape, 0.01, dtype=one.dtype) for name, one in shapes.items()}, file)
    assert file.stat().st_size > 100_000_000
    model = OpenedModel(f"resnet50@{file}", f"resnet50@{file}")
    go, calls, told = threading.Event(), [], []
    load = networks.load

    def watched_load(name: str, device: Any, report: Any, options: Any) -> Any:
        calls.append(name)
        assert go.wait(60)

        def noted(fraction: float, note: str) -> None:
            told.append((fraction, note))
            report(fraction, note)

        return load(name, device, noted, options)

    monkeypatch.setattr(networks, "load", watched_load)
    first = sessions(0)
    job = networks.begin(model)
    second = sessions(1)
    assert networks.begin(model) is job
    assert job.running
    go.set()
    nets = []
    for number in (0, 1):
        sessions(number)
        nets.append(networks.of(model.name).net)
    assert calls == [model.loads]
    assert nets[0] is nets[1]
    assert networks.loaded(model.name).memory > 100_000_000
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert {note for _, note in told} >= {"reading weights", "inspecting layers"}
    watched = weakref.ref(nets.pop())
    nets.clear()
    del job
    first.close()
    gc.collect()
    assert watched() is not None
    second.close()
    gc.collect()
    assert watched() is None
