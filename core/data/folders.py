"""Folders below a few roots, to choose one without typing its path."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

MOST = 40  # results of a search
VISITS = 4000  # folders that a search looks into


def subfolders(folder: Path) -> list[Path]:
    """The visible folders directly inside a folder by name; none if it cannot be read."""
    return sorted(_folders(folder), key=lambda path: path.name.casefold())


def search(roots: Iterable[Path], words: str, most: int = MOST) -> list[Path]:
    """Folders below the roots whose name contains all these words, those closest to a root first.

    Links are not followed, and no more than `VISITS` folders are looked into.
    """
    wanted, found = words.casefold().split(), list[Path]()
    queue, seen = deque(roots), set[Path]()
    while queue and len(found) < most and len(seen) < VISITS:
        folder = queue.popleft()
        if folder in seen:
            continue
        seen.add(folder)
        for path in subfolders(folder):
            if path.is_symlink():
                continue
            if path not in found and all(word in path.name.casefold() for word in wanted):
                found.append(path)
            queue.append(path)
    return found[:most]


def within(folder: Path, roots: Iterable[Path]) -> bool:
    """Whether a folder is one of the roots or lies below one."""
    return any(folder.is_relative_to(root) for root in roots)


def _folders(folder: Path) -> Iterator[Path]:
    with suppress(OSError, ValueError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.is_dir():
                yield folder / entry.name
