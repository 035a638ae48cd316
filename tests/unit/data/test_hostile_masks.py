"""Hostile masks are read, or refused with one sentence, in seconds; nothing that they name is opened."""

import time
from pathlib import Path

from core.errors import VitrineError
from tests.hostile import masks


def sentence(path: Path) -> str:
    """Why a folder of masks gives none; "" if it does."""
    try:
        masks.read(path)
    except VitrineError as error:
        return str(error)
    return ""


def test_hostile_masks_are_read_or_refused(tmp_path: Path) -> None:
    found = {}
    for path in masks.make(tmp_path):
        start = time.process_time()
        found[path.name] = sentence(path)
        assert len(found[path.name]) < 300, path.name
        assert time.process_time() - start < 20, path.name
    read = {name for name, text in found.items() if not text}
    assert read == {
        "box-beyond-all", "categories-of-another-kind", "outlines-at-the-limit", "size-of-a-galaxy", "vast-text"
    }  # fmt: skip
    assert "VITRINE_TEXT_MB" in found["sparse-json"]
    for name in ("laughs", "file-of-the-system"):
        assert "it declares a document type" in found[name]
    assert "root:" not in "".join(found.values())


def test_masks_changed_by_chance_are_read_or_refused(tmp_path: Path) -> None:
    found = [sentence(path) for path in masks.fuzzed(tmp_path, 600)]
    assert all(len(text) < 300 for text in found)
    assert 60 < found.count("") < 540
