"""Smooth masks, and images seen through masks."""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor

from core.explain.baselines import SIDE, blurred


@dataclass(frozen=True)
class SmoothMasks:
    """Smooth masks from free values on a coarse grid: at each pixel the soft maximum of the values around it.

    On large images masks are computed for blocks of pixels, a third of the grid's step, and upsampled.
    """

    size: tuple[int, int]
    smooth: float  # pixels of a 224 px image
    device: torch.device

    @property
    def sigma(self) -> float:
        """Smoothness in pixels of the image."""
        return max(self.smooth * min(self.size) / SIDE, 1e-3)

    @property
    def step(self) -> int:
        """Pixels between two free values."""
        return max(1, round(self.sigma / 3))

    @property
    def rows(self) -> int:
        """Free values down the image."""
        return ceil(self.size[0] / self.step)

    @property
    def columns(self) -> int:
        """Free values across the image."""
        return ceil(self.size[1] / self.step)

    def __call__(self, free: Tensor) -> Tensor:
        """Masks (K, h, w) from free values (K, rows · columns)."""
        down, across, weight = (part.to(self.device) for part in _neighbours(self.size, self.step, self.sigma))
        (height, width), near = weight.shape[:2], weight.shape[2]
        # As matrix products: their backward is fast and sums in a fixed order.
        values = down @ free.view(-1, self.rows, self.columns) @ across
        values = values.view(-1, height, near, width, near).transpose(2, 3) * weight
        values = values.flatten(3)
        return (values * (20 * values).softmax(-1)).sum(-1)


@lru_cache(maxsize=4)
def _neighbours(size: tuple[int, int], step: int, sigma: float) -> tuple[Tensor, Tensor, Tensor]:
    """The free values around each pixel of a mask, and their weights.

    Two selections, (h · n, rows) and (columns, w · n), that take the n nearest lines of free values for each line of
    the mask, down and across; and weights (h, w, n, n).
    """
    block, radius = max(1, step // 3), 1 + ceil(sigma / step)
    offsets = torch.arange(-radius, radius + 1)
    selections, far = [], []
    for side in size:
        count = ceil(side / step)
        centres = torch.arange(ceil(side / block)) * block + (block - 1) / 2
        near = (centres / step).floor().long()[:, None] + offsets
        selections.append(F.one_hot(near.clamp(0, count - 1).flatten(), count).float())
        far.append(centres[:, None] - ((near + 0.5) * step - 0.5))
    distance = (far[0][:, None, :, None].square() + far[1][None, :, None, :].square()).sqrt()
    weight = (-2 * (distance / sigma - 0.5).clamp_min(0).square()).exp()
    return selections[0], selections[1].T, weight


def levels_of(image: Tensor, hide: str, count: int = 8) -> Tensor:
    """The image (3, H, W) from fully masked to unchanged, (count, 3, H, W)."""
    strengths = [level / (count - 1) for level in range(count)]
    if hide == "fade":
        return torch.stack([image * strength for strength in strengths])
    sigma = 20 * min(image.shape[-2:]) / SIDE
    return torch.stack([blurred(image, sigma * (1 - strength)) for strength in strengths])


def perturbed(levels: Tensor, masks: Tensor) -> Tensor:
    """Images (K, 3, H, W) that show at each pixel the level given by the mask (K, 1, H, W), interpolated."""
    position = masks * (len(levels) - 1)
    below = position.detach().floor().long().clamp(0, len(levels) - 2)
    spread = below.expand(-1, levels.shape[1], -1, -1)
    low, high = levels.gather(0, spread), levels.gather(0, spread + 1)
    return low + (position - below) * (high - low)
