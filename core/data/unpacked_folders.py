"""Folders to which archives were unpacked: those that nothing uses are removed when all of them need too much room."""

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from core.environment import home, limit
from core.files import read_bytes

RECENT = 7 * 24 * 3600  # seconds since its last use in which a folder may still be in use


def touch(folder: Path) -> bool:
    """Note that a folder is used now; whether it exists."""
    with suppress(OSError):
        os.utime(folder)
    return folder.is_dir()


def draft_beside(folder: Path) -> Path:
    """A new path for what will be a folder, or was one: hidden, and listed as unfinished if it is left behind."""
    return folder.with_name(f".{folder.name.lstrip('.')[:16]}.{uuid.uuid4().hex[:12]}.draft")


def make_room(folder: Path, keep: Path) -> None:
    """Remove the subfolders that were used least recently, until the rest are within the limit `unpacked`.

    Never removed are `keep`, what was used within a week, and the images of studies in the user's folder. Other
    processes may use and remove them at the same time. Remains of interrupted unpacking are removed, too.
    """
    before = time.time() - RECENT
    entries = [(used, path) for path in folder.iterdir() if (used := _used(path)) is not None and path != keep]
    sizes = {path: _size(path) for _, path in entries}
    total, most = sum(sizes.values()) + _size(keep), limit("unpacked")
    studied: bytes | None = None
    for used, path in sorted(entries):
        draft = path.name.startswith(".")
        if used > before or (total <= most and not draft):
            continue
        if studied is None:
            studied = b"\n".join(_manifests())
        if (draft or path.name.encode() not in studied) and _removed(path, before):
            total -= sizes[path]


def _removed(path: Path, before: float) -> bool:
    """Remove a folder, unless another process removes it or has just begun to use it."""
    away = draft_beside(path)
    try:
        path.rename(away)
        if (_used(away) or 0) > before:
            away.rename(path)
            return False
    except OSError:
        return False
    shutil.rmtree(away, ignore_errors=True)
    return True


def _used(path: Path) -> float | None:
    """The time of a folder's last use; None if there is no such folder."""
    try:
        return path.lstat().st_mtime if path.is_dir() and not path.is_symlink() else None
    except OSError:
        return None


def _size(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_size  # noqa: PTH118 - of many files
    return total


def _manifests() -> Iterator[bytes]:
    """The manifests of all studies of the user and of visitors; they name the folders of images."""
    for path in (*home().glob("studies/*/study.json"), *home().glob("visitors/*/studies/*/study.json")):
        with suppress(OSError, ValueError):
            yield read_bytes(path, limit("manifest"))
