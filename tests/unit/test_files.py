"""A file is written whole or not at all, and hashed while it says how far it is."""

import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest

from core.errors import Cancelled
from core.files import atomic_write, file_sha256, read_bytes, regular_file


def write(path, content, **how):
    with atomic_write(path, **how) as file:
        file.write(content)


def broken(path, error):
    with atomic_write(path) as file:
        file.write(b"half")
        raise error


def test_a_file_appears_whole_and_replaces_what_was_there(tmp_path):
    path = tmp_path / "f.json"
    with atomic_write(path) as file:
        file.write(b"one")
        file.flush()
        assert not path.exists()
    write(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    order = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr("os.fsync", lambda handle: order.append(os.fstat(handle).st_size) or sync(handle))
    monkeypatch.setattr("os.replace", lambda *names: order.append("named") or replace(*names))
    write(tmp_path / "f", b"12345")
    assert order == [5, "named"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Cancelled()])
def test_an_error_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "f"
    write(path, b"before")
    with pytest.raises(type(error)):
        broken(path, error)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_it_as_any_file(tmp_path):
    before = os.umask(0o022)
    try:
        write(tmp_path / "f", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o644


def test_one_to_keep_stays(tmp_path):
    path = tmp_path / "f"
    write(path, b"first", keep=lambda path: True)
    write(path, b"second", keep=lambda path: path.read_bytes() == b"first")
    assert path.read_bytes() == b"first"
    write(path, b"third", keep=lambda path: False)
    assert path.read_bytes() == b"third"
    assert list(tmp_path.iterdir()) == [path]


def test_where_files_cannot_be_linked_it_is_replaced(tmp_path, monkeypatch):
    def refuse(*names):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    write(tmp_path / "f", b"one", keep=lambda path: True)
    assert (tmp_path / "f").read_bytes() == b"one"


def test_many_at_a_time_never_mix(tmp_path):
    contents = [bytes([65 + number]) * 100_000 for number in range(8)]
    threads = [threading.Thread(target=write, args=(tmp_path / "f", one)) for one in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "f").read_bytes() in contents
    assert list(tmp_path.iterdir()) == [tmp_path / "f"]


def test_hash_and_progress(tmp_path):
    seen = []
    content = bytes(range(256)) * 160_000  # 41 MB
    (tmp_path / "f").write_bytes(content)
    assert (
        file_sha256(tmp_path / "f", lambda *said: seen.append(said), "reading") == hashlib.sha256(content).hexdigest()
    )
    assert [round(fraction, 2) for fraction, _ in seen] == [0.41, 0.82, 1.0]
    assert {note for _, note in seen} == {"reading"}
    (tmp_path / "f").write_bytes(b"")
    assert file_sha256(tmp_path / "f") == hashlib.sha256(b"").hexdigest()


def test_a_regular_file_is_read_up_to_its_limit(tmp_path):
    (tmp_path / "f").write_bytes(b"12345")
    assert read_bytes(tmp_path / "f", 5) == b"12345"
    with pytest.raises(OSError, match="MB is over the limit of 0 MB") as error:
        read_bytes(tmp_path / "f", 4)
    assert error.value.errno == errno.EFBIG


def test_a_sparse_file_is_refused_by_its_size(tmp_path):
    with (tmp_path / "f").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match=r"1,099,511\.6 MB is over the limit of 1 MB"):
        read_bytes(tmp_path / "f", 1_000_000)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
def test_pipes_and_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe", tmp_path / "link", "/dev/zero"):
        with pytest.raises(OSError, match="it is not a regular file"):
            read_bytes(path, 100)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux has /proc")
def test_a_file_that_has_more_than_its_size_is_refused():
    assert Path("/proc/self/status").stat().st_size == 0
    with pytest.raises(OSError, match="over the limit"):
        read_bytes("/proc/self/status", 10)


def test_a_file_to_read_is_closed_at_the_end(tmp_path):
    (tmp_path / "f").write_bytes(b"12345")
    with regular_file(tmp_path / "f", 5) as file:
        assert file.read(2) == b"12"
    assert file.closed
