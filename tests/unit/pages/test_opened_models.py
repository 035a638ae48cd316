"""Uploaded weights: stored once by their content, under safe names, within limits; deleted when nobody needs them."""

import os
import time
from pathlib import Path

import pytest
from streamlit.proto.Common_pb2 import FileURLs
from streamlit.runtime.uploaded_file_manager import DeletedFile, UploadedFile, UploadedFileRec

from core.data.model_options import ModelOptions
from core.errors import BadModel, TooLarge
from core.models.name import parsed
from pages.ui.session import opened_models, state, visitors
from pages.ui.session.opened_models import OpenedModel


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))
    monkeypatch.setattr(visitors, "shared", lambda: False)
    return tmp_path


def test_the_same_content_is_one_file_and_another_gets_a_name_of_its_own(home: Path) -> None:
    first = opened_models.store(b"one", "best.pth")
    assert first.read_bytes() == b"one"
    assert first.is_relative_to(home / "weights")
    assert opened_models.store(b"one", "other name.pth") == first
    second = opened_models.store(b"two", "best.pth")
    assert (first.name, second.name) == ("best.pth", "best-2.pth")
    assert opened_models.store(b"three", "best.pth").name == "best-3.pth"


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\me\\w.pth", "w.pth"),
        (".hidden.pth", "hidden.pth"),
        ("--help.pth", "help.pth"),
        ("a@b:c.pth", "a-b-c.pth"),
        ("new\nline\0.pth", "new-line-.pth"),
        ("mit Umlaut ä (1).safetensors", "mit Umlaut ä (1).safetensors"),
        ("", "weights"),
        ("...", "weights"),
    ],
)
def test_a_stored_name_means_a_file_and_nothing_else(name: str, stored: str, home: Path) -> None:
    path = opened_models.store(name.encode() or b"-", name)
    assert path.name == stored
    assert path.parent.parent == home / "weights"
    model = opened_models.own("resnet18", path, ModelOptions())
    assert parsed(model.name).file == stored
    assert parsed(model.loads).file == str(path)


def test_a_long_name_keeps_its_ending() -> None:
    path = opened_models.store(b"x", "w" * 500 + ".safetensors")
    assert path.suffix == ".safetensors"
    assert len(path.name) <= 100


def test_an_opened_model_is_recalled_until_its_files_are_gone(home: Path) -> None:
    file, labels = opened_models.store(b"w", "best.pth"), opened_models.store(b"cat\ndog\n", "labels.txt", "text")
    model = opened_models.own("resnet18", file, ModelOptions(labels=str(labels), output="multilabel"))
    assert opened_models.recalled(model.name) is None
    opened_models.remember(model)
    assert opened_models.recalled(model.name) == model
    assert model.shown_options == ModelOptions(labels="labels.txt", output="multilabel")
    opened_models.discard(file)  # an upload of another tab with the same content
    assert file.exists()
    opened_models.forget(model)
    assert opened_models.recalled(model.name) is None
    assert not file.exists()
    assert not labels.exists()
    assert sorted(path.name for path in (home / "weights").iterdir()) == ["opened.json"]


def test_files_that_another_model_or_a_study_needs_are_kept(home: Path) -> None:
    file = opened_models.store(b"w", "best.pth")
    models = [opened_models.own(architecture, file, ModelOptions()) for architecture in ("resnet18", "resnet34")]
    for model in models:
        opened_models.remember(model)
    opened_models.forget(models[0])
    assert file.exists()
    (home / "studies" / "s").mkdir(parents=True)
    (home / "studies" / "s" / "log.json").write_text(f'{{"paths": {{"model": ["../../{file.relative_to(home)}"]}}}}')
    opened_models.forget(models[1])
    assert file.exists()


def test_only_files_of_the_store_are_deleted(tmp_path: Path) -> None:
    mine = tmp_path / "mine.pth"
    mine.write_bytes(b"w")
    model = OpenedModel(f"resnet18@{mine}", f"resnet18@{mine}")
    opened_models.remember(model)
    opened_models.forget(model)
    assert mine.exists()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"resnet18@best.pth": 1}', '{"resnet18@best.pth": {"loads": 1}}'])
def test_a_damaged_list_is_an_empty_one(content: str, home: Path) -> None:
    (home / "weights").mkdir()
    (home / "weights" / "opened.json").write_text(content)
    assert opened_models.recalled("resnet18@best.pth") is None


def test_files_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_UPLOAD_MB", "1")
    with pytest.raises(TooLarge, match=r"big\.pth: 1\.0 MB is over the limit of 1 MB"):
        opened_models.store(bytes(1_000_001), "big.pth")
    monkeypatch.setattr(visitors, "shared", lambda: True)
    monkeypatch.setattr(visitors, "key", lambda: "a" * 32)
    monkeypatch.setattr(visitors, "WEIGHTS", 1)
    opened_models.store(bytes(600_000), "first.pth")
    with pytest.raises(TooLarge, match="no more than 1 MB of weights of each visitor"):
        opened_models.store(bytes(700_000), "second.pth")
    monkeypatch.setattr(visitors, "key", lambda: "b" * 32)
    opened_models.store(bytes(700_000), "second.pth")
    monkeypatch.setattr(visitors, "ALL_WEIGHTS", 1)
    monkeypatch.setattr(visitors, "key", lambda: "c" * 32)
    with pytest.raises(TooLarge, match="no more than 1 MB of weights in all"):
        opened_models.store(bytes(300_000), "third.pth")


@pytest.mark.parametrize(
    ("name", "shared", "is_one"),
    [
        ("resnet18", True, True),
        ("timm:resnet10t", False, True),
        ("timm:resnet10t", True, False),
        ("timm:resnet10t@/etc/passwd", False, False),
        ("resnet18@/etc/passwd", False, False),
        ("mine.py:build", False, False),
        ("hf:/home/other", False, False),
        ("", False, False),
    ],
)
def test_an_architecture_is_one_of_the_list_or_of_timm(
    name: str, shared: bool, is_one: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visitors, "shared", lambda: shared)
    if is_one:
        opened_models.check_architecture(name, ("resnet18",))
    else:
        with pytest.raises(BadModel, match="is not an architecture"):
            opened_models.check_architecture(name, ("resnet18",))


def test_a_file_that_an_interrupted_run_received_is_left_out() -> None:
    file = UploadedFile(UploadedFileRec("1", "labels.txt", "", b"ant\nbee\n"), FileURLs())
    assert list(state.received([DeletedFile("0"), file, None])) == [("labels.txt", b"ant\nbee\n")]


def test_files_of_visitors_expire_after_a_week_without_use(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stored(visitor: str, data: bytes) -> Path:
        monkeypatch.setattr(visitors, "own_home", lambda: home / "visitors" / visitor)
        return opened_models.store(data, "w.pth")

    unused, used, studied, recent = (stored("one", data) for data in (b"unused", b"used", b"studied", b"recent"))
    monkeypatch.setattr(visitors, "own_home", lambda: home)
    own = opened_models.store(b"own", "w.pth")
    log = home / "visitors" / "one" / "studies" / "s" / "log.json"
    log.parent.mkdir(parents=True)
    log.write_text(f"resnet18@{studied}")
    week = 7 * 24 * 3600
    for path in (unused, used, studied, own):
        os.utime(path.parent, (0, time.time() - week - 60))
    os.utime(recent.parent, (0, time.time() - week + 60))
    opened_models.touch(opened_models.own("resnet18", used, ModelOptions()))
    other = stored("two", b"another")
    assert not unused.parent.exists()
    assert all(path.is_file() for path in (used, studied, recent, own, other))
