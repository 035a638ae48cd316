"""The lock of a draft: one writer, also where the last one has just deleted the folder."""

import shutil

import filelock
import pytest

from core.store.locking import clear, locked
from tests.exam import EXAM


def test_a_folder_deleted_while_it_is_being_locked_is_made_again(tmp_path, monkeypatch):
    folder, attempts = tmp_path / ".e.draft", []
    acquire = filelock.FileLock.acquire

    def late(lock, **options):
        attempts.append(folder.exists())
        if len(attempts) < 3:
            shutil.rmtree(folder)
            raise FileNotFoundError(folder)
        return acquire(lock, **options)

    monkeypatch.setattr(filelock.FileLock, "acquire", late)
    with locked(EXAM, folder, tmp_path / "e"):
        assert attempts == [True] * 3
        other = filelock.FileLock(folder / "lock")
        with pytest.raises(filelock.Timeout):
            acquire(other, timeout=0)


def test_a_cleared_folder_is_gone_with_its_lock_and_links_are_not_followed(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    folder = tmp_path / ".e.draft"
    with locked(EXAM, folder, tmp_path / "e"):
        (folder / "0").mkdir()
        (folder / "0" / "part").touch()
        (folder / "link").symlink_to(kept)
        clear(folder)
        assert not folder.exists()
    assert (kept / "file").exists()
