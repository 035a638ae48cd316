"""The strength of concepts at each position of a layer, by non-negative least squares."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.environment import exact

_SWEEPS = 1000
_TOLERANCE = 1e-9  # of the change in a sweep, as a share of the largest strength


@torch.no_grad()
def strengths(activations: Tensor, directions: Tensor) -> Tensor:
    """The strengths (n, K) in float64 whose sum of directions (K, D) is nearest to each row of activations (n, D).

    Non-negative least squares: the problem that the factorisation solves for its patches with the directions fixed, so
    that a patch has the strengths that it has there. A clipped pseudo-inverse would give other values, as clipping does
    not move what it cuts to other directions. Coordinate descent on the normal equations (Franc et al. 2005).
    """
    place = exact(activations.device)
    rows, basis = activations.to(place).double(), directions.double().to(place)
    gram, aims = basis @ basis.T, rows @ basis.T
    found = torch.zeros_like(aims)
    for _ in range(_SWEEPS):
        before = found.clone()
        for k in range(len(basis)):
            found[:, k] = (found[:, k] + (aims[:, k] - found @ gram[:, k]) / gram[k, k]).clamp(min=0)
        if (found - before).abs().max() <= _TOLERANCE * found.max():
            break
    return found


def concept_maps(maps: Tensor, directions: NDArray[np.float64]) -> NDArray[np.float32]:
    """The strength (K, h, w) of each concept at each position of a layer's maps (D, h, w) of an image."""
    found = strengths(maps.flatten(1).T, torch.from_numpy(directions)).T
    values: NDArray[np.float32] = found.reshape(len(directions), *maps.shape[1:]).float().numpy(force=True)
    return values
