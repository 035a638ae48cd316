"""Steps of an ascent: along the gradient by one of three rules, and what is done to the pixels after each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from core.explain.baselines import blurred

Rule = Literal["adam", "ascent", "progress"]
Climb = Callable[[Tensor, Tensor], Tensor]  # (parameters, gradient) -> next parameters


def climb(rule: Rule, rate: float, gain: float) -> Climb:
    """The function that makes a step up; that of Adam remembers earlier gradients.

    "ascent" adds the gradient times the rate. "progress" chooses the rate of each image so that, to first order, the
    objective gains `gain`, and at most `rate` (Yosinski et al. 2015).
    """
    if rule == "adam":
        return _Adam(rate)

    def step(parameters: Tensor, gradient: Tensor) -> Tensor:
        if rule == "ascent":
            return parameters + rate * gradient
        squares = gradient.flatten(1).square().sum(1).clamp_min(torch.finfo(gradient.dtype).tiny)
        rates = (gain / squares).clamp_max(rate)
        return parameters + rates.view(-1, *[1] * (gradient.dim() - 1)) * gradient

    return step


class _Adam:
    """Adam (Kingma & Ba 2015), as torch computes it."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._leaf = torch.empty(0)
        self._optimiser: torch.optim.Adam | None = None

    def __call__(self, parameters: Tensor, gradient: Tensor) -> Tensor:
        if self._optimiser is None:
            self._leaf = parameters.clone()
            self._optimiser = torch.optim.Adam([self._leaf], lr=self._rate, maximize=True)
        self._leaf.grad = gradient
        self._optimiser.step()
        return self._leaf.clone()


@dataclass(frozen=True)
class Refinement:
    """What is done to pixels less their mean (N, C, H, W) after a step, in this order (Yosinski et al. 2015)."""

    decay: float = 0.0  # share of every pixel that is lost
    blur: float = 0.0  # standard deviation of a Gaussian, in pixels of the image
    blur_every: int = 0  # steps; 0 is never
    small_norm: float = 0.0  # percent of the pixels, those of least norm over the colours, that are set to zero
    small_contribution: float = 0.0  # percent of the pixels, those of least |Σ gradient · pixel| over the colours

    def __call__(self, pixels: Tensor, gradient: Tensor, step: int) -> Tensor:
        """The refined pixels."""
        pixels = pixels * (1 - self.decay)
        if self.blur and self.blur_every and step % self.blur_every == 0:
            pixels = blurred(pixels, self.blur)
        if self.small_norm:
            pixels = _without_least(pixels, pixels.norm(dim=1), self.small_norm)
        if self.small_contribution:
            pixels = _without_least(pixels, (gradient * pixels).sum(1).abs(), self.small_contribution)
        return pixels


def _without_least(pixels: Tensor, sizes: Tensor, percent: float) -> Tensor:
    """Pixels with zeros where the sizes (N, H, W) are below a percentile of those of their image."""
    # Sorted, as torch.quantile takes no more than 2 ** 24 values.
    flat = sizes.flatten(1).sort(1).values
    place = percent / 100 * (flat.shape[1] - 1)
    low = int(place)
    high = min(low + 1, flat.shape[1] - 1)
    limits = flat[:, low] + (place - low) * (flat[:, high] - flat[:, low])
    return pixels * (sizes >= limits[:, None, None])[:, None]
