"""Stored lists of cards: the same bytes without torch, made anew whenever anything they are made from has changed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from core.cli import main
from core.commands.lists import stored
from core.environment import home

ROOT = Path(__file__).resolve().parents[4]
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
    assert stored.cards("methods", lambda: [{"name": "a"}]) == [{"name": "a"}]
    assert json.loads(file.read_bytes())["cards"] == [{"name": "a"}]


def test_another_version_lists_anew(monkeypatch):
    assert stored.cards("methods", lambda: [{"name": "a"}]) == [{"name": "a"}]
    assert stored.cards("methods", lambda: [{"name": "b"}]) == [{"name": "a"}]
    monkeypatch.setattr(stored, "version", lambda: "next")
    assert stored.cards("methods", lambda: [{"name": "b"}]) == [{"name": "b"}]


def test_a_changed_source_lists_anew(monkeypatch, tmp_path):
    source = tmp_path / "source" / "method.py"
    source.parent.mkdir()
    source.write_text("a")
    monkeypatch.setattr(stored, "_SOURCES", source.parent)
    stored.cards("methods", lambda: [{"name": "a"}])
    source.write_text("b")
    assert stored.cards("methods", lambda: [{"name": "b"}]) == [{"name": "b"}]


def test_a_home_that_cannot_be_written_costs_time_only(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "file"))
    assert stored.cards("methods", lambda: [{"name": "a"}]) == [{"name": "a"}]
