"""Folders to choose from: names, order and limits."""

import pytest

from core.data import folders
from core.data.folders import search, subfolders, within


@pytest.fixture
def root(tmp_path):
    for name in ("b/photos of cats/deep", "A/photos", ".hidden/photos", "c"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    (tmp_path / "loop").symlink_to(tmp_path)
    return tmp_path


def test_visible_folders_are_listed_by_name(root):
    assert [path.name for path in subfolders(root)] == ["A", "b", "c", "loop"]
    assert subfolders(root / "file") == []
    assert subfolders(root / "nowhere") == []


def test_folders_that_cannot_be_read_are_empty(root, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", refused)
    assert subfolders(root) == []


def test_a_search_finds_all_words_and_follows_no_links(root):
    assert search([root], "PHOTOS") == [root / "A/photos", root / "b/photos of cats"]
    assert search([root], "cats photos") == [root / "b/photos of cats"]
    assert search([root, root / "b"], "deep") == [root / "b/photos of cats/deep"], "once"
    assert search([root], "loop") == []
    assert search([root], "hidden") == []


def test_a_search_ends(root, monkeypatch):
    assert search([root], "photos", most=1) == [root / "A/photos"]
    monkeypatch.setattr(folders, "VISITS", 2)
    assert search([root], "cats") == [], "these lie deeper"


def test_only_folders_below_the_roots_are_within(root):
    assert within(root / "A", [root])
    assert within(root, [root])
    assert not within(root.parent, [root])
