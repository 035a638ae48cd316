"""Preprocessing: from pixels to network inputs and back, and maps resized to an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from core.data.model_options import ModelOptions
from core.errors import BadParameter
from core.images.depth import Pixels, Values
from core.params import finite, spelled

MAX_RATIO = 16  # of the sides: longer strips are cropped to their middle, or a 1 × 50,000 image would fill the memory


@dataclass(frozen=True)
class Preprocess:
    """The preprocessing of a network: shorter side to `resize`, centre `crop`, mean and standard deviation.

    With `squash` both sides become `resize`, so that nothing of a long image is cut off and its proportions change.
    """

    crop: int = 224
    resize: int = 256
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"  # as Pillow names them
    squash: bool = False

    def changed(self, options: ModelOptions) -> tuple["Preprocess", tuple[str, ...]]:
        """The preprocessing changed as options say, and what was assumed about them, as sentences.

        Raises BadParameter for sizes that do not go together and for numbers that are no mean or standard deviation.
        """
        if options.size and options.crop and options.size != options.crop:
            message = f"size is {options.size} and crop {options.crop}, and both name the side of the input."
            raise BadParameter(message, "Give one of them.")
        crop = options.size or options.crop or self.crop
        own_resize = round(self.resize * crop / self.crop) if options.size else self.resize
        resize = options.resize or own_resize
        if resize < crop:
            message = f"Images with a shorter side of {resize} pixels do not fill an input of {crop} × {crop}."
            raise BadParameter(message, f"Give a resize of {crop} or more.")
        mean, std = _channels("mean", options.mean), _channels("std", options.std)
        if min(std, default=1) <= 0:
            raise BadParameter(f"std cannot be {spelled(options.std)}.", "Give numbers above zero.")
        notes: tuple[str, ...] = ()
        in_255 = max(map(abs, mean), default=0) > 1
        if in_255:
            notes = (f"mean {spelled(options.mean)} was read as values from 0 to 255, and std with it.",)
        white = 255 if in_255 else 1
        if max((*map(abs, mean), *std), default=0) > white or (in_255 and min(std, default=1) < 1):
            message = (
                f"mean {spelled(options.mean) or 'unchanged'} with std {spelled(options.std) or 'unchanged'} fits "
            )
            raise BadParameter(f"{message}neither pixels from 0 to 1 nor from 0 to 255.", "Give both on one scale.")
        mean, std = (_channels("", [value / white for value in values]) for values in (mean, std))
        interpolation = self.interpolation if options.interpolation == "auto" else options.interpolation
        squash = self.squash if options.fit == "auto" else options.fit == "squash"
        return Preprocess(crop, resize, mean or self.mean, std or self.std, interpolation, squash), notes

    def __str__(self) -> str:
        """A sentence without its first word, "prepared"."""
        mean, std = (" ".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std))
        return (
            f"{'both sides' if self.squash else 'shorter side'} to {self.resize}, crop {self.crop}, "
            f"mean {mean}, std {std} (of pixels from 0 to 1), "
            f"{self.interpolation}"
        )

    @overload
    def view(self, pixels: Pixels) -> Pixels: ...
    @overload
    def view(self, pixels: Values) -> Values: ...
    def view(self, pixels: Pixels | Values) -> Pixels | Values:
        """The part of a picture that the network sees, (crop, crop, 3): of `Picture.pixels` or its deep `values`."""
        if pixels.dtype == np.uint8:
            return self._view(pixels)
        channels = pixels[..., None] if pixels.ndim == 2 else pixels
        # Pillow resizes floats one channel at a time; bicubic interpolation overshoots, which 8 bits cannot.
        views = [self._view(channels[..., channel]).clip(0, 1) for channel in range(channels.shape[2])]
        return np.stack(views if len(views) == 3 else views * 3, 2)

    def _view(self, pixels: NDArray[Any]) -> NDArray[Any]:
        image = Image.fromarray(_middle(pixels))
        short = min(image.size)
        # torchvision's rule: the longer side is truncated, not rounded
        width, height = (self.resize if self.squash else max(1, int(self.resize * side / short)) for side in image.size)
        if (width, height) != image.size:
            image = image.resize((width, height), Image.Resampling[self.interpolation.upper()])
        left, top = round((image.width - self.crop) / 2), round((image.height - self.crop) / 2)
        return np.asarray(image.crop((left, top, left + self.crop, top + self.crop)))

    def tensor(self, view: Pixels | Values) -> Tensor:
        """A view as network input, (3, H, W) float32."""
        scaled = torch.from_numpy(np.array(view)).permute(2, 0, 1).float() / (255 if view.dtype == np.uint8 else 1)
        return (scaled - self._column(self.mean)) / self._column(self.std)

    def pixels(self, images: Tensor) -> Tensor:
        """Network inputs (..., 3, H, W) back in [0, 1], unclipped."""
        return images * self._column(self.std).to(images.device) + self._column(self.mean).to(images.device)

    def normalised(self, pixels: Tensor) -> Tensor:
        """Images (..., 3, H, W) in [0, 1] as network inputs."""
        return (pixels - self._column(self.mean).to(pixels.device)) / self._column(self.std).to(pixels.device)

    @staticmethod
    def _column(values: tuple[float, float, float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32).view(3, 1, 1)


def _channels(name: str, values: Sequence[float]) -> tuple[float, float, float] | tuple[()]:
    """One or three numbers as those of red, green and blue; none stay none."""
    if len(values) not in (0, 1, 3) or any(finite(value) is None for value in values):
        raise BadParameter(f"{name} cannot be {spelled(values)}.", "Give one number, or three for red, green and blue.")
    numbers = tuple(float(value) for value in values) * (3 if len(values) == 1 else 1)
    return (numbers[0], numbers[1], numbers[2]) if numbers else ()


def resized(maps: Tensor, size: tuple[int, int], *, mass_preserving: bool = False) -> Tensor:
    """Resize maps (B, h, w) bilinearly to `size` (H, W); `mass_preserving` preserves sums instead of values."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    large = F.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    if mass_preserving:
        large = large * (maps.shape[-2] * maps.shape[-1] / (size[0] * size[1]))
    return large


def _middle(pixels: NDArray[Any]) -> NDArray[Any]:
    """The picture, or the middle of one that is longer than MAX_RATIO times its short side."""
    most = MAX_RATIO * min(pixels.shape[:2])
    top, left = (max(0, (side - most) // 2) for side in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + most, left : left + most])
