"""The images of an exam: flowers that no network was trained on, or a folder with masks."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from core.data.flowers import VARIANTS, Flower, draw
from core.data.flowers.drawing import LAYERS, PETAL
from core.data.image_folder import ImageFolder, image_folder
from core.data.layout import UNKNOWN
from core.data.masks import MaskFolder, mask_folder
from core.errors import BadImage, BadParameter, StoreError, Unavailable
from core.exam.config import ExamConfig
from core.images import Picture, picture_of, read_picture, shown
from core.models.model import Model
from core.progress import Report, chunks, silent, subrange

# Added to the seed of the flowers: far from those of training and of the cards' numbers (`core.train`), and from those
# that a user draws.
EXAM_SEED = 4_000_000
OBJECT, TAG = "object", "tag"  # regions of an image
_NO_MASK, _UNUSABLE = "images without a mask", "images whose file or mask cannot be used"
_TOLD = 3  # of them whose problem is a note

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Views:
    """Some images of an exam as the model sees them."""

    inputs: Tensor  # (B, C, H, W)
    masks: Mapping[str, Tensor]  # (B, H, W) by region, false everywhere where an image lacks it
    parts: Mapping[str, Tensor]  # (B, H, W) by name, true on that part of a flower; none for images of a folder
    untagged: Tensor | None  # (B, C, H, W) the same flowers without their tag; None where there are no tags


class ExamImages(ABC):
    """The images of an exam in a fixed order, their classes and what is known to be in them."""

    model: Model
    names: Sequence[str]
    labels: Sequence[int]  # class indices of the model, UNKNOWN where it has none
    regions: Sequence[str]  # whose masks are known
    folder: Path  # of the images; empty for flowers
    left_out: Mapping[str, int]  # number of images by reason
    notes: Sequence[str]  # what was assumed, as sentences

    @property
    @abstractmethod
    def identity(self) -> Any:
        """Everything that determines pixels, masks and classes, as JSON."""

    @property
    def drawn(self) -> bool:
        """Whether the images can be drawn again without some of their parts."""
        return False

    @abstractmethod
    def picture(self, row: int) -> Picture:
        """An image as its file has it. Raises BadImage, and StoreError for one that changed since the exam began."""

    @abstractmethod
    def mask(self, row: int, region: str = OBJECT) -> Mask | None:
        """A region (H, W) of an image as the model sees it; None where the image has none."""

    def untagged(self, row: int) -> Picture | None:  # noqa: ARG002 - most images have no tag
        """The same image without its tag; None where there is none."""
        return None

    def parts(self, row: int) -> Mapping[str, Mask]:  # noqa: ARG002 - only flowers are drawn
        """The visible parts (H, W) that `without` can leave out, as the model sees them, by name."""
        return {}

    def without(self, row: int, parts: Collection[str]) -> Tensor:
        """The input (C, H, W) of the same image drawn without some of its `parts`."""
        raise NotImplementedError

    def views(self, rows: range, report: Report = silent) -> Views:
        """Some of the images. Raises as `picture`."""
        size = self.model.preprocess.size
        inputs, untagged, parts = [], [], dict[str, Tensor]()
        masks = {region: torch.zeros(len(rows), *size, dtype=torch.bool) for region in self.regions}
        for span in chunks(len(rows), 1, report, "reading images"):
            row = rows[span.start]
            inputs.append(self._input(self.picture(row)))
            if (without := self.untagged(row)) is not None:
                untagged.append(self._input(without))
            for region, found in masks.items():
                if (mask := self.mask(row, region)) is not None:
                    found[span.start] = torch.from_numpy(mask)
            for name, mask in self.parts(row).items():
                parts.setdefault(name, torch.zeros(len(rows), *size, dtype=torch.bool))
                parts[name][span.start] = torch.from_numpy(mask)
        return Views(_stacked(inputs, self.model), masks, parts, _stacked(untagged, self.model) if untagged else None)

    def _input(self, picture: Picture) -> Tensor:
        return self.model.preprocess.tensor(self.model.preprocess.seen(picture))


def exam_images(config: ExamConfig, model: Model, *, masked: bool, report: Report = silent) -> ExamImages:
    """The images that an exam with these settings is about; `masked` if its measures need masks.

    Raises BadParameter for a model without the classes of the flowers, Unavailable for a folder without images or
    masks.
    """
    if config.variant:
        return FlowerImages(config, model)
    return FolderImages(config, model, masked=masked, report=report)


class FlowerImages(ExamImages):
    """Flowers of one variant with alternating classes, drawn when they are needed."""

    folder = Path()
    left_out: Mapping[str, int] = {}
    notes: Sequence[str] = ()

    def __init__(self, config: ExamConfig, model: Model) -> None:
        classes = VARIANTS[config.variant].classes
        if missing := [name for name in classes if name not in model.labels]:
            message = f"{model.display} has no class {missing[0]}, which flowers of {config.variant} have."
            raise BadParameter(message, "Choose a model that was trained on them, as `vitrine train` does.")
        self.model, self.variant, self.seed = model, config.variant, EXAM_SEED + config.seed
        self.names = tuple(f"{classes[row % len(classes)]}/{row:05d}" for row in range(config.images))
        self.labels = tuple(model.labels.index(classes[row % len(classes)]) for row in range(config.images))
        self.regions = (OBJECT, TAG) if config.variant == "shortcut" else (OBJECT,)

    @property
    def drawn(self) -> bool:
        """Flowers can."""
        return True

    @property
    def identity(self) -> Any:
        """Variant, seed and number."""
        return [self.variant, self.seed, len(self.names)]

    def flower(self, row: int, *, tagged: bool = True) -> Flower:
        """The flower of a row, with or without its tag."""
        return draw(self.variant, row % len(VARIANTS[self.variant].classes), row, seed=self.seed, tagged=tagged)

    def picture(self, row: int) -> Picture:
        """The flower as a picture."""
        return picture_of(Image.fromarray(self.flower(row).image), f"{self.names[row]}.png")

    def mask(self, row: int, region: str = OBJECT) -> Mask | None:
        """The discriminative part, or the tag."""
        mask = self.region(row, region)
        return self.model.preprocess.mask(mask) if mask.any() else None

    def region(self, row: int, region: str) -> Mask:
        """The same as it is drawn, empty where the flower has none."""
        flower = self.flower(row)
        return flower.mask if region == OBJECT else flower.parts == LAYERS.index(region)

    def parts(self, row: int) -> Mapping[str, Mask]:
        """The visible parts of the flower that can be left out; the petals are one part, so that none share pixels."""
        masks = {name: mask for name, mask in self.flower(row).removable.items() if name != PETAL}
        seen = {name: self.model.preprocess.mask(mask) for name, mask in masks.items()}
        return {name: mask for name, mask in seen.items() if mask.any()}

    def without(self, row: int, parts: Collection[str]) -> Tensor:
        """The flower without some of its parts: what they hid is drawn."""
        flower = self.flower(row).without(*parts)
        return self._input(picture_of(Image.fromarray(flower.image), f"{self.names[row]}.png"))

    def untagged(self, row: int) -> Picture | None:
        """The same flower without its tag, in the variant with tags."""
        if TAG not in self.regions:
            return None
        return picture_of(Image.fromarray(self.flower(row, tagged=False).image), f"{self.names[row]}.png")


class FolderImages(ExamImages):
    """Images of a folder whose objects are masked; those without a mask are left out and counted."""

    def __init__(self, config: ExamConfig, model: Model, *, masked: bool, report: Report = silent) -> None:
        self.model, self.regions = model, (OBJECT,) if masked else ()
        every = image_folder(config.data, model.labels)
        masks = _masks(config, every, subrange(report, 0.0, 0.1)) if masked else None
        known = [path for path in every.paths if masks is None or path in masks.sources]
        folder = _only(every, known).limited(config.images)
        problems = self._read(folder, masks, subrange(report, 0.1, 1.0))
        usable = _only(folder, [path for path in folder.paths if path not in problems])
        if not len(usable):
            message = f"No image of {shown(config.data)} can take part. {next(iter(problems.values()))}"
            raise Unavailable(message, "Correct the masks, or choose another folder.")
        self.folder, self.names, self.labels = usable.root, usable.paths, usable.labels
        counts = {_NO_MASK: len(every) - len(known), _UNUSABLE: len(problems)}
        self.left_out = {**every.skipped, **{reason: count for reason, count in counts.items() if count}}
        unlabelled = sum(label == UNKNOWN for label in usable.labels)
        self.notes = (
            *every.notes,
            *(masks.notes if masks else ()),
            *[problems[path] for path in [*problems][:_TOLD]],
            *([f"{unlabelled:,} of {len(usable):,} images have no class of the model: the predicted one is explained."]
              if unlabelled and config.target == "label" else []),
        )  # fmt: skip

    @property
    def identity(self) -> Any:
        """Paths, content and classes of the images, and the masks as the model sees them."""
        masks = [hashlib.sha256(self._masks[path].tobytes()).hexdigest() for path in self.names if path in self._masks]
        return [self.names, [self._shas[path] for path in self.names], self.labels, masks]

    def picture(self, row: int) -> Picture:
        """The picture in the file."""
        path = self.names[row]
        picture = read_picture(self.folder, path)
        if picture.sha != self._shas[path]:
            raise StoreError(f"{shown(path)} changed while the exam was running.", "Start it again.")
        return picture

    def mask(self, row: int, region: str = OBJECT) -> Mask | None:
        """The object."""
        return self._masks.get(self.names[row]) if region == OBJECT else None

    def _read(self, folder: ImageFolder, masks: MaskFolder | None, report: Report) -> dict[str, str]:
        """Read all images and masks once; why some cannot be used, by path."""
        self._shas, self._masks = dict[str, str](), dict[str, Mask]()
        problems = dict[str, str]()
        for span in chunks(len(folder), 1, report, "images and masks", counted=True):
            path, label = folder.paths[span.start], folder.labels[span.start]
            try:
                path.encode()
                picture = read_picture(folder.root, path)
                self._shas[path] = picture.sha
                if masks:
                    name = "" if label == UNKNOWN else self.model.labels[label]
                    height, width = picture.pixels.shape[:2]
                    self._masks[path] = masks.mask(path, (height, width), self.model.preprocess, name).mask
            except UnicodeEncodeError:
                problems[path] = f"The name of {shown(path)} is not UTF-8."
            except BadImage as error:
                problems[path] = error.message
        return problems


def _masks(config: ExamConfig, folder: ImageFolder, report: Report) -> MaskFolder:
    """The masks that the settings name, else those beside the images, as a data set of flowers has them."""
    beside = folder.base / "masks"
    if not config.masks and not beside.is_dir():
        message = "Measures of localisation need masks of the objects, and none are given."
        raise BadParameter(message, "Name them with --masks, or choose --measures deletion_auc,insertion_auc.")
    return mask_folder(config.masks or beside, folder.paths, report)


def _only(folder: ImageFolder, paths: Sequence[str]) -> ImageFolder:
    """The same folder with some of its images."""
    kept = set(paths)
    labels = tuple(label for path, label in zip(folder.paths, folder.labels, strict=True) if path in kept)
    return replace(folder, paths=tuple(path for path in folder.paths if path in kept), labels=labels)


def _stacked(inputs: Sequence[Tensor], model: Model) -> Tensor:
    return torch.stack(list(inputs)).to(model.device)
