"""Random transformations of an image before each pass, so that what is visualised survives small changes."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from core.explain.baselines import SIDE

GREY = 0.5  # fills what lies outside the image
_SCALES = 11  # equally spaced around 1
_ANGLES = 21  # equally spaced around 0
_UPRIGHT = 5  # further draws without a rotation


@dataclass(frozen=True)
class Transformations:
    """Padding, a shift, a scale, a rotation and another shift, in this order (Olah et al. 2017).

    They are combined into one resampling: corners are grey, and the result has the size of the image. Lengths are in
    pixels of the image.
    """

    pad: int = 0  # grey on each side
    jitter: int = 0  # shifts are whole pixels, over this range
    zoom: float = 0.0  # largest change of the scale, as a share
    rotate: float = 0.0  # largest angle, in degrees
    jitter_after: int = 0

    def __call__(self, colours: Tensor, rng: torch.Generator) -> Tensor:
        """Images (N, C, H, W), all transformed in the same way, as drawn from `rng`."""
        if self == Transformations():
            return colours
        first, scale, angle, second = self._drawn(rng)
        height, width = colours.shape[2:]
        window = [side + 2 * self.pad - self.jitter - self.jitter_after for side in (height, width)]
        cos, sin = math.cos(math.radians(angle)) / scale, math.sin(math.radians(angle)) / scale
        # From a pixel of the result back to one of the image, both as x and y from the centre.
        back = torch.tensor([[cos, sin], [-sin, cos]], dtype=torch.float64)
        stretch = torch.tensor([window[1] / width, window[0] / height], dtype=torch.float64)
        shift = back @ second + first
        half = torch.tensor([width, height], dtype=torch.float64) / 2
        theta = torch.cat([back * stretch * half / half[:, None], (shift / half)[:, None]], 1)
        grid = F.affine_grid(theta[None].to(colours), [1, 1, height, width], align_corners=False)
        grid = grid.expand(len(colours), -1, -1, -1)
        return F.grid_sample(colours - GREY, grid, padding_mode="zeros", align_corners=False) + GREY

    def _drawn(self, rng: torch.Generator) -> tuple[Tensor, float, float, Tensor]:
        """First shift, scale, angle in degrees, second shift; shifts are x and y from the centre."""

        def whole(choices: int, count: int = 1) -> Tensor:
            return torch.randint(choices, (count,), generator=rng)

        first = whole(self.jitter + 1, 2).double() - self.jitter / 2
        middle = (_SCALES - 1) / 2
        scale = 1 + self.zoom * (whole(_SCALES).item() - middle) / middle
        turn, middle = whole(_ANGLES + _UPRIGHT).item(), (_ANGLES - 1) / 2
        angle = self.rotate * (turn - middle) / middle if turn < _ANGLES else 0.0
        second = whole(self.jitter_after + 1, 2).double() - self.jitter_after / 2
        return first, scale, angle, second


def transformations_for(
    size: tuple[int, int], *, pad: float, jitter: float, zoom: float, rotate: float, jitter_after: float
) -> Transformations:
    """Those for images of this size (H, W), with lengths given for an image of 224 px."""
    border, first, second = (round(length * min(size) / SIDE) for length in (pad, jitter, jitter_after))
    return Transformations(border, first, zoom, rotate, second)
