"""One writer at a time for a store, and errors of the disk as sentences."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from core.store.schema import Schema

_LOCK = "lock"


@contextmanager
def locked(schema: Schema[Any], folder: Path, path: Path) -> Iterator[None]:
    """Hold the draft in `folder` of the store at `path`; the schema's error where somebody else does.

    The lock is the system's, so it ends with the process that holds it, however that ends.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK)
    while not lock.is_locked:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0.1, poll_interval=0.01)
        except FileNotFoundError:  # the last writer just cleared the folder away
            continue
        except Timeout:
            message = f"The {schema.noun} {path.name} is being built by {_holder(folder)}."
            raise schema.error(message, "Wait for it, stop it, or choose another name.") from None
    try:
        (folder / "holder").write_text(f"process {os.getpid()}", "utf-8")
        yield
    finally:
        lock.release()


def clear(folder: Path) -> None:
    """Delete a folder that is held, its lock last: a writer that comes meanwhile begins in an empty one."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != _LOCK:
            entry.unlink()
    with suppress(OSError):  # somebody has begun already, or the system deletes no open file
        (folder / _LOCK).unlink()
        folder.rmdir()


def _holder(folder: Path) -> str:
    """Who holds the lock, as that process noted beside it."""
    with suppress(OSError, ValueError):
        if holder := (folder / "holder").read_text("utf-8").strip():
            return holder
    return "another process"


@contextmanager
def translated(schema: Schema[Any], path: Path) -> Iterator[None]:
    """Errors of the disk about the store at `path` as the schema's."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            message = f"The disk is full: the {schema.noun} {path.name} could not be written."
            raise schema.error(message, "Free some space and build again to resume.") from None
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            message = f"{path.parent} cannot be written ({error.strerror})."
            raise schema.error(message, "Choose another folder.") from None
        if error.errno in {errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ENOTEMPTY, errno.EBUSY, errno.ELOOP}:
            raise schema.error(f"{path} cannot be {schema.one} ({error.strerror}).", "Choose another name.") from None
        raise
