"""Folders of images, one sub-folder per class, with masks, concepts and boxes next to them if available."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.data.labels import folder_classes, no_class
from core.data.layout import UNKNOWN, layout
from core.data.listing import SUFFIXES, LeftOut
from core.data.masks.pictures import Mask, stored_image
from core.environment import limit
from core.errors import BadImage, Unavailable
from core.files import file_sha256, read_json
from core.images import shown
from core.params import expanded
from core.progress import Report, chunks, silent, subrange

Box = tuple[int, int, int, int]  # top, left, height, width in pixels of the file


@dataclass(frozen=True)
class ImageFolder:
    """The images of a folder in a fixed order, by class folder and then by name, and their annotations."""

    base: Path  # contains `images`, `masks`, `concepts` and `boxes.json`, or equals root
    root: Path  # the paths are relative to it
    paths: tuple[str, ...]  # with forward slashes
    folders: tuple[str, ...]  # names of the sub-folders; empty for images outside any
    labels: tuple[int, ...]  # by sub-folder; after `matched` class indices of a model, UNKNOWN where it has none
    unmatched: Mapping[str, str] = field(default_factory=dict)  # sub-folders that match no class, with the reason
    skipped: Mapping[str, int] = field(default_factory=dict)  # number of files left out for each reason
    notes: tuple[str, ...] = ()  # what was assumed about the folder, as sentences

    def __len__(self) -> int:
        return len(self.paths)

    def matched(self, labels: Sequence[str]) -> "ImageFolder":
        """A copy whose sub-folders are matched with the classes of a model with these labels."""
        classes, unmatched = folder_classes(self.folders, labels)
        by_number = [classes.get(name, UNKNOWN) for name in self.folders]
        indices = tuple(by_number[number] if number != UNKNOWN else UNKNOWN for number in self.labels)
        # Reasons that say more than that the model has no class of this name.
        notes = dict.fromkeys(why for name, why in unmatched.items() if why != no_class(name))
        return replace(self, labels=indices, unmatched=unmatched, notes=(*self.notes, *notes))

    def limited(self, limit: int) -> "ImageFolder":
        """A copy with at most `limit` images, as evenly from all sub-folders as possible; 0 for all."""
        chosen = _spread(self.labels, limit) if limit else range(len(self))
        paths = tuple(self.paths[index] for index in chosen)
        return replace(self, paths=paths, labels=tuple(self.labels[index] for index in chosen))

    def mask(self, index: int) -> Mask | None:
        """The mask of an image's discriminative part, from the same path under `masks`; None where there is none.

        Only the suffix may differ from the image's. Raises BadImage if a file cannot be read.
        """
        path = beside(self.base / "masks" / self.paths[index])
        return None if path is None else np.asarray(stored_image(path).convert("L")) > 127

    def concepts(self, index: int) -> dict[str, Mask]:
        """The masks of the concepts visible in an image by name, such as "petals" or "red"; empty if none are known.

        Raises BadImage if a file cannot be read.
        """
        masks = dict[str, Mask]()
        for kind in ("parts", "colours"):
            path = beside(self.base / "concepts" / kind / self.paths[index])
            if path is not None:
                values, names = np.asarray(stored_image(path)), self.manifest().get(kind)
                numbers = np.unique(values)
                if values.ndim != 2 or not isinstance(names, list) or numbers[-1] >= len(names):
                    message = f"{shown(str(path))} holds other concepts than manifest.json names."
                    raise BadImage(message, "Write the data set again.")
                masks |= {str(names[int(value)]): values == value for value in numbers}
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
            message = f"{shown(str(path))} holds no boxes for {shown(self.paths[index])}."
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


def scan(root: Path, report: Report = silent) -> ImageFolder:
    """The images under `root`, a folder or zip archive: one sub-folder per class, a table of labels, or loose files.

    `layout` says where class folders may lie. What is an image is decided by content; what is left out is counted.
    Broken links are included, so that reading them reports an error. Raises Unavailable if there is no such folder or
    no image in it, BadParameter if it holds several sets of class folders.
    """
    root = expanded(root)
    left_out = LeftOut(report)
    try:
        found = layout(root, left_out, report)
    except (OSError, ValueError) as error:  # a path with a zero byte is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise Unavailable(f"{shown(str(root))} cannot be opened as a folder ({reason}).", "Check the path.") from None
    reasons = left_out.reasons()
    if not found.images:
        listed = "".join(f" Left out: {reason}: {count:,}." for reason, count in [*reasons.items()][:5])
        message = f"There is no image in {shown(str(root))}.{listed}"
        raise Unavailable(message, "Name a folder with one sub-folder of images per class.")
    paths = tuple(path.relative_to(found.root).as_posix() for path, _ in found.images)
    labels = tuple(number for _, number in found.images)
    return ImageFolder(found.base, found.root, paths, found.names, labels, {}, reasons, tuple(found.notes))


def contents(root: Path, paths: Sequence[str], report: Report = silent) -> list[str]:
    """The sha256 of each of these files under `root`, "" for one that cannot be read, or is over the limit of images.

    Reads every byte: a file overwritten by another of the same size is another image, and its date may be the same.
    """
    hashes = []
    for span in chunks(len(paths), 1, report, "comparing images"):
        span_report = subrange(report, span.start / len(paths), span.stop / len(paths))
        try:
            hashes.append(file_sha256(root / paths[span.start], span_report, "comparing images", limit("image")))
        except (OSError, ValueError):
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
        content = read_json(path, limit("text")) if path.exists() else {}
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)[:100]
        raise Unavailable(f"{shown(str(path))} cannot be read ({reason}).", "Write the data set again.") from None
    return content if isinstance(content, dict) else {}


def _is_box(box: object) -> bool:
    return isinstance(box, list) and len(box) == 4 and all(type(side) is int and side >= 0 for side in box)


def beside(path: Path) -> Path | None:
    """`path`, or a file of the same name with another image suffix."""
    candidates = (path, *(path.with_suffix(suffix) for suffix in sorted(SUFFIXES)))
    return next((candidate for candidate in candidates if candidate.is_file()), None)
