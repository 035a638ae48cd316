"""Unfinished builds: what is known of them, and that they can be continued or deleted."""

import json

import pytest

from core.store.locking import locked
from core.store.writer import remove
from core.study.build import build_study
from core.study.schema import STUDY
from core.study.unfinished import unfinished
from tests.tiny_build import config, told


@pytest.fixture
def stopped(data, gap, tmp_path):
    """A folder in which a build was stopped after its first shard of four images."""
    settings = config(data, limit=12)
    told(settings, tmp_path / "s", gap, until="reading images 5")
    return tmp_path, settings


def test_a_stopped_build_is_listed_with_its_settings_and_continued(stopped, gap):
    folder, settings = stopped
    (one,) = unfinished(folder)
    assert (one.path, one.config, one.images, one.running) == (folder / "s", settings, 12, False)
    assert one.fraction == pytest.approx(1 / 3)
    notes = told(one.config, one.path, gap)
    assert not any(note.startswith("reading images 1 ") for note in notes), "the first shard is kept"
    assert unfinished(folder) == []


def test_a_stopped_build_can_be_deleted(stopped):
    folder, _ = stopped
    remove(STUDY, folder / "s")
    assert unfinished(folder) == []
    assert list(folder.iterdir()) == []


def test_a_build_in_progress_is_running(stopped):
    folder, _ = stopped
    with locked(STUDY, folder / ".s.draft", folder / "s"):
        (one,) = unfinished(folder)
        assert one.running
    assert not unfinished(folder)[0].running


@pytest.mark.parametrize(
    "content",
    [
        None, b"", b"{", b"[]", b"{}", b'{"config": {}, "images": 3, "shards": 1}',
        b'{"config": {"model": "m", "data": "d"}, "images": "3", "shards": 1}',
        b'{"config": {"model": "m", "data": "d"}, "images": 3, "shards": 0}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_build_whose_settings_cannot_be_read_is_still_listed(stopped, content):
    folder, _ = stopped
    file = folder / ".s.draft" / "request.json"
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    (one,) = unfinished(folder)
    assert (one.config, one.images, one.fraction) == (None, 0, 0.0)


def test_finished_studies_and_other_folders_are_not_listed(stopped, data, gap):
    folder, settings = stopped
    build_study(settings, folder / "s", model=gap)
    (folder / ".other.draft").mkdir()
    (folder / ".file.draft").write_text(json.dumps({}))
    assert unfinished(folder) == []
    assert unfinished(folder / "nowhere") == []
