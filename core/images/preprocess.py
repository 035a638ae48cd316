"""Preprocessing: from pixels to network inputs and back, and maps resized to an image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from core.data.model_options import Channels, ModelOptions
from core.errors import BadParameter
from core.images.decode import Picture
from core.images.depth import Pixels, Values
from core.params import Sides, finite, one_or_two, spelled

MAX_RATIO = 16  # of the sides: longer strips are cropped to their middle, or a 1 × 50,000 image would fill the memory
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue, as Pillow converts to grey
COUNTS: Mapping[Channels, int] = {"grey": 1, "rgb": 3, "alpha": 4, "zeros": 4, "ones": 4}
OF_COUNT: Mapping[int, Channels] = {1: "grey", 3: "rgb", 4: "alpha"}
FILLED: Mapping[Channels, float] = {"zeros": 0.0, "ones": 1.0}  # the fourth channel
FOURTH = (0.0, 1.0)  # mean and standard deviation of a fourth channel of which nothing is known
_MANY = {3: "three for red, green and blue", 4: "three or four for red, green, blue and the fourth channel"}


@dataclass(frozen=True)
class Preprocess:
    """The preprocessing of a network: shorter side to `resize`, centre `crop`, mean and standard deviation.

    Both are one number, or height and width; an image is resized so that it covers a `resize` of two. With `squash` its
    sides become `resize`, so that nothing of a long image is cut off and its proportions change. Mean and standard
    deviation have one number per channel.
    """

    crop: Sides = 224
    resize: Sides = 256
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"  # as Pillow names them
    squash: bool = False
    channels: Channels = "rgb"  # four of them: red, green, blue, and the image's alpha, zeros or ones

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input."""
        return both(self.crop)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the input."""
        return len(self.mean), *self.size

    def fed(self, channels: Channels) -> "Preprocess":
        """The same preprocessing for other channels: a mean over the colours for grey, 0 and 1 for a fourth one."""
        count = COUNTS[channels]
        if count == len(self.mean):
            return replace(self, channels=channels)
        mean, std = _for_channels(self.mean, count, FOURTH[0]), _for_channels(self.std, count, FOURTH[1])
        return replace(self, mean=mean, std=std, channels=channels)

    def enlarged(self, times: int) -> "Preprocess":
        """The same preprocessing for an input whose sides are whole multiples of this one's."""
        crop, resize = (one_or_two(*(side * times for side in both(sides))) for sides in (self.crop, self.resize))
        return replace(self, crop=crop, resize=resize)

    def changed(self, options: ModelOptions) -> tuple["Preprocess", tuple[str, ...]]:
        """The preprocessing changed as options say, and what was assumed about them, as sentences.

        Raises BadParameter for sizes that do not go together and for numbers that are no mean or standard deviation.
        """
        own = self if options.channels == "auto" else self.fed(options.channels)
        crop, resize = self._sides(options)
        count = len(own.mean)
        mean, std = _per_channel("mean", options.mean, count), _per_channel("std", options.std, count)
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
        mean, std = (tuple(value / white for value in values) for values in (mean, std))
        changes: dict[str, Any] = {"crop": crop, "resize": resize}
        for name, values, fourth in zip(("mean", "std"), (mean, std), FOURTH, strict=True):
            if values:
                changes[name] = values + (fourth,) * (count - len(values))
        if options.interpolation != "auto":
            changes["interpolation"] = options.interpolation
        if options.fit != "auto":
            changes["squash"] = options.fit == "squash"
        return replace(own, **changes), notes

    def _sides(self, options: ModelOptions) -> tuple[Sides, Sides]:
        """Crop and resize as options say."""
        if options.size and options.crop and options.size != options.crop:
            message = f"size is {spelled(options.size)} and crop {spelled(options.crop)}, and both name the side of "
            raise BadParameter(f"{message}the input.", "Give one of them.")
        crop = options.size or options.crop or self.crop
        in_proportion = (
            round(side * new / old) for side, new, old in zip(both(self.resize), both(crop), self.size, strict=True)
        )
        resize = options.resize or (one_or_two(*in_proportion) if options.size else self.resize)
        if any(side < least for side, least in zip(both(resize), both(crop), strict=True)):
            which = f"a shorter side of {resize}" if isinstance(resize, int) else f"sides of {spelled_sides(resize)}"
            message = f"Images with {which} pixels do not fill an input of {spelled_sides(both(crop))}."
            raise BadParameter(message, f"Give a resize of {spelled(crop)} or more.")
        return crop, resize

    def __str__(self) -> str:
        """A sentence without its first word, "prepared"."""
        mean, std = (" ".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std))
        to_cover = "shorter side to" if isinstance(self.resize, int) else "covering"
        resized = "both sides to" if self.squash else to_cover
        order = "" if isinstance(self.crop, int) else " (height × width)"
        channels = {"grey": "one channel of luminance, ", "rgb": ""}.get(
            self.channels, f"fourth channel: {self.channels}, "
        )
        return (
            f"{channels}{resized} {spelled_sides(self.resize)}, crop {spelled_sides(self.crop)}{order}, "
            f"mean {mean}, std {std} (of pixels from 0 to 1), "
            f"{self.interpolation}"
        )

    def seen(self, picture: Picture) -> Pixels | Values:
        """The view of a picture that `tensor` takes: of its deep values where it has them, with alpha if that is read.

        Raises BadImage for a deferred picture that cannot be read any more.
        """
        return self.view(picture.source_for(self.channels))

    @overload
    def view(self, pixels: Pixels) -> Pixels: ...
    @overload
    def view(self, pixels: Values) -> Values: ...
    def view(self, pixels: Pixels | Values) -> Pixels | Values:
        """The part of a picture that the network sees, (H, W, 3): of `Picture.pixels` or its deep `values`.

        Grey for a network with one channel. Of (H, W, 4) pixels with alpha, it has four channels, too.
        """
        if self.channels == "grey":
            pixels = luminance(pixels)
        if pixels.dtype == np.uint8:
            seen = self._view(pixels)
            return seen if seen.ndim == 3 else np.repeat(seen[..., None], 3, 2)
        channels = pixels[..., None] if pixels.ndim == 2 else pixels
        # Pillow resizes floats one channel at a time; bicubic interpolation overshoots, which 8 bits cannot.
        views = [self._view(channels[..., channel]).clip(0, 1) for channel in range(channels.shape[2])]
        return np.stack(views * 3 if len(views) == 1 else views, 2)

    def mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The part of a mask (H, W) of a picture that `view` takes of the picture, by nearest neighbours."""
        return replace(self, interpolation="nearest")._view(mask.astype(np.uint8)) > 0

    def points(self, points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
        """Points (N, 2) of x and y in a picture of `size` (H, W), as x and y in its view; they may lie outside it."""
        top, left, *middle = _middle(*size)
        height, width = self._resized(*middle)
        above, before = self._cut(height, width)
        return (points - (left, top)) * (width / middle[1], height / middle[0]) - (before, above)

    def frame(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """The part of a picture of `size` (H, W) that `view` takes: left, top, width and height in its pixels."""
        ends = self.points(np.array([[0.0, 0.0], size[::-1]]), size)
        scale = (ends[1] - ends[0]) / size[::-1]
        (left, top), (width, height) = -ends[0] / scale, self.size[::-1] / scale
        return float(left), float(top), float(width), float(height)

    def _view(self, pixels: NDArray[Any]) -> NDArray[Any]:
        top, left, *middle = _middle(*pixels.shape[:2])
        image = Image.fromarray(np.ascontiguousarray(pixels[top : top + middle[0], left : left + middle[1]]))
        height, width = self._resized(image.height, image.width)
        if (width, height) != image.size:
            image = image.resize((width, height), Image.Resampling[self.interpolation.upper()])
        (rows, columns), (top, left) = self.size, self._cut(height, width)
        return np.asarray(image.crop((left, top, left + columns, top + rows)))

    def _cut(self, height: int, width: int) -> tuple[int, int]:
        """The rows above and the columns before the crop of an image of this size."""
        return round((height - self.size[0]) / 2), round((width - self.size[1]) / 2)

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """The size to which an image of this size is resized before the crop."""
        if self.squash:
            return both(self.resize)
        if isinstance(self.resize, int):  # torchvision's rule: the longer side is truncated, not rounded
            short = min(height, width)
            return max(1, int(self.resize * height / short)), max(1, int(self.resize * width / short))
        ratio = min(height / self.resize[0], width / self.resize[1])  # timm's rule
        return round(height / ratio), round(width / ratio)

    def tensor(self, view: Pixels | Values) -> Tensor:
        """A view as network input, (C, H, W) float32; a picture without alpha is opaque."""
        scaled = torch.from_numpy(np.array(view)).permute(2, 0, 1).float().div_(255 if view.dtype == np.uint8 else 1)
        count = len(self.mean)
        if len(scaled) < count or self.channels in FILLED:
            fourth = torch.full_like(scaled[:1], FILLED.get(self.channels, 1.0))
            scaled = torch.cat([scaled[:3], fourth])
        return scaled[:count].sub_(self._column(self.mean)).div_(self._column(self.std))

    def pixels(self, images: Tensor) -> Tensor:
        """Network inputs (..., C, H, W) back in [0, 1], unclipped."""
        return images * self._column(self.std).to(images.device) + self._column(self.mean).to(images.device)

    def colours(self, images: Tensor) -> Tensor:
        """Network inputs (..., C, H, W) as red, green and blue (..., 3, H, W) in [0, 1]; an alpha is left out."""
        pixels = self.pixels(images).clamp(0, 1)
        return pixels[..., :3, :, :].expand(*pixels.shape[:-3], 3, -1, -1)

    def normalised(self, pixels: Tensor) -> Tensor:
        """Images (..., C, H, W) in [0, 1] as network inputs."""
        return (pixels - self._column(self.mean).to(pixels.device)) / self._column(self.std).to(pixels.device)

    @staticmethod
    def _column(values: tuple[float, ...]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)


def joined(inputs: Sequence[Tensor]) -> Tensor:
    """Network inputs (C, H, W) as a batch; the colours stay last in memory, so that each is copied as a whole."""
    return torch.stack([one.movedim(0, -1) for one in inputs]).movedim(-1, 1)


def both(sides: Sides) -> tuple[int, int]:
    """Height and width, which one number for a square stands for."""
    return (sides, sides) if isinstance(sides, int) else sides


def spelled_sides(sides: Sides) -> str:
    """Sides as text: one number, or "64 × 96"."""
    return str(sides) if isinstance(sides, int) else "{} × {}".format(*sides)


def luminance(pixels: Pixels | Values) -> Pixels | Values:
    """Grey values (H, W) of colours (H, W, 3), as Pillow converts them; grey ones are returned unchanged."""
    if pixels.ndim == 2:
        return pixels
    if pixels.dtype == np.uint8:
        return np.asarray(Image.fromarray(np.ascontiguousarray(pixels[..., :3])).convert("L"))
    grey: Values = (pixels[..., :3] @ np.array(LUMINANCE, np.float32)).astype(np.float32)
    return grey


def _for_channels(values: tuple[float, ...], count: int, fourth: float) -> tuple[float, ...]:
    """The numbers of other channels: one for grey is the average of the colours, to three digits if they differ."""
    if count > 1:
        return (values * 3 if len(values) == 1 else values[:3]) + (fourth,) * (count - 3)
    return (values[0] if len({*values[:3]}) == 1 else round(sum(values[:3]) / 3, 3),)


def _per_channel(name: str, values: Sequence[float], count: int) -> tuple[float, ...]:
    """One number as that of every channel, or the numbers of all; none stay none. A fourth may be left out."""
    wanted = {0, 1, 3, count} if count == 4 else {0, 1, count}
    if len(values) not in wanted or any(finite(value) is None for value in values):
        meant = "one number" if count == 1 else f"one number, or {_MANY[count]}"
        raise BadParameter(f"{name} cannot be {spelled(values)}.", f"Give {meant}.")
    numbers = tuple(float(value) for value in values)
    return numbers * count if len(numbers) == 1 else numbers


def resized(maps: Tensor, size: tuple[int, int], *, mass_preserving: bool = False) -> Tensor:
    """Resize maps (B, h, w) bilinearly to `size` (H, W); `mass_preserving` preserves sums instead of values."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    large = F.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    if mass_preserving:
        large = large * (maps.shape[-2] * maps.shape[-1] / (size[0] * size[1]))
    return large


def _middle(height: int, width: int) -> tuple[int, int, int, int]:
    """Top, left, height and width of a picture, or of the middle of one longer than MAX_RATIO times its short side."""
    most = MAX_RATIO * min(height, width)
    return max(0, (height - most) // 2), max(0, (width - most) // 2), min(height, most), min(width, most)
