"""Flowers as the inputs of a network: images, masks of their parts, and the images again without parts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.data.flowers import Flower
from core.images import Preprocess

PARTS = ("petals", "centre", "stem", "leaves", "pot", "tag")  # none of them contains another


@dataclass(frozen=True)
class Inputs:
    """What a network sees of flowers of one size, and what is known about it."""

    flowers: Sequence[Flower]
    preprocess: Preprocess
    named: Collection[str] = PARTS  # the parts that count; "petal" lies in the petals

    @cached_property
    def images(self) -> Tensor:
        """The images, (B, C, H, W)."""
        return torch.stack([self._input(flower) for flower in self.flowers])

    @cached_property
    def labels(self) -> Tensor:
        """The true classes, (B,)."""
        return torch.tensor([flower.label for flower in self.flowers])

    @cached_property
    def mask(self) -> Tensor:
        """The part that defines the class, (B, H, W); false everywhere for a flower that lacks it."""
        return self._seen([flower.mask for flower in self.flowers])

    @cached_property
    def parts(self) -> Mapping[str, Tensor]:
        """The visible pixels of each part that any of the flowers shows, (B, H, W) by name."""
        visible = [flower.removable for flower in self.flowers]
        shown = [name for name in self.named if any(name in masks for masks in visible)]
        nothing = np.zeros_like(self.flowers[0].mask)
        return {name: self._seen([masks.get(name, nothing) for masks in visible]) for name in shown}

    def without(self, number: int, parts: Collection[str]) -> Tensor:
        """One of the images, (C, H, W), without some parts. Raises as `Flower.without`."""
        return self._input(self.flowers[number].without(*parts))

    def _input(self, flower: Flower) -> Tensor:
        return self.preprocess.tensor(self.preprocess.view(flower.image))

    def _seen(self, masks: Sequence[NDArray[np.bool_]]) -> Tensor:
        return torch.from_numpy(np.stack([self.preprocess.mask(mask) for mask in masks]))
