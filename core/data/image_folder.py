"""Folders of images, one sub-folder per class, with masks, concepts and boxes next to them if available."""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.data.labels import folder_classes, no_class
from core.errors import BadImage, Unavailable
from core.files import file_sha256
from core.images import shown
from core.params import expanded
from core.progress import Report, chunks, silent, subrange

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
# Image formats that are recognised but not read.
OTHERS = frozenset({
    ".heic", ".heif", ".avif", ".jxl", ".jp2", ".svg", ".psd", ".tga", ".ico", ".dng", ".raw", ".cr2", ".cr3", ".nef",
    ".arw",
})  # fmt: skip

UNKNOWN = -1

Mask = NDArray[np.bool_]  # (H, W)
Box = tuple[int, int, int, int]  # top, left, height, width in pixels of the file


@dataclass(frozen=True)
class ImageFolder:
    """The images of a folder in a fixed order, by sub-folder and then by name, and their annotations."""

    base: Path  # contains `images`, `masks`, `concepts` and `boxes.json`, or equals root
    root: Path  # the paths are relative to it
    paths: tuple[str, ...]  # with forward slashes
    folders: tuple[str, ...]  # names of the sub-folders; empty for images outside any
    labels: tuple[int, ...]  # by sub-folder; after `matched` class indices of a model, UNKNOWN where it has none
    unmatched: Mapping[str, str] = field(default_factory=dict)  # sub-folders that match no class, with the reason
    skipped: Mapping[str, int] = field(default_factory=dict)  # number of images skipped for each reason

    def __len__(self) -> int:
        return len(self.paths)

    def matched(self, labels: Sequence[str]) -> "ImageFolder":
        """A copy whose sub-folders are matched with the classes of a model with these labels."""
        classes, unmatched = folder_classes(self.folders, labels)
        by_number = [classes.get(name, UNKNOWN) for name in self.folders]
        indices = tuple(by_number[number] if number != UNKNOWN else UNKNOWN for number in self.labels)
        return replace(self, labels=indices, unmatched=unmatched)

    @property
    def misfits(self) -> tuple[str, ...]:
        """Reasons why sub-folders match no class, other than that the model has none of their name."""
        return tuple(dict.fromkeys(why for name, why in self.unmatched.items() if why != no_class(name)))

    def limited(self, limit: int) -> "ImageFolder":
        """A copy with at most `limit` images, as evenly from all sub-folders as possible; 0 for all."""
        chosen = _spread(self.labels, limit) if limit else range(len(self))
        paths = tuple(self.paths[index] for index in chosen)
        return replace(self, paths=paths, labels=tuple(self.labels[index] for index in chosen))

    def mask(self, index: int) -> Mask | None:
        """The mask of an image's discriminative part, from the same path under `masks`; None where there is none.

        Only the suffix may differ from the image's. Raises BadImage if a file cannot be read.
        """
        path = _beside(self.base / "masks" / self.paths[index])
        return None if path is None else np.asarray(_opened(path).convert("L")) > 127

    def concepts(self, index: int) -> dict[str, Mask]:
        """The masks of the concepts visible in an image by name, such as "petals" or "red"; empty if none are known.

        Raises BadImage if a file cannot be read.
        """
        masks = dict[str, Mask]()
        for kind in ("parts", "colours"):
            path = _beside(self.base / "concepts" / kind / self.paths[index])
            if path is not None:
                values, names = np.asarray(_opened(path)), self.manifest()[kind]
                masks |= {names[int(value)]: values == value for value in np.unique(values)}
        return {name: where for name, where in masks.items() if name != "none"}

    def boxes(self, index: int) -> tuple[Box, ...]:
        """The bounding boxes of an image's object, from `boxes.json`, else from its mask; else none.

        The file maps paths to lists of [top, left, height, width]. Raises Unavailable if its content differs.
        """
        path = self.base / "boxes.json"
        stored = _json(path).get(self.paths[index])
        if stored is not None:
            if isinstance(stored, list) and all(_is_box(box) for box in stored):
                return tuple((box[0], box[1], box[2], box[3]) for box in stored)
            message = f"{path} holds no boxes for {self.paths[index]}."
            raise Unavailable(message, "Write a list of [top, left, height, width] in pixels.")
        mask = self.mask(index)
        if mask is None or not mask.any():
            return ()
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        top, left = int(rows[0]), int(columns[0])
        return ((top, left, int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left),)

    def manifest(self) -> dict[str, Any]:
        """The description that `flowers.write` leaves in a data set; empty for other folders."""
        return _json(self.base / "manifest.json")


def image_folder(root: str | Path, labels: Sequence[str], limit: int = 0) -> ImageFolder:
    """The images of a folder as `scan` finds them, with their classes for a model with these `labels`.

    With a `limit`, at most that many images, as evenly from all sub-folders as possible. Raises as `scan`.
    """
    return scan(Path(root)).limited(limit).matched(labels)


