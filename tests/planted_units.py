"""A network whose filters are made by hand, and images in which what they respond to lies at known places.

Images are nearly black, with faint noise. Image k shows the concept `CONCEPTS[k % 5]` once, or nothing. Unit k of layer
`conv`, and of `deep` at half its resolution, responds to concept k:

    red, blue   a filled square of that colour: every pixel of it
    edge        the left edge of a white bar: its column, without two pixels at each end
    cross       a white cross of one pixel's width: its centre
    dead        nothing, ever
    random      whatever its random weights match

The class of an image is its concept, and its logit the mean of that unit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from core.data.concepts import Concept
from core.images import Preprocess
from core.models.model import Model, as_model

SIDE = 32
UNITS = ("red", "blue", "edge", "cross", "dead", "random")
CONCEPTS = ("red", "blue", "edge", "cross", "nothing")
CATEGORIES = {"red": "colour", "blue": "colour", "edge": "object", "cross": "object"}  # of the concepts with masks
LAYERS = ("relu", "deep")  # the first has the resolution of the images, the second half of it

_CROSS = np.zeros((5, 5), bool)
_CROSS[2], _CROSS[:, 2] = True, True


class PlantedNet(nn.Module):
    """One convolution with the planted filters, pooling, a copy of its units, and one class per unit."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, len(UNITS), 5, padding=2)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.copy = nn.Conv2d(len(UNITS), len(UNITS), 3, padding=1, bias=False)
        self.deep = nn.ReLU()
        self.fc = nn.Linear(len(UNITS), len(UNITS), bias=False)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()
            weight, bias = self.conv.weight, self.conv.bias
            weight[0, :, 2, 2], bias[0] = torch.tensor([1.0, -1, -1]), -0.5
            weight[1, :, 2, 2], bias[1] = torch.tensor([-1.0, -1, 1]), -0.5
            weight[2, :, :, 1], weight[2, :, :, 2], bias[2] = -1 / 15, 1 / 15, -0.8
            cross = torch.from_numpy(np.where(_CROSS, 1 / 9, -1 / 16) / 3).float()
            weight[3], bias[3] = cross.expand(3, 5, 5), -0.8
            bias[4] = -1
            weight[5] = torch.randn(3, 5, 5, generator=torch.Generator().manual_seed(0)) / 5
            self.copy.weight[range(len(UNITS)), range(len(UNITS)), 1, 1] = 1
            self.fc.weight.copy_(100 * torch.eye(len(UNITS)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.conv(x)))
        return self.fc(self.deep(self.copy(x)).mean((2, 3)))


