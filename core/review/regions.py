"""Regions of images: the same box in all of them, or the object in each by its mask."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.data.layout import UNKNOWN
from core.data.masks import MaskFolder, mask_folder
from core.data.masks.annotations import Size
from core.data.masks.pictures import Mask
from core.errors import BadParameter, VitrineError
from core.models.model import Model
from core.progress import Report, silent
from core.review.source import Source

# The region (h, w) of an image as the model sees it, by its number and the size (H, W) of its picture; None for none.
Region = Callable[[int, Size], Mask | None]


def box_mask(left: float, top: float, width: float, height: float, size: Size) -> Mask:
    """The mask (H, W) of a box in fractions of the model's view of this height and width, of one pixel at least.

    Raises BadParameter for a box outside the image.
    """
    if not (0 <= left < left + width <= 1 + 1e-9 and 0 <= top < top + height <= 1 + 1e-9):
        message = f"The box {left:g},{top:g},{width:g},{height:g} does not lie inside the image."
        raise BadParameter(message, "Give left, top, width and height as fractions from 0 to 1.")
    mask = np.zeros(size, bool)
    rows, columns = (
        slice(round(start * side), max(round(start * side) + 1, round((start + length) * side)))
        for start, length, side in ((top, height, size[0]), (left, width, size[1]))
    )
    mask[rows, columns] = True
    return mask


def box_region(left: float, top: float, width: float, height: float, size: Size) -> Region:
    """The same box in every image. Raises as `box_mask`."""
    mask = box_mask(left, top, width, height, size)
    return lambda image, picture: mask


@dataclass(frozen=True)
class Objects:
    """The objects in a source's images by their masks, each read when it is asked for: a `Region`."""

    source: Source
    model: Model
    masks: MaskFolder

    def __call__(self, image: int, size: Size) -> Mask | None:
        """The object (h, w) as the model sees it; None without a mask that can be read and fits."""
        label = self.source.labels[image]
        name = "" if label == UNKNOWN else self.model.labels[label]
        try:
            return self.masks.mask(self.source.paths[image], size, self.model.preprocess, name).mask
        except VitrineError:
            return None

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known to read what depends on them, as sentences."""
        missing = self.masks.missing
        count = (
            f"{len(missing):,} of {len(self.source):,} images have no mask, such as: {next(iter(missing.values()), '')}"
        )
        return (*self.masks.notes, *([count] if missing else []))


def objects(source: Source, model: Model, masks: str | Path, report: Report = silent) -> Objects:
    """The objects by the masks in a folder or COCO file. Raises Unavailable if it has none of these images."""
    return Objects(source, model, mask_folder(masks, source.paths, report))


def masks_beside(source: Source) -> Path | None:
    """The folder `masks` beside the folder `images` of a source, as data sets of flowers have it; None without it."""
    masks = source.root.parent / "masks"
    return masks if source.root.name == "images" and masks.is_dir() else None