def scan(root: Path) -> ImageFolder:
    """The images under `root`: one sub-folder per class (also inside a folder `images`), or files in `root` itself.

    Broken links are included, so that reading them reports an error. Other skipped images are counted. Raises
    Unavailable if there is no such folder or no image in it.
    """
    root = expanded(root)
    skipped: Counter[str] = Counter()
    try:
        images = root / "images" if (root / "images").is_dir() else root
        loose, folders = _listed(images, skipped)
    except (OSError, ValueError) as error:  # a path with a zero byte is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise Unavailable(f"{shown(str(root))} cannot be opened as a folder ({reason}).", "Check the path.") from None
    pairs = [(path, number) for number, folder in enumerate(folders) for path in _images(folder, skipped)]
    names = tuple(folder.name for folder in folders)
    if pairs:
        skipped["pictures beside the sub-folders"] += len(loose)
    else:
        names, pairs = (), [(path, UNKNOWN) for path in loose]
    reasons = {reason: skipped[reason] for reason in sorted(skipped) if skipped[reason]}
    if not pairs:
        listed = "".join(f" Left out: {reason} ({count:,})." for reason, count in reasons.items())
        message = f"There is no image in {root}.{listed}"
        raise Unavailable(message, "Name a folder with one sub-folder of images per class.")
    paths = tuple(path.relative_to(images).as_posix() for path, _ in pairs)
    return ImageFolder(root, images, paths, names, tuple(number for _, number in pairs), {}, reasons)


def contents(root: Path, paths: Sequence[str], report: Report = silent) -> list[str]:
    """The sha256 of each of these files under `root`, "" for one that cannot be read.

    Reads every byte: a file overwritten by another of the same size is another image, and its date may be the same.
    """
    hashes = []
    for span in chunks(len(paths), 1, report, "comparing images"):
        span_report = subrange(report, span.start / len(paths), span.stop / len(paths))
        try:
            hashes.append(file_sha256(root / paths[span.start], span_report, "comparing images"))
        except OSError:
            hashes.append("")
    return hashes


def _spread(labels: Sequence[int], limit: int) -> list[int]:
    """Choose the first image of every sub-folder, then the second, and so on up to `limit`; returned in order."""
    seen: dict[int, int] = {}
    order = []
    for index, label in enumerate(labels):
        rank = seen[label] = seen.get(label, -1) + 1
        order.append((rank, index))
    return sorted(index for _, index in sorted(order)[:limit])


def _json(path: Path) -> dict[str, Any]:
    """The content of a JSON file that describes the images; empty if there is none."""
    try:
        content = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise Unavailable(f"{path} cannot be read ({error}).", "Write the data set again.") from None
    return content if isinstance(content, dict) else {}


def _is_box(box: object) -> bool:
    return isinstance(box, list) and len(box) == 4 and all(type(side) is int and side >= 0 for side in box)


def _images(folder: Path, skipped: Counter[str]) -> list[Path]:
    """The images of a class; other images in its folder are counted in `skipped`."""
    if _leads_up(folder):
        skipped["links to a folder that they lie in"] += 1
        return []
    try:
        images, deeper = _listed(folder, skipped)
    except OSError as error:
        skipped[f"{folder.name}/, which cannot be opened: {error.strerror}"] += 1
        return []
    folders = [one for one in deeper if not _leads_up(one)]
    skipped["links to a folder that they lie in"] += len(deeper) - len(folders)
    skipped["pictures in folders within the sub-folders"] += sum(
        _pictures(names) for one in folders for _, _, names in os.walk(one)
    )
    skipped["folders named like pictures"] += _pictures([one.name for one in folders])
    return images


def _leads_up(path: Path) -> bool:
    """Whether a path is a link to a folder that it lies in."""
    return path.is_symlink() and path.parent.resolve().is_relative_to(path.resolve())


def _listed(folder: Path, skipped: Counter[str]) -> tuple[list[Path], list[Path]]:
    """The images and folders in a folder by name, except hidden ones; other image formats are counted."""
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
                skipped[f"{ending} files, which cannot be read"] += 1
            elif ending in SUFFIXES and kind == "file":
                files.append(folder / entry.name)
            elif ending in SUFFIXES:
                skipped["pipes and devices named like pictures"] += 1
    return sorted(files), sorted(folders)


def _kind(entry: "os.DirEntry[str]") -> str:
    """Folder, file or other; a broken link is a file, so that reading it reports the error."""
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
    """`path`, or a file of the same name with another image suffix."""
    candidates = (path, *(path.with_suffix(suffix) for suffix in sorted(SUFFIXES)))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _opened(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except (OSError, Image.DecompressionBombError) as error:
        raise BadImage(f"{path} cannot be read as an image ({error}).", "Replace the file.") from None
