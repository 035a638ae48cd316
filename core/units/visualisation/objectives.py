"""Objectives: what a visualised image is to raise, always an activation or a logit and never a probability.

A softmax probability can be raised by lowering other classes, which says nothing of this one.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from core.errors import BadParameter, UnknownName
from core.explain.targets import Classes, Target, Units
from core.models.model import Model
from core.units.visualisation.reading import LOGITS, layer_facts, unit_count

LEAST_COSINE = 0.1  # of Lucid: a direction that the activations oppose still has a gradient


class Objective(ABC):
    """A number per image, read from the outputs of some layers; objectives add up, each with a weight.

    >>> colourful = channel("relu4", 3) + 0.5 * channel("relu4", 7)
    """

    @property
    @abstractmethod
    def layers(self) -> tuple[str, ...]:
        """The layers it reads; `LOGITS` stands for the network's outputs."""

    @abstractmethod
    def value(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """The objective (N,) from the maps (N, K, h, w) of its layers, or from logits (N, C)."""

    @abstractmethod
    def check(self, model: Model) -> None:
        """Raise UnknownName or BadParameter if the network has no such layer or unit."""

    def __add__(self, other: "Objective") -> "Objective":
        return Sum((self, other), (1.0, 1.0))

    def __mul__(self, weight: float) -> "Objective":
        return Sum((self,), (weight,))

    __rmul__ = __mul__


@dataclass(frozen=True)
class Sum(Objective):
    """A weighted sum of objectives: an image that serves all of them."""

    parts: tuple[Objective, ...]
    weights: tuple[float, ...]

    @property
    def layers(self) -> tuple[str, ...]:
        """Those of all parts."""
        return tuple(dict.fromkeys(layer for part in self.parts for layer in part.layers))

    def value(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Σ wᵢ · objectiveᵢ."""
        values = [weight * part.value(outputs) for part, weight in zip(self.parts, self.weights, strict=True)]
        return torch.stack(values).sum(0)

    def check(self, model: Model) -> None:
        """Check all parts."""
        for part in self.parts:
            part.check(model)


@dataclass(frozen=True)
class Scored(Objective):
    """The score of a target: the logit of a class or the sum of a group's, the mean of a channel, a difference."""

    target: Target  # of one image

    @property
    def layers(self) -> tuple[str, ...]:
        """The layer of a unit, else the logits."""
        return (self.target.layer or LOGITS,)

    def value(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """The score that the explainers explain."""
        (layer,) = self.layers
        return self.target.repeated(0, len(outputs[layer])).to(outputs[layer].device).score(outputs[layer], "logit")

    def check(self, model: Model) -> None:
        """Check layer and unit; class indices come from the model's labels."""
        if isinstance(self.target, Units):
            _check_unit(model, self.target.layer, int(self.target.indices[0]))


def class_logit(index: int) -> Scored:
    """The logit of the class with this index (`Model.target` gives it for a name)."""
    return Scored(Classes(torch.tensor([index])))


def channel(layer: str, unit: int) -> Scored:
    """The mean over the positions of one channel of a layer."""
    return Scored(Units(torch.tensor([unit]), layer))


@dataclass(frozen=True)
class Neuron(Objective):
    """One channel of a layer at its central position: of an even grid the lower right of the four central ones."""

    layer: str
    unit: int

    @property
    def layers(self) -> tuple[str, ...]:
        """The layer."""
        return (self.layer,)

    def value(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """The activation at the centre."""
        maps = outputs[self.layer]
        return maps[:, self.unit, maps.shape[2] // 2, maps.shape[3] // 2]

    def check(self, model: Model) -> None:
        """Check layer and unit."""
        _check_unit(model, self.layer, self.unit)


@dataclass(frozen=True)
class WholeLayer(Objective):
    """All of a layer at once: the mean square of its activations, which strengthens what it already finds."""

    layer: str

    @property
    def layers(self) -> tuple[str, ...]:
        """The layer."""
        return (self.layer,)

    def value(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Mean a² over channels and positions."""
        return outputs[self.layer].square().flatten(1).mean(1)

    def check(self, model: Model) -> None:
        """Check the layer."""
        layer_facts(model, self.layer)


@dataclass(frozen=True)
class Direction(Objective):
    """A direction among the channels of a layer: ⟨a, v⟩ · max(0.1, cos(a, v))^power, averaged over the positions.

    With a power the activations are turned towards the direction, and not only made longer.
    """

    layer: str
    vector: tuple[float, ...]  # one number per channel
    power: float = 0.0

    @property
    def layers(self) -> tuple[str, ...]:
        """The layer."""
        return (self.layer,)

    def value(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """The dot product, times the power of the cosine."""
        maps = outputs[self.layer]
        towards = maps.new_tensor(self.vector).view(1, -1, 1, 1)
        dots = (maps * towards).sum(1)
        if self.power:
            cosines = F.cosine_similarity(maps, towards, dim=1, eps=1e-6)
            dots = dots * cosines.clamp_min(LEAST_COSINE) ** self.power
        return dots.flatten(1).mean(1)

    def check(self, model: Model) -> None:
        """Check the layer and the length of the vector, which must not be zero."""
        units = unit_count(layer_facts(model, self.layer))
        if len(self.vector) != units or not any(self.vector):
            message = f"A direction of {len(self.vector)} numbers does not fit layer '{self.layer}'."
            raise BadParameter(message, f"Give {units} numbers that are not all zero, one per channel.")


def similarity(maps: Tensor) -> Tensor:
    """How alike the textures of images are, from their maps (N, K, h, w) at one layer: a number of all of them.

    The Gram matrix of the channels describes a texture without its place; the cosines of the matrices are summed over
    the pairs of images. Subtracted from the objectives of several images it makes them differ.
    """
    flat = maps.flatten(2)
    grams = F.normalize((flat @ flat.transpose(1, 2)).flatten(1), dim=1)
    return (grams @ grams.T).triu(1).sum()


def _check_unit(model: Model, layer: str, unit: int) -> None:
    units = unit_count(layer_facts(model, layer))
    if not 0 <= unit < units:
        raise UnknownName(f"Layer '{layer}' has no unit {unit}.", f"Its units are 0 to {units - 1}.")
