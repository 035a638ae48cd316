"""Images as a command names them: files, and all images in folders and zip archives."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

from core.data.image_folder import ImageFolder, scan
from core.data.layout import UNKNOWN
from core.data.listing import head
from core.errors import VitrineError
from core.files import is_folder
from core.images import Picture, Window, picture_file, read_picture, shown
from core.progress import Report, silent

_NAMED = 5  # class folders without a class of the model


@dataclass(frozen=True)
class ImageFile:
    """An image: its path in the folder that was named, or the path of its own."""

    path: str
    root: Path | None = None
    true: int | None = None  # class of the model that its class folder names

    @property
    def name(self) -> str:
        """The path in the folder, or the name of the file."""
        return self.path if self.root else Path(self.path).name

    def picture(self, window: Window | None = None, page: int = 1) -> Picture:
        """The decoded image, a page of its file. Raises BadImage."""
        return read_picture(self.root, self.path, window, page) if self.root else picture_file(self.path, window, page)


@dataclass
class ImageFiles:
    """The images that several paths lead to."""

    files: list[ImageFile] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what was assumed about folders and left out, as sentences
    errors: dict[str, VitrineError] = field(default_factory=dict)  # of folders and archives without images, by path


def image_files(
    paths: Iterable[str], limit: int = 0, report: Report = silent, labels: Sequence[str] = ()
) -> ImageFiles:
    """The files of these paths, and the images in those that are folders or zip archives.

    With a `limit`, at most that many of each folder, as evenly from its sub-folders as possible. With the `labels` of a
    model, sub-folders that are named after its classes give the true classes.
    """
    found = ImageFiles()
    for path in paths:
        root = Path(path)
        if not is_collection(path):  # reading what is no path as an image says so
            found.files.append(ImageFile(path))
            continue
        try:
            folder = scan(root, report)
        except VitrineError as error:
            found.errors[path] = error
            continue
        used = folder.limited(limit).matched(labels) if labels else folder.limited(limit)
        classes = [number if labels and number != UNKNOWN else None for number in used.labels]
        found.files += [ImageFile(*image) for image in zip(used.paths, repeat(folder.root), classes, strict=False)]
        name = shown(root.name or str(root))
        notes = [*used.notes, *([_judging(used)] if any(one is not None for one in classes) else [])]
        found.notes += [f"{name}: {note}" for note in notes]
        found.notes += [f"{name}: left out {reason}: {count:,}." for reason, count in folder.skipped.items()]
        if len(used) < len(folder):
            found.notes.append(f"{name}: {len(used):,} of {len(folder):,} images, as --limit says.")
    return found


def _judging(folder: ImageFolder) -> str:
    """The sentence that says where the true classes come from, and which class folders give none."""
    unknown = [shown(name) for name in folder.unmatched]
    more = ", …" if len(unknown) > _NAMED else ""
    besides = f"; the model has no class {', '.join(unknown[:_NAMED])}{more}" if unknown else ""
    return f"the class folders give the true classes{besides}."


def is_collection(path: str) -> bool:
    """Whether a path leads to a folder or a zip archive."""
    return is_folder(Path(path)) or (head(Path(path)) or b"").startswith((b"PK\3\4", b"PK\5\6"))
