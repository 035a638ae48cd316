"""Folders of images, one sub-folder per class, with masks and concepts beside them where there are any."""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.errors import BadImage, Unavailable
from core.files import file_sha256
from core.images import shown
from core.params import expanded
from core.progress import Report, chunks, silent, subrange
from core.resources import ASSETS

SAMPLES = ASSETS / "images"
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
# Pictures too, of kinds that are not read.
OTHERS = frozenset({
    ".heic", ".heif", ".avif", ".jxl", ".jp2", ".svg", ".psd", ".tga", ".ico", ".dng", ".raw", ".cr2", ".cr3", ".nef",
    ".arw",
})  # fmt: skip

Mask = NDArray[np.bool_]  # (H, W)


@dataclass(frozen=True)
class Folder:
    """The images of a folder in a fixed order: by class, then by name."""

    root: Path  # beside `images`, where the folder has that layout
    images: Path  # what the files' names start from
    classes: tuple[str, ...]  # names of the sub-folders; empty for images that lie loose
    files: tuple[Path, ...]
    labels: tuple[int, ...]  # index into classes, -1 without classes
    left: Mapping[str, int] = field(default_factory=dict)  # how many pictures were left out for which reason

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
    label: str  # its true class; "" where none of the model's classes is certain
    draw: Mapping[str, Any]  # what `flowers.draw` was called with; empty for a photo


def scan(root: Path) -> Folder:
    """The images under `root`: one sub-folder per class, those again in a folder called `images`, or loose files.

    Links that lead nowhere are among them, so that whoever reads them says so. What else looks like a picture and is
    left out is counted. Raises Unavailable where there is no such folder or no image in it.
    """
    root = expanded(root)
    left: Counter[str] = Counter()
    try:
        images = root / "images" if (root / "images").is_dir() else root
        loose, folders = _listed(images, left)
    except (OSError, ValueError) as error:  # a path with a zero byte is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise Unavailable(f"{shown(str(root))} cannot be opened as a folder ({reason}).", "Check the path.") from None
    found = [(path, label) for label, folder in enumerate(folders) for path in _images(folder, left)]
    classes = tuple(folder.name for folder in folders)
    if found:
        left["pictures beside the sub-folders"] += len(loose)
    else:
        classes, found = (), [(path, -1) for path in loose]
    told = {reason: left[reason] for reason in sorted(left) if left[reason]}
    if not found:
        said = "".join(f" Left out: {reason} ({count:,})." for reason, count in told.items())
        message = f"There is no image in {root}.{said}"
        raise Unavailable(message, "Name a folder with one sub-folder of images per class.")
    files, labels = zip(*found, strict=True)
    return Folder(root, images, classes, files, labels, told)


def contents(root: Path, paths: Sequence[str], report: Report = silent) -> list[str]:
    """The sha256 of each of these files under `root`, "" for one that cannot be read.

    Every byte is read: a file overwritten by another of the same size is another image, and its date may be the same.
    """
    found = []
    for span in chunks(len(paths), 1, report, "comparing images"):
        share = subrange(report, span.start / len(paths), span.stop / len(paths))
        try:
            found.append(file_sha256(root / paths[span.start], share, "comparing images"))
        except OSError:
            found.append("")
    return found


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
    """The images that come with Vitrine or with a package it needs, in the order in which to show them.

    Photos of a package whose installed version lacks them are left out.
    """
    found = []
    for row in json.loads((folder / "samples.json").read_text("utf-8")):
        place = _package(row["package"]) if "package" in row else folder
        if place and (place / row["file"]).is_file():
            facts = {key: row[key] for key in ("name", "alt", "model", "label")}
            found.append(Sample(**facts, path=place / row["file"], draw=row.get("draw", {})))
    return found


def _package(name: str) -> Path | None:
    """The folder of an installed package, without importing it."""
    spec = find_spec(name)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _images(folder: Path, left: Counter[str]) -> list[Path]:
    """The images of a class; what its folder holds beside them is counted."""
    if _leads_up(folder):
        left["links to a folder that they lie in"] += 1
        return []
    try:
        found, deeper = _listed(folder, left)
    except OSError as error:
        left[f"{folder.name}/, which cannot be opened: {error.strerror}"] += 1
        return []
    own = [one for one in deeper if not _leads_up(one)]
    left["links to a folder that they lie in"] += len(deeper) - len(own)
    left["pictures in folders within the sub-folders"] += sum(
        _pictures(names) for one in own for _, _, names in os.walk(one)
    )
    left["folders named like pictures"] += _pictures([one.name for one in own])
    return found


def _leads_up(path: Path) -> bool:
    """Whether a path is a link to a folder that it lies in."""
    return path.is_symlink() and path.parent.resolve().is_relative_to(path.resolve())


def _listed(folder: Path, left: Counter[str]) -> tuple[list[Path], list[Path]]:
    """The images and the folders in a folder by name, hidden ones apart; other pictures are counted."""
    files, folders = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            ending = Path(entry.name).suffix.lower()
            if entry.name.startswith("."):
                continue
            kind = _kind(entry)
            if kind == "folder":
                folders.append(folder / entry.name)
            elif ending in OTHERS:
                left[f"{ending} files, which cannot be read"] += 1
            elif ending in SUFFIXES and kind == "file":
                files.append(folder / entry.name)
            elif ending in SUFFIXES:
                left["pipes and devices named like pictures"] += 1
    return sorted(files), sorted(folders)


def _kind(entry: "os.DirEntry[str]") -> str:
    """Folder, file or other; a link that leads nowhere is a file, and whoever reads it will say what is wrong."""
    try:
        if entry.is_dir():
            return "folder"
        lost = entry.is_symlink() and not Path(entry.path).exists()
        return "file" if lost or entry.is_file() else "other"
    except OSError:
        return "file"


def _pictures(names: Sequence[str]) -> int:
    return sum(Path(name).suffix.lower() in SUFFIXES and not name.startswith(".") for name in names)


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
