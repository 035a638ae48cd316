"""Regularisers of images and their gradients in closed form: α-norm and total variation (Mahendran & Vedaldi 2015)."""

from collections.abc import Callable

import torch
from torch import Tensor

Regulariser = Callable[[Tensor, float], tuple[Tensor, Tensor]]  # (pixels, power) -> values (N,), gradient

LEAST = 1e-5  # of |∂x|^β in a gradient, of pixels from 0 to 255: for β < 2 it is infinite at zero


def alpha_norm(pixels: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Σ |x|^α of each image (N, C, H, W), (N,), and its gradient."""
    sizes = pixels.abs()
    return sizes.pow(alpha).flatten(1).sum(1), alpha * sizes.pow(alpha - 1) * pixels.sign()


def total_variation(pixels: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Σ (∂₁x² + ∂₂x²)^(β/2) of each image (N, C, H, W), (N,), and its gradient.

    Differences are to the next pixel across and down; beyond the last one there is none. Pixels lie in [0, 1]; for β
    below 2 the gradient is limited where the image is flat.
    """
    across, down = torch.zeros_like(pixels), torch.zeros_like(pixels)
    across[..., :-1] = pixels.diff(dim=3)
    down[..., :-1, :] = pixels.diff(dim=2)
    variation = (across.square() + down.square()).pow(beta / 2)
    if beta < 2:
        weight = variation.clamp_min(LEAST / 255**beta).pow((beta - 2) / beta)
    else:
        weight = (across.square() + down.square()).pow(beta / 2 - 1)
    across, down = weight * across, weight * down
    gradient = -(across + down)
    gradient[..., 1:] += across[..., :-1]
    gradient[..., 1:, :] += down[..., :-1, :]
    return variation.flatten(1).sum(1), beta * gradient
