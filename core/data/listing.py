"""The image files in a folder, recognised by their content; what is left out is counted by reason."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from core.files import regular_file
from core.images.formats import HEAD, other, readable
from core.progress import Report, silent

# Endings of images, for files that cannot be opened now: reading them will report the error.
SUFFIXES = frozenset({
    ".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".jp2", ".avif"
})  # fmt: skip
_SYSTEM = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "icon\r", "$recycle.bin"})
_NAMED = 2  # names of files that a reason mentions
_DEEPEST = 32  # levels of folders

LOOPS = "links to a folder that they lie in"
HIDDEN = "system and hidden files"
BESIDE = "pictures beside the sub-folders"


@dataclass
class LeftOut:
    """Files that are left out, by reason; reports the number of files seen so far."""

    report: Report = silent
    seen: int = 0
    names: dict[str, list[str]] = field(default_factory=dict)  # by reason, those that it mentions
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, reason: str, name: str = "", count: int = 1) -> None:
        """Count files, and keep the name of one to mention."""
        self.counts[reason] = self.counts.get(reason, 0) + count
        if name:
            self.names[reason] = sorted([*self.names.get(reason, ()), name])[: _NAMED + 1]

    def reasons(self) -> dict[str, int]:
        """The number of files by reason, with the first names in it: "DICOM files (scan.dcm, …)"."""
        return {self._named(reason): self.counts[reason] for reason in sorted(self.counts)}

    def step(self) -> None:
        """Count a file that was looked at, and report now and then."""
        self.seen += 1
        if self.seen % 1000 == 0:
            self.report(0.0, f"listing images ({self.seen:,} files)")

    def _named(self, reason: str) -> str:
        names = self.names.get(reason, [])
        more = ["…"] if self.counts[reason] > _NAMED else []
        return f"{reason} ({', '.join([*names[:_NAMED], *more])})" if names else reason


def listed(folder: Path, left_out: LeftOut) -> tuple[list[Path], list[Path]]:
    """The images and the folders directly in a folder, by name. Raises OSError."""
    files, folders = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            left_out.step()
            if _system(entry.name):
                left_out.add(HIDDEN)
            elif _is_folder(entry):
                folders.append(folder / entry.name)
            elif reason := _unusable(entry):
                left_out.add(reason, entry.name)
            else:
                files.append(folder / entry.name)
    return sorted(files), sorted(folders)


def images_in(folder: Path, left_out: LeftOut) -> Iterator[Path]:
    """The images in a folder and the folders in it, each folder once, however many links lead to it."""
    visited: set[tuple[int, int]] = set()
    stack = [(folder, 0)]
    while stack:
        current, depth = stack.pop()
        try:
            facts = current.stat()
            if (facts.st_dev, facts.st_ino) in visited or leads_up(current):
                left_out.add(LOOPS)
                continue
            visited.add((facts.st_dev, facts.st_ino))
            files, folders = listed(current, left_out)
        except OSError as error:
            left_out.add(f"folders that cannot be opened: {error.strerror}", f"{current.name}/")
            continue
        yield from files
        if depth < _DEEPEST:
            stack += [(one, depth + 1) for one in reversed(folders)]
        elif folders:
            left_out.add(f"folders more than {_DEEPEST} levels deep", count=len(folders))


def leads_up(path: Path) -> bool:
    """Whether a path is a link to a folder that it lies in."""
    return path.is_symlink() and path.parent.resolve().is_relative_to(path.resolve())


def head(path: Path) -> bytes | None:
    """The first bytes of a regular file, None for one that cannot be opened."""
    try:
        with regular_file(path, sys.maxsize) as file:
            return file.read(HEAD)
    except (OSError, ValueError):
        return None


def _system(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _SYSTEM


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _unusable(entry: "os.DirEntry[str]") -> str:
    """Why a file is no image that is read; "" for one that is."""
    try:
        special = not entry.is_file() and Path(entry.path).exists()
    except OSError:
        special = False
    if special:
        return "pipes and devices"
    start = head(Path(entry.path))
    if start is None:  # among them broken links
        return "" if Path(entry.name).suffix.lower() in SUFFIXES else "files that cannot be opened"
    if not start:
        return "empty files"
    if readable(start, entry.name):
        return ""
    many = other(start, entry.name)[1]
    return f"{many}, which are not read" if many else "files that are no images"
