"""Baselines: the values that replace masked parts of an image."""

from typing import Literal

import torch
from torch import Tensor

from core.explain.query import Query

Baseline = Literal["grey", "black", "blur", "uniform"]
SIDE = 224  # pixels: lengths in settings are given for this side and scaled to the image's


def baseline(query: Query, kind: Baseline, draw: int = 0) -> Tensor:
    """Network inputs (B or 1, C, H, W) without evidence: the mean colour, black, the images blurred, or random pixels.

    "grey" is zero in network units; "uniform" depends on the query's seed and `draw`.
    """
    if kind == "blur":
        return blurred(query.images, 10 * min(query.size) / SIDE)
    if kind == "uniform":
        pixels = torch.rand(1, *query.images.shape[1:], generator=query.rng(draw))
        return query.model.preprocess.normalised(pixels).to(query.images)
    grey = torch.zeros_like(query.images[:1])
    return grey if kind == "grey" else query.model.preprocess.normalised(grey)


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Images (..., H, W) under a Gaussian of `sigma` pixels, mirrored at the border."""
    from scipy.ndimage import gaussian_filter  # here, as importing it takes long

    spread = (0,) * (images.dim() - 2) + (sigma, sigma)
    soft = gaussian_filter(images.detach().cpu().numpy(), spread, mode="mirror", truncate=4)
    return torch.from_numpy(soft).to(images.device)


def scaled(pixels: float, side: int) -> int:
    """A length given for an image of 224 px in pixels of an image of `side` px, at least one."""
    return max(1, round(pixels * side / SIDE))
