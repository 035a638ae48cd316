"""Transactions from patches: the response of every filter within a patch, and the strongest filters."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


@lru_cache(maxsize=64)
def _prefix(size: int, cells: int) -> Tensor:
    """Prefix sums (size + 1, cells) of the weights of bilinear upsampling from `cells` values to `size`."""
    rows = F.interpolate(torch.eye(cells, dtype=torch.float64)[None], size=size, mode="linear", align_corners=False)[0]
    return torch.cat([torch.zeros(1, cells, dtype=torch.float64), rows.T.cumsum(0)])


def window_weights(corners: Tensor, side: int, size: tuple[int, int], cells: tuple[int, int]) -> Tensor:
    """The weight of each cell of a (h, w) map in the window sums of the map upsampled to `size`; (..., h·w).

    `corners` (..., 2) are the windows' upper left pixels as (y, x), on the CPU. The sum over a window of a bilinearly
    upsampled map is linear in the map and separable, so no map is ever upsampled.
    """
    y, x = corners[..., 0], corners[..., 1]
    down, across = _prefix(size[0], cells[0]), _prefix(size[1], cells[1])
    rows, columns = down[y + side] - down[y], across[x + side] - across[x]
    return (rows[..., :, None] * columns[..., None, :]).flatten(-2)


def responses(maps: Tensor, corners: Tensor, side: int, size: tuple[int, int]) -> Tensor:
    """Eq. 2 of Meynen et al. 2023: the sum of every filter's upsampled map over each window, (B, k, D) float32.

    `maps` are (B, D, h, w) on any device, `corners` (B, k, 2) windows of the same images as (y, x).
    """
    weights = window_weights(corners, side, size, (maps.shape[-2], maps.shape[-1]))
    return torch.bmm(weights.to(maps), maps.flatten(2).transpose(1, 2))


def strongest(responses: NDArray[Any], order: NDArray[Any], count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The filters (P, count) of highest `order` among those with a positive response, and their raw responses.

    Both arguments are (P, D). Ties go to the lower filter; where fewer than `count` respond, -1 and 0 fill the row.
    """
    ranked = np.where(responses > 0, order, -np.inf)
    items = np.argsort(-ranked, axis=1, kind="stable")[:, :count]
    values = np.take_along_axis(responses, items, 1)
    silent = values <= 0
    return np.where(silent, -1, items).astype(np.int32), np.where(silent, 0, values).astype(np.float32)


def standardised(responses: NDArray[Any], mean: NDArray[Any], deviation: NDArray[Any]) -> NDArray[Any]:
    """The z-scores (P, D) of responses, given each filter's mean and deviation (D,) over the patches of a study.

    A filter that never varies keeps its difference from the mean.
    """
    scores: NDArray[Any] = (responses - mean) / np.where(deviation > 0, deviation, 1)
    return scores


@dataclass(frozen=True)
class Transactions:
    """Patches as sets of filters, each with its class."""

    items: NDArray[np.int32]  # (P, N) filters, strongest first, -1 where there are fewer
    labels: NDArray[np.int64]  # (P,)

    def first(self, count: int) -> "Transactions":
        """The same transactions of only the `count` strongest filters each."""
        return Transactions(self.items[:, :count], self.labels)

    def holding(self, filters: Iterable[int], label: int | None = None) -> NDArray[np.int64]:
        """The patches whose transaction contains all these filters, of one class or (None) of all: G_R and G_F."""
        matches = np.ones(len(self.labels), bool) if label is None else self.labels == label
        for item in filters:
            matches &= (self.items == item).any(1)
        return np.flatnonzero(matches)
