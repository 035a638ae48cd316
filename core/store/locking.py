"""Locks that allow one writer per store, and translation of OS errors."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from core.files import read_bytes
from core.store.schema import Schema

_LOCK = "lock"


class Held(Exception):
    """Another writer has the lock of a folder; the argument says who."""


@contextmanager
def locked(schema: Schema[Any], folder: Path, path: Path) -> Iterator[None]:
    """Lock the draft in `folder` of the store at `path`; the schema's error if another process has the lock.

    The lock is the operating system's, so it ends with the process in any case.
    """
    try:
        with lock_of(folder):
            yield
    except Held as held:
        message = f"The {schema.noun} {path.name} is being built by {held}."
        raise schema.error(message, "Wait for it, stop it, or choose another name.") from None


@contextmanager
def lock_of(folder: Path) -> Iterator[None]:
    """Lock a folder, which is made if it is missing. Raises Held."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK)
    while not lock.is_locked:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0.1, poll_interval=0.01)
        except FileNotFoundError:  # the last writer has just deleted the folder
            continue
        except Timeout:
            raise Held(_holder(folder)) from None
    try:
        (folder / "holder").write_text(f"process {os.getpid()}", "utf-8")
        yield
    finally:
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether a writer has the lock of a folder."""
    from filelock import FileLock, Timeout

    if not (folder / _LOCK).is_file():
        return False
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    lock.release()
    return False


def clear(folder: Path) -> None:
    """Delete a locked folder, its lock last, so that a new writer starts in an empty one."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != _LOCK:
            entry.unlink()
    with suppress(OSError):  # another writer has started, or the system cannot delete open files
        (folder / _LOCK).unlink()
        folder.rmdir()


def _holder(folder: Path) -> str:
    """The holder of the lock, as that process noted next to it."""
    with suppress(OSError, ValueError):
        if holder := read_bytes(folder / "holder", 100).decode().strip():
            return holder
    return "another process"


@contextmanager
def translated(schema: Schema[Any], path: Path) -> Iterator[None]:
    """Translate OS errors about the store at `path` into the schema's."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            message = f"The disk is full: the {schema.noun} {path.name} could not be written."
            raise schema.error(message, "Free some space and build again to resume.") from None
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            message = f"{path.parent} cannot be written ({error.strerror})."
            raise schema.error(message, "Choose another folder.") from None
        if error.errno in {
            errno.ENOTDIR,
            errno.EEXIST,
            errno.ENAMETOOLONG,
            errno.ENOTEMPTY,
            errno.EBUSY,
            errno.ELOOP,
            errno.ENOENT,
        }:
            raise schema.error(f"{path} cannot be {schema.one} ({error.strerror}).", "Choose another name.") from None
        raise
