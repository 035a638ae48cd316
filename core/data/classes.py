"""Folders of images whose names are matched to a model's classes: by label, WordNet id or index."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.data.folders import scan
from core.resources import ASSETS

WORDNET = ASSETS / "imagenet_wordnet_ids.txt"
UNKNOWN = -1


@dataclass(frozen=True)
class ImageFolder:
    """The images of a folder in a fixed order, with the class of the model that each one's sub-folder names."""

    root: Path
    paths: tuple[str, ...]  # within the root, with forward slashes
    labels: tuple[int, ...]  # class indices of the model; UNKNOWN where the sub-folder names none
    strange: tuple[str, ...]  # sub-folders that name no class of the model
    left: Mapping[str, int] = field(default_factory=dict)  # how many pictures were left out for which reason


def image_folder(root: str | Path, labels: Sequence[str], limit: int = 0) -> ImageFolder:
    """The images of a folder as `scan` finds them, for a model with these `labels`.

    With a `limit`, that many images, as evenly from all sub-folders as they allow. Raises Unavailable where the folder
    is missing or holds no image.
    """
    folder = scan(Path(root))
    means = [class_of(name, labels) for name in folder.classes]
    chosen = _spread(folder.labels, limit) if limit else range(len(folder))
    return ImageFolder(
        folder.images,
        tuple(folder.name(index) for index in chosen),
        tuple(means[folder.labels[index]] if folder.classes else UNKNOWN for index in chosen),
        tuple(name for name, label in zip(folder.classes, means, strict=True) if label == UNKNOWN),
        folder.left,
    )


def class_of(name: str, labels: Sequence[str]) -> int:
    """The class a sub-folder means: a label, the WordNet id of an ImageNet class, or an index.

    UNKNOWN for anything else, and for a label that two classes share.
    """
    same = [index for index, label in enumerate(labels) if _plain(label) == _plain(name)]
    if same:
        return same[0] if len(same) == 1 else UNKNOWN
    if re.fullmatch(r"n\d{8}", name):
        known = WORDNET.read_text("ascii").split()  # in the order of the classes
        return known.index(name) if len(known) == len(labels) and name in known else UNKNOWN
    return int(name) if re.fullmatch(r"\d{1,6}", name) and int(name) < len(labels) else UNKNOWN


def _plain(label: str) -> str:
    return re.sub(r"[\s_-]+", " ", label).strip().casefold()


def _spread(labels: Sequence[int], limit: int) -> list[int]:
    """The first image of every class, then the second of every one, and so on up to `limit`; in order again."""
    seen: dict[int, int] = {}
    order = []
    for index, label in enumerate(labels):
        rank = seen[label] = seen.get(label, -1) + 1
        order.append((rank, index))
    return sorted(index for _, index in sorted(order)[:limit])
