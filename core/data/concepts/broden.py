"""Broden's published layout: images and label maps listed in `index.csv`, their labels in `label.csv`.

index.csv has a row per image: image (its path under `images`), split, ih, iw, sh, sw, and a column for each category
(color, object, part, material, scene, texture). A cell holds, with semicolons between them, paths of label maps under
`images`, and numbers of labels that hold for the whole image. The label of a pixel is R + 256·G; 0 is none. A map may
be smaller than its image. label.csv has the columns number, name and category, such as "color(289);object(3)": a label
is a concept of each category that is named there. Other columns and files are not read.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from core.data.concepts.concept import Concept
from core.data.concepts.tables import table_rows
from core.data.image_folder import ImageFolder
from core.data.layout import UNKNOWN
from core.data.masks.pictures import Mask, stored_image
from core.errors import BadImage, Unavailable
from core.images import shown
from core.params import whole

_NO_CATEGORY = frozenset({"image", "split", "ih", "iw", "sh", "sw"})
_FORMAT = "Give the layout in which Broden is published: index.csv, label.csv and the folder images."


def is_broden(root: Path) -> bool:
    """Whether a folder is in this layout."""
    return (root / "index.csv").is_file() and (root / "label.csv").is_file()


def broden(root: Path) -> tuple[ImageFolder, tuple[Concept, ...], Callable[[str], Mapping[int, Mask]]]:
    """Images, concepts, and what reads the masks of an image. Raises Unavailable for tables of another form."""
    rows, labels = table_rows(root / "index.csv"), table_rows(root / "label.csv")
    if not rows or not {"image", "split"} <= rows[0].keys() or not rows[0].keys() - _NO_CATEGORY:
        raise Unavailable(f"{shown(str(root / 'index.csv'))} does not list images with their label maps.", _FORMAT)
    categories = [name for name in rows[0] if name not in _NO_CATEGORY]
    numbers: dict[tuple[int, str], int] = {}  # label and category -> number of the concept
    concepts: list[Concept] = []
    for label in labels:
        number = whole(label.get("number", ""))
        for category in re.findall(r"[^;()]+", re.sub(r"\(\d*\)", "", label.get("category", ""))):
            if number and category in categories and (number, category) not in numbers:
                numbers[number, category] = len(concepts)
                concepts.append(Concept(label.get("name", str(number)), category))
    if not concepts:
        raise Unavailable(f"{shown(str(root / 'label.csv'))} names no label of a category of index.csv.", _FORMAT)
    cells = {
        row["image"]: {category: row[category].split(";") for category in categories if row.get(category)}
        for row in rows
    }
    paths = tuple(sorted(cells))
    images = ImageFolder(root, root / "images", paths, (), (UNKNOWN,) * len(paths))
    for path in paths:
        _below(images.root, path)
    return images, tuple(concepts), partial(_masks, images.root, cells, numbers)


def _masks(
    root: Path, cells: Mapping[str, Mapping[str, list[str]]], numbers: Mapping[tuple[int, str], int], path: str
) -> dict[int, Mask]:
    """The masks of an image by number of the concept; those of a whole image have one pixel."""
    found: dict[int, Mask] = {}
    for category, entries in cells[path].items():
        for entry in filter(None, entries):
            values = np.array([[int(entry)]]) if whole(entry) is not None else _label_map(_below(root, entry))
            for value in np.unique(values).tolist():
                number = numbers.get((value, category))
                if number is not None:
                    mask = values == value
                    before = found.get(number)
                    same = before is not None and before.shape == mask.shape
                    found[number] = before | mask if same and before is not None else mask
    return found


def _label_map(path: Path) -> "np.ndarray[tuple[int, int], np.dtype[np.int64]]":
    """The label of each pixel, red + 256 · green."""
    values = np.asarray(stored_image(path))
    if values.ndim != 3 or values.shape[2] < 2 or values.dtype != np.uint8:
        message = f"{shown(str(path))} is not a label map with red and green."
        raise BadImage(message, "Write label R + 256·G into each pixel of a PNG in RGB.")
    return values[..., 0].astype(np.int64) + 256 * values[..., 1].astype(np.int64)


def _below(root: Path, name: str) -> Path:
    """The file of this path under `root`; Unavailable for a path that leads out of it."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise Unavailable(f"index.csv names {shown(name)!r}, which is no file in its folder images.", _FORMAT)
    return root / path
