"""Responses of all units of some layers to images, as the features of linear models."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_LEAST = 1e-300  # a sum that divides


@dataclass(frozen=True)
class Features:
    """Where the M features lie: every unit of some layers, layer by layer."""

    layers: tuple[tuple[str, int], ...]  # name and number of units

    @property
    def count(self) -> int:
        """The number M of features."""
        return sum(units for _, units in self.layers)

    def unit(self, feature: int) -> tuple[str, int]:
        """The layer and the unit of a feature. Raises IndexError for one that there is not."""
        for layer, units in self.layers:
            if 0 <= feature < units:
                return layer, feature
            feature -= units
        raise IndexError(feature)


def energies(maps: Tensor) -> Tensor:
    """The sum of the squares of each rectified map (B, K, h, w), as (B, K)."""
    return maps.clamp(min=0).double().square().sum((2, 3))


def shares(sums: Sequence[Tensor]) -> NDArray[np.float64]:
    """The features (B, M) from the `energies` (B, K) of each layer.

    They are divided by their sum over the units of the layer; all together have the l2 norm one (section 3.1 of Oramas
    et al. 2019, and their released code). Zero where a layer is not active at all.
    """
    vectors = torch.cat([one / one.sum(1, keepdim=True).clamp(min=_LEAST) for one in sums], 1)
    found: NDArray[np.float64] = (vectors / vectors.norm(dim=1, keepdim=True).clamp(min=_LEAST)).numpy(force=True)
    return found
