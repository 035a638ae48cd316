"""Folders of images, one sub-folder per class, with masks and concepts beside them where there are any."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.errors import BadImage, Unavailable
from core.progress import Report, chunks, silent

SAMPLES = Path(__file__).resolve().parents[2] / "assets" / "images"
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})

Mask = NDArray[np.bool_]  # (H, W)


@dataclass(frozen=True)
class Folder:
    """The images of a folder in a fixed order: by class, then by name."""

    root: Path  # beside `images`, where the folder has that layout
    images: Path  # what the files' names start from
    classes: tuple[str, ...]  # names of the sub-folders; empty for images that lie loose
    files: tuple[Path, ...]
    labels: tuple[int, ...]  # index into classes, -1 without classes

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        """The name of an image within its folder, such as "red/00004.png"."""
        return self.files[index].relative_to(self.images).as_posix()


@dataclass(frozen=True)
class Sample:
    """An image that comes with Vitrine."""

    name: str
    path: Path
    alt: str  # what it shows, as a sentence
    model: str  # the bundled model it was made for
    label: str  # its true class
    draw: Mapping[str, Any]  # what `flowers.draw` was called with


def scan(root: Path) -> Folder:
    """The images under `root`: one sub-folder per class, those again in a folder called `images`, or loose files.

    Raises Unavailable where there is no such folder or no image in it.
    """
    root = Path(root).expanduser()
    images = root / "images" if (root / "images").is_dir() else root
    try:
        folders = sorted(path for path in images.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise Unavailable(f"{root} cannot be opened as a folder ({error.strerror}).", "Check the path.") from None
    found = [(path, label) for label, folder in enumerate(folders) for path in _images(folder)]
    classes = tuple(folder.name for folder in folders)
    if not found:
        classes, found = (), [(path, -1) for path in _images(images)]
    if not found:
        raise Unavailable(f"There is no image in {root}.", "Name a folder with one sub-folder of images per class.")
    files, labels = zip(*found, strict=True)
    return Folder(root, images, classes, files, labels)


def fingerprint(folder: Folder, report: Report = silent) -> str:
    """The sha256 over the names and contents of all images: equal exactly for equal data, wherever it lies."""
    whole = hashlib.sha256()
    for span in chunks(len(folder), 50, report, "reading images"):
        for index in span:
            with folder.files[index].open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            whole.update(f"{folder.name(index)}\0{content}\n".encode())
    return whole.hexdigest()


def mask(folder: Folder, index: int) -> Mask | None:
    """The mask of an image's discriminative part, from the same place under `masks`; None where there is none.

    Only the ending of its name may differ from the image's. Raises BadImage for a file that cannot be read.
    """
    path = _beside(folder.root / "masks" / folder.name(index))
    return None if path is None else np.asarray(_opened(path).convert("L")) > 127


def concepts(folder: Folder, index: int) -> dict[str, Mask]:
    """The masks of every concept visible in an image by name, such as "petals" or "red"; empty where none are known."""
    found = {}
    for kind in ("parts", "colours"):
        path = _beside(folder.root / "concepts" / kind / folder.name(index))
        if path is not None:
            values = np.asarray(_opened(path))
            for value in np.unique(values):
                found[manifest(folder)[kind][int(value)]] = values == value
    return {name: where for name, where in found.items() if name != "none"}


def manifest(folder: Folder) -> dict[str, Any]:
    """What `flowers.write` noted about a data set; empty for other folders."""
    path = folder.root / "manifest.json"
    try:
        content = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise Unavailable(f"{path} cannot be read ({error}).", "Write the data set again.") from None
    return content if isinstance(content, dict) else {}


def samples(folder: Path = SAMPLES) -> list[Sample]:
    """The images that come with Vitrine, in the order in which to show them."""
    listed = json.loads((folder / "samples.json").read_text("utf-8"))
    return [Sample(**{key: row[key] for key in row if key != "file"}, path=folder / row["file"]) for row in listed]


def _images(folder: Path) -> list[Path]:
    files = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    return sorted(path for path in files if path.is_file())


def _beside(path: Path) -> Path | None:
    """`path`, or a file of the same name with another image ending."""
    candidates = (path, *(path.with_suffix(suffix) for suffix in sorted(SUFFIXES)))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _opened(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except (OSError, Image.DecompressionBombError) as error:
        raise BadImage(f"{path} cannot be read as an image ({error}).", "Replace the file.") from None
