"""Hostile folders are scanned, or refused with one sentence; nothing hangs, swells or is written beside."""

import time
from pathlib import Path

import pytest

from core.errors import VitrineError
from tests.hostile import folders


def sentence(path: Path) -> str:
    """Why a folder is refused; "" if it is read."""
    try:
        folders.read(path)
    except VitrineError as error:
        return str(error)
    return ""


@pytest.mark.filterwarnings("ignore")
def test_hostile_folders_are_read_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path / "home"))
    found = {}
    for path in folders.make(tmp_path / "folders"):
        name = str(path.relative_to(tmp_path / "folders"))
        start = time.process_time()
        found[name] = sentence(path)
        assert len(found[name]) < 300, name
        assert time.process_time() - start < 20, name
    assert len(found) >= 40
    assert {path.name for path in tmp_path.iterdir()} <= {"home", "folders"}
    assert not (tmp_path / "out.png").exists()
    refused = [name for name, text in found.items() if text]
    assert "archive-bomb/data.zip" in refused
    assert "circles" not in refused
    assert "names" not in refused
