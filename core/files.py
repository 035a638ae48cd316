"""Atomic file writes and the sha256 of files."""

import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from core.progress import Report, silent

_BLOCK = 1 << 24  # bytes read at a time


@contextmanager
def atomic_write(path: Path, keep: Callable[[Path], object] | None = None) -> Iterator[IO[bytes]]:
    """Write a file atomically: it appears at `path` complete and flushed to disk, or not at all.

    It is written under a temporary name next to `path` and renamed when the block ends; an error leaves the old file.
    With `keep`, a file that another process wrote there meanwhile stays if `keep(path)` is true.
    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}.part")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if keep is None:
            temporary.replace(path)
        else:
            _rename(temporary, path, keep)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _rename(temporary: Path, path: Path, keep: Callable[[Path], object]) -> None:
    """Rename a file to its final name unless a file to keep has that name."""
    try:
        path.hardlink_to(temporary)  # fails if the file exists, unlike `replace`
    except FileExistsError:
        if not keep(path):
            temporary.replace(path)
    except OSError:  # a file system without hard links
        temporary.replace(path)


def sync_folder(folder: Path) -> None:
    """Flush the entries of a folder to disk; Windows does so automatically."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_sha256(path: Path, report: Report = silent, note: str = "") -> str:
    """The sha256 of a file's bytes; reports progress."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        total = max(1, os.fstat(file.fileno()).st_size)
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            report(min(1.0, done / total), note)
    return digest.hexdigest()
