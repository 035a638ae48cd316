"""Files of others: read within limits, written atomically, hashed."""

import errno
import hashlib
import os
import stat
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from core.progress import Report, silent
from core.serialization import parse_json

_BLOCK = 1 << 24  # bytes read at a time


@contextmanager
def regular_file(path: str | Path, most: int) -> Iterator[IO[bytes]]:
    """A regular file of at most `most` bytes, open for reading.

    Never waits: a pipe or device is refused without being read, as is a file that is larger. Raises OSError, with the
    reason in its `strerror`, and ValueError for a path with a zero byte.
    """
    # Without O_NONBLOCK, opening a pipe waits for someone who writes to it.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        if facts.st_size > most:
            size = f"{facts.st_size / 1e6:,.1f} MB is over the limit of {most / 1e6:,.0f} MB"
            raise OSError(errno.EFBIG, size, str(path))
        yield file


def is_folder(path: Path) -> bool:
    """Whether there is a folder at a path; False for a text that cannot be a path."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def read_bytes(path: str | Path, most: int) -> bytes:
    """The content of a file of others. Raises as `regular_file`, also for a file that grows over `most` meanwhile."""
    with regular_file(path, most) as file:
        content = file.read(most + 1)
    if len(content) > most:  # files under /proc have a size of 0 and any content
        raise OSError(errno.EFBIG, f"it is over the limit of {most / 1e6:,.0f} MB", str(path))
    return content


def read_json(path: str | Path, most: int) -> Any:
    """The value in a JSON file of others. Raises OSError as `regular_file`, ValueError as `parse_json`."""
    return parse_json(read_bytes(path, most))


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


def file_sha256(path: Path, report: Report = silent, note: str = "", most: int = sys.maxsize) -> str:
    """The sha256 of a regular file's bytes; reports progress. Raises as `regular_file`."""
    digest, done = hashlib.sha256(), 0
    with regular_file(path, most) as file:
        total = max(1, os.fstat(file.fileno()).st_size)
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            report(min(1.0, done / total), note)
    return digest.hexdigest()
