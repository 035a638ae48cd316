"""Single images of a finished exam: the picture, the mask, and the class that was explained."""

import os
from dataclasses import dataclass
from pathlib import Path

from core.data.image_folder import image_folder
from core.data.layout import UNKNOWN
from core.data.masks import mask_folder
from core.errors import VitrineError
from core.exam import Exam
from core.exam.images import OBJECT, FlowerImages, Mask
from core.images import Picture, Preprocess, read_picture
from core.models.model import Model


@dataclass(frozen=True)
class Case:
    """An image of an exam, as its methods explained it."""

    picture: Picture
    mask: Mask | None  # (H, W) of the object as the model sees it; None if it has none
    target: int  # the class that was explained


def case(exam: Exam, row: int, model: Model, region: str = OBJECT) -> Case:
    """The image of a row of table `images`, with the mask of its object, or of its tag.

    Raises BadImage for a file that cannot be read any more; a mask that cannot is None.
    """
    target = int(exam.images["target"].iloc[row])
    if exam.config.variant:
        flowers = FlowerImages(exam.config, model)
        return Case(flowers.picture(row), flowers.mask(row, region) if region in flowers.regions else None, target)
    picture = read_picture(folder(exam), str(exam.images["name"].iloc[row]))
    return Case(picture, _mask(exam, row, model, picture, model.preprocess) if region == OBJECT else None, target)


def whole_mask(exam: Exam, row: int, model: Model, case: Case, region: str = OBJECT) -> Mask | None:
    """The mask (H, W) of the object, or of its tag, in all of the picture of a case; None if it has none."""
    picture = case.picture
    if exam.config.variant:
        flowers = FlowerImages(exam.config, model)
        mask = flowers.region(row, region) if region in flowers.regions else None
        return mask if mask is not None and mask.any() else None
    size = (picture.pixels.shape[0], picture.pixels.shape[1])
    return _mask(exam, row, model, picture, Preprocess(crop=size, resize=size)) if region == OBJECT else None


def _mask(exam: Exam, row: int, model: Model, picture: Picture, preprocess: Preprocess) -> Mask | None:
    """The object of an image of a folder, as it is after preprocessing; None if its mask cannot be read."""
    path, label = str(exam.images["name"].iloc[row]), int(exam.images["label"].iloc[row])
    try:
        masks = exam.config.masks or image_folder(exam.config.data, model.labels).base / "masks"
        name = "" if label == UNKNOWN else model.labels[label]
        size = (picture.pixels.shape[0], picture.pixels.shape[1])
        return mask_folder(masks, [path]).mask(path, size, preprocess, name).mask
    except VitrineError:
        return None


def folder(exam: Exam) -> Path:
    """The folder of the exam's images, for an exam about a folder."""
    return Path(os.path.normpath(exam.path.resolve() / exam.manifest.data.folder))
