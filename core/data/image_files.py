"""Images as a command names them: files, and all images in folders and zip archives."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from core.data.image_folder import scan
from core.data.listing import head
from core.errors import VitrineError
from core.images import Picture, Window, picture_file, read_picture, shown
from core.progress import Report, silent


@dataclass(frozen=True)
class ImageFile:
    """An image: its path in the folder that was named, or the path of its own."""

    path: str
    root: Path | None = None

    @property
    def name(self) -> str:
        """The path in the folder, or the name of the file."""
        return self.path if self.root else Path(self.path).name

    def picture(self, window: Window | None = None) -> Picture:
        """The decoded image. Raises BadImage."""
        return read_picture(self.root, self.path, window) if self.root else picture_file(self.path, window)


@dataclass
class ImageFiles:
    """The images that several paths lead to."""

    files: list[ImageFile] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what was assumed about folders and left out, as sentences
    errors: dict[str, VitrineError] = field(default_factory=dict)  # of folders and archives without images, by path


def image_files(paths: Iterable[str], limit: int = 0, report: Report = silent) -> ImageFiles:
    """The files of these paths, and the images in those that are folders or zip archives.

    With a `limit`, at most that many of each folder, as evenly from its sub-folders as possible.
    """
    found = ImageFiles()
    for path in paths:
        root = Path(path)
        if not (root.is_dir() or _is_archive(root)):
            found.files.append(ImageFile(path))
            continue
        try:
            folder = scan(root, report)
        except VitrineError as error:
            found.errors[path] = error
            continue
        used = folder.limited(limit)
        found.files += [ImageFile(inside, folder.root) for inside in used.paths]
        name = shown(root.name or str(root))
        found.notes += [f"{name}: {note}" for note in folder.notes]
        found.notes += [f"{name}: left out {reason}: {count:,}." for reason, count in folder.skipped.items()]
        if len(used) < len(folder):
            found.notes.append(f"{name}: {len(used):,} of {len(folder):,} images, as --limit says.")
    return found


def _is_archive(path: Path) -> bool:
    return (head(path) or b"").startswith((b"PK\3\4", b"PK\5\6"))