@dataclass(frozen=True)
class PlantedImages:
    """Images with what they show: the same for the same number and seed, and the first ones for any number."""

    pixels: NDArray[np.uint8]  # (N, SIDE, SIDE, 3)
    shown: tuple[str, ...]  # the concept of each
    masks: Mapping[str, NDArray[np.bool_]]  # (N, SIDE, SIDE) of each of CATEGORIES
    centres: NDArray[np.int64]  # (N, 2) row and column of the concept's middle, of an edge its middle; -1 for nothing

    @property
    def inputs(self) -> Tensor:
        """The images as the network takes them."""
        return torch.from_numpy(self.pixels).permute(0, 3, 1, 2).float() / 255

    @property
    def labels(self) -> list[int]:
        """The class of each image; -1 for nothing."""
        return [UNITS.index(name) if name in UNITS else -1 for name in self.shown]

    def image_set(self) -> "PlantedSet":
        """The images as analyses take them."""
        return PlantedSet(self)

    def write(self, folder: Path, *, masks: bool = True) -> Path:
        """Write `images/CONCEPT/NUMBER.png`, and the masks under `masks/CONCEPT/CONCEPT/NUMBER.png` beside them."""
        for number, (name, pixels) in enumerate(zip(self.shown, self.pixels, strict=True)):
            _save(folder / "images" / name / f"{number:05d}.png", pixels)
            for concept, mask in self.masks.items() if masks else ():
                if mask[number].any():
                    _save(folder / "masks" / concept / name / f"{number:05d}.png", np.uint8(255) * mask[number])
        return folder

    def write_broden(self, folder: Path) -> Path:
        """Write the layout in which Broden is published: colours and objects as PNG, the number in R + 256·G."""
        numbers = {name: 1 + 300 * k for k, name in enumerate(CATEGORIES)}  # some need the second channel
        rows = ["image,split,ih,iw,sh,sw,color,object,part"]
        for number, pixels in enumerate(self.pixels):
            _save(folder / "images" / f"{number:05d}.png", pixels)
            files = []
            for category in ("colour", "object"):
                names = [name for name, own in CATEGORIES.items() if own == category]
                values = sum(numbers[name] * self.masks[name][number].astype(int) for name in names)
                files.append(f"{number:05d}_{category}.png" if np.any(values) else "")
                if files[-1]:
                    channels = np.stack([values % 256, values // 256, 0 * values], -1).astype(np.uint8)
                    _save(folder / "images" / files[-1], channels)
            rows.append(f"{number:05d}.png,train,{SIDE},{SIDE},{SIDE},{SIDE},{','.join(files)},")
        (folder / "index.csv").write_text("\n".join(rows) + "\n", "utf-8")
        labels = [f"{numbers[name]},{name},{CATEGORIES[name].replace('colour', 'color')}(9)" for name in CATEGORIES]
        (folder / "label.csv").write_text("\n".join(["number,name,category", *labels]) + "\n", "utf-8")
        return folder


@dataclass(frozen=True)
class InMemory:
    """Network inputs (N, C, H, W), their classes if these are known, and masks (N, H, W) of concepts."""

    inputs: Tensor
    classes: Sequence[int] = ()
    given: Mapping[Concept, NDArray[np.bool_]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [f"{number}.png" for number in range(len(self.inputs))]

    @property
    def labels(self) -> list[int]:
        return [*self.classes] or [-1] * len(self.inputs)

    @property
    def concepts(self) -> tuple[Concept, ...]:
        return tuple(self.given)

    def input(self, row: int) -> Tensor:
        return self.inputs[row]

    def masks(self, row: int) -> dict[int, NDArray[np.bool_]]:
        return {number: mask[row] for number, mask in enumerate(self.given.values()) if mask[row].any()}


@dataclass(frozen=True)
class PlantedSet:
    """The images as an `ImageSet` of analyses, with the masks of their concepts."""

    images: PlantedImages
    concepts: tuple[Concept, ...] = tuple(Concept(name, category) for name, category in CATEGORIES.items())

    @property
    def names(self) -> list[str]:
        return [f"{number:05d}" for number in range(len(self.images.pixels))]

    @property
    def labels(self) -> list[int]:
        return self.images.labels

    def input(self, row: int) -> Tensor:
        return torch.from_numpy(self.images.pixels[row]).permute(2, 0, 1).float() / 255

    def masks(self, row: int) -> dict[int, NDArray[np.bool_]]:
        masks = {number: self.images.masks[one.name][row] for number, one in enumerate(self.concepts)}
        return {number: mask for number, mask in masks.items() if mask.any()}


def planted_model() -> Model:
    """The network as the model the core works with; pixels are its inputs as they are."""
    preprocess = Preprocess(crop=SIDE, resize=SIDE, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return as_model("planted", PlantedNet(), labels=UNITS, preprocess=preprocess)


def planted_images(count: int = 20, seed: int = 0) -> PlantedImages:
    """The images 0 … count - 1."""
    pixels = np.zeros((count, SIDE, SIDE, 3), np.uint8)
    masks = {name: np.zeros((count, SIDE, SIDE), bool) for name in CATEGORIES}
    centres = np.full((count, 2), -1)
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        name = CONCEPTS[number % len(CONCEPTS)]
        image = rng.integers(0, 8, (SIDE, SIDE, 3)).astype(np.uint8)
        row, column = (int(value) for value in rng.integers(7, SIDE - 7, 2))
        around = slice(row - 2, row + 3), slice(column - 2, column + 3)
        if name in ("red", "blue"):
            image[(*around, 0 if name == "red" else 2)] += np.uint8(240)
            masks[name][number][around] = True
        elif name == "edge":
            image[row - 4 : row + 5, column : column + 4] = 255
            masks[name][number, row - 4 : row + 5, column] = True
        elif name == "cross":
            image[around][_CROSS] = 255
            masks[name][number][around] = _CROSS
        if name != "nothing":
            centres[number] = row, column
        pixels[number] = image
    return PlantedImages(pixels, tuple(CONCEPTS[k % len(CONCEPTS)] for k in range(count)), masks, centres)


def _save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
