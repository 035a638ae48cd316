"""Stored lists of cards: the same bytes without torch, made anew whenever anything they are made from has changed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from core.cli import main
from core.environment import home
from core.models import MODELS
from core.store import lists

ROOT = Path(__file__).resolve().parents[3]
LISTS = (["models"], ["methods"], ["methods", "--measures"])


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
@pytest.mark.parametrize("option", [[], ["--json"]], ids=["text", "json"])
def test_a_stored_list_is_the_same_and_needs_no_torch(words, option, capsys):
    main([*words, *option])
    expected = capsys.readouterr().out
    code = f"import sys; from core.cli import main; main({[*words, *option]!r}); print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said == f"{expected}False\n"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"key": "x", "cards": []}', b'{"cards": []}', b"\xff"])
def test_a_file_that_is_not_ours_is_replaced(content):
    (home() / "lists").mkdir()
    file = home() / "lists" / "methods.json"
    file.write_bytes(content)
    assert lists.cards("methods", lambda: [{"name": "a"}]) == [{"name": "a"}]
    assert json.loads(file.read_bytes())["cards"] == [{"name": "a"}]


def test_another_version_lists_anew(monkeypatch):
    assert lists.cards("methods", lambda: [{"name": "a"}]) == [{"name": "a"}]
    assert lists.cards("methods", lambda: [{"name": "b"}]) == [{"name": "a"}]
    monkeypatch.setattr(lists, "version", lambda: "next")
    assert lists.cards("methods", lambda: [{"name": "b"}]) == [{"name": "b"}]


def test_a_changed_source_lists_anew(monkeypatch, tmp_path):
    source = tmp_path / "source" / "method.py"
    source.parent.mkdir()
    source.write_text("a")
    monkeypatch.setattr(lists, "_SOURCES", source.parent)
    lists.cards("methods", lambda: [{"name": "a"}])
    source.write_text("b")
    assert lists.cards("methods", lambda: [{"name": "b"}]) == [{"name": "b"}]


def test_a_home_that_cannot_be_written_costs_time_only(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "file"))
    assert lists.cards("methods", lambda: [{"name": "a"}]) == [{"name": "a"}]


def test_the_names_of_models_need_no_torchvision():
    code = "import sys; from core.models import names; print(*names()); print('torchvision' in sys.modules)"
    run = [sys.executable, "-c", code]
    first, second = (subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True).stdout for _ in range(2))
    listed, imported = second.splitlines()
    assert first.splitlines()[0] == listed == " ".join(MODELS)
    assert imported == "False"
