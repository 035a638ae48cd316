"""Numbers that stand for images in an optimisation: pixels, a Fourier spectrum, components of other images."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from core.errors import BadParameter
from core.randomness import generator

# Square root of the correlation of colours in natural images; its columns are brightness and two contrasts (Lucid).
COLOURS = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]])
LEAST_SPREAD = 1e-6  # of a component, as a share of the first one's: smaller ones are rounding


class Parameters(ABC):
    """Numbers that stand for images, so that steps along their gradients make better images than steps of pixels."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of the numbers of one image."""

    @abstractmethod
    def colours(self, parameters: Tensor) -> Tensor:
        """The images (N, C, H, W), of which values in [0, 1] can be shown."""

    @abstractmethod
    def squares(self, parameters: Tensor) -> Tensor:
        """The squared norm (N,) that a penalty weighs."""

    def start(self, count: int, noise: float, seed: int) -> Tensor:
        """Normal numbers (count, …) of standard deviation `noise`; image i depends on the seed and i alone."""
        drawn = [torch.randn(self.shape, generator=generator(seed, -1 - number)) for number in range(count)]
        return noise * torch.stack(drawn)


@dataclass(frozen=True)
class Pixels(Parameters):
    """The pixels themselves, in [0, 1] less the network's mean: zero is an image of the mean colour."""

    mean: Tensor  # (C, 1, 1)
    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return (len(self.mean), *self.size)

    def colours(self, parameters: Tensor) -> Tensor:
        """The mean added."""
        return parameters + self.mean

    def squares(self, parameters: Tensor) -> Tensor:
        """The squared norm of the pixels."""
        return parameters.square().flatten(1).sum(1)

    def clipped(self, parameters: Tensor) -> Tensor:
        """The nearest pixels that can be shown."""
        return (parameters + self.mean).clamp(0, 1) - self.mean


@dataclass(frozen=True)
class Fourier(Parameters):
    """A spectrum whose coefficients all have the same weight in the image, and decorrelated colours (Olah et al. 2017).

    Coefficients (C, H, W/2 + 1, 2) are scaled by 1/frequency and √(W·H), transformed, divided by 4, mixed to colours
    and squashed by a sigmoid. An odd width is that of the next even one, with the last column cut off.
    """

    channels: int
    size: tuple[int, int]
    decay: float = 1.0  # power of the frequency

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W // 2 + 1, 2), with one more coefficient in a row for an odd width."""
        return (self.channels, *self.scale.shape, 2)

    @cached_property
    def scale(self) -> Tensor:
        """What each coefficient is multiplied by, (H, W // 2 + 1 or + 2)."""
        height, width = self.size
        frequencies = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width + width % 2)[None])
        return (width * height) ** 0.5 / frequencies.clamp_min(1 / max(height, width)) ** self.decay

    def waves(self, parameters: Tensor) -> Tensor:
        """The images before their colours (N, C, H, W): the inverse transform of the scaled spectrum, by 4."""
        height, width = self.size
        spectrum = torch.view_as_complex(parameters) * self.scale.to(parameters.device)
        return torch.fft.irfft2(spectrum)[..., :height, :width] / 4

    def colours(self, parameters: Tensor) -> Tensor:
        """In (0, 1); one channel is grey and has no colours to mix."""
        waves = self.waves(parameters)
        if self.channels == len(COLOURS):
            mixing = (COLOURS / COLOURS.norm(dim=0).max()).to(waves.device)
            waves = torch.einsum("dc,nchw->ndhw", mixing, waves)
        return waves.sigmoid()

    def squares(self, parameters: Tensor) -> Tensor:
        """The squared distance of the images from grey."""
        return (self.colours(parameters) - 0.5).square().flatten(1).sum(1)


@dataclass(frozen=True)
class Components(Parameters):
    """The mean of given images plus their principal components, each in units of its standard deviation.

    A penalty on the squared norm is then the prior of a normal distribution fitted to these images.
    """

    mean: Tensor  # (C, H, W)
    basis: Tensor  # (K, C, H, W)

    @classmethod
    def of(cls, colours: Tensor, count: int) -> "Components":
        """The first `count` components of images (n, C, H, W) in [0, 1]; fewer if the images span fewer.

        Raises BadParameter for images that are all the same.
        """
        mean = colours.mean(0)
        _, spreads, directions = torch.linalg.svd((colours - mean).flatten(1), full_matrices=False)
        kept = int((spreads > LEAST_SPREAD * spreads[0].clamp_min(LEAST_SPREAD)).sum())
        if not kept:
            message = f"Principal components of {len(colours)} equal images do not exist."
            raise BadParameter(message, "Give two or more different images.")
        kept = min(count, kept, len(colours) - 1)
        scaled = directions[:kept] * spreads[:kept, None] / (len(colours) - 1) ** 0.5
        return cls(mean, scaled.view(kept, *mean.shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """(K,)."""
        return (len(self.basis),)

    def colours(self, parameters: Tensor) -> Tensor:
        """Mean + U z."""
        return self.mean + torch.einsum("nk,kchw->nchw", parameters, self.basis)

    def squares(self, parameters: Tensor) -> Tensor:
        """‖z‖²."""
        return parameters.square().sum(1)
