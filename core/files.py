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
    """Write a file that appears at `path` whole and on the disk, or not at all.

    It is written under a name of its own beside `path` and renamed when the block ends; an error leaves what was there.
    With `keep`, a file that another process put there meanwhile stays if `keep(path)` is true.
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
            _place(temporary, path, keep)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _place(temporary: Path, path: Path, keep: Callable[[Path], object]) -> None:
    """Give a file its name unless another one to keep has it."""
    try:
        path.hardlink_to(temporary)  # fails where there is one, which `replace` would not
    except FileExistsError:
        if not keep(path):
            temporary.replace(path)
    except OSError:  # a file system without links
        temporary.replace(path)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk; Windows does so by itself."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_sha256(path: Path, report: Report = silent, note: str = "") -> str:
    """The sha256 of a file's bytes; reports while it reads."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        total = max(1, os.fstat(file.fileno()).st_size)
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            report(min(1.0, done / total), note)
    return digest.hexdigest()
