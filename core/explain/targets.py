"""Targets of an explanation: a class, a group of classes, a unit of a layer, or the difference of two of them."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor

from core.data.model_options import Output
from core.errors import BadParameter, Unsupported
from core.models.output import log_probabilities, probabilities

Score = Literal["logit", "prob", "logprob", "margin"]
Rows = slice | Sequence[int] | Tensor


class Target(ABC):
    """One number per image that the model computes and a method explains.

    A new kind needs a score that is differentiable in the outputs it reads, and a key.
    """

    layer: str  # whose output is read; "" is the model's output

    @property
    @abstractmethod
    def key(self) -> tuple[Hashable, ...]:
        """A key that is equal exactly for equal targets: part of every cache key."""

    @abstractmethod
    def score(self, outputs: Tensor, kind: Score, meaning: Output = "softmax") -> Tensor:
        """The score (N,) from logits (N, C) of this meaning, or from the maps (N, K, h, w) of `layer`."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of images."""

    @abstractmethod
    def __getitem__(self, rows: Rows) -> Self:
        """The targets of some of the images."""

    @abstractmethod
    def repeated(self, row: int, count: int) -> Self:
        """The target of one image, for that many copies of it."""

    @abstractmethod
    def to(self, device: torch.device | str) -> Self:
        """The same targets on a device."""


@dataclass(frozen=True, eq=False)
class _Indexed(Target):
    indices: Tensor  # (B,), of groups (B, M)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, rows: Rows) -> Self:
        return self._with(self.indices[rows])

    def repeated(self, row: int, count: int) -> Self:
        return self._with(self.indices[row].expand(count, *self.indices.shape[1:]))

    def to(self, device: torch.device | str) -> Self:
        return self._with(self.indices.to(device))

    @abstractmethod
    def _with(self, indices: Tensor) -> Self: ...


@dataclass(frozen=True, eq=False)
class Classes(_Indexed):
    """A class of the model for each image, by its index."""

    layer = ""

    @property
    def key(self) -> tuple[Hashable, ...]:
        """The class indices."""
        return ("classes", *self.indices.tolist())

    def score(self, outputs: Tensor, kind: Score, meaning: Output = "softmax") -> Tensor:
        """The logit, its lead over the best other class ("margin"), or the (log-)probability."""
        return class_scores(outputs, self.indices, kind, meaning)

    def _with(self, indices: Tensor) -> "Classes":
        return Classes(indices)


@dataclass(frozen=True, eq=False)
class Groups(_Indexed):
    """Several classes of the model for each image, by their indices; the group counts as one class."""

    layer = ""

    @property
    def key(self) -> tuple[Hashable, ...]:
        """The class indices of every group."""
        return ("groups", *map(tuple, self.indices.tolist()))

    def score(self, outputs: Tensor, kind: Score, meaning: Output = "softmax") -> Tensor:
        """The sum of the logits, or of the probabilities: that of any of the classes. Raises Unsupported for "margin".

        "logprob" is the logarithm of that sum; of a regression every score is the sum of the values.
        """
        if kind == "margin":
            raise Unsupported("A group has no lead over the best other class.", "Choose another score.")
        if kind == "logprob" and meaning != "regression":
            return log_probabilities(outputs, meaning).gather(1, self.indices).logsumexp(1)
        values = outputs if kind == "logit" else probabilities(outputs, meaning)
        return values.gather(1, self.indices).sum(1)

    def _with(self, indices: Tensor) -> "Groups":
        return Groups(indices)


@dataclass(frozen=True, eq=False)
class Units(_Indexed):
    """A unit of a layer for each image, by the index of its channel; its mean activation is explained."""

    layer: str

    @property
    def key(self) -> tuple[Hashable, ...]:
        """The layer and the channels."""
        return ("units", self.layer, *self.indices.tolist())

    def score(self, outputs: Tensor, kind: Score, meaning: Output = "softmax") -> Tensor:  # noqa: ARG002 - one score
        """The mean over the positions, for any `kind`."""
        return outputs.flatten(2).mean(2).gather(1, self.indices[:, None])[:, 0]

    def _with(self, indices: Tensor) -> "Units":
        return Units(indices, self.layer)


@dataclass(frozen=True, eq=False)
class Difference(Target):
    """The difference of the scores of two targets: why this class rather than that one?

    Raises BadParameter unless both have the same number of images and read the same outputs.
    """

    first: Target
    second: Target

    def __post_init__(self) -> None:
        if self.first.layer != self.second.layer or len(self.first) != len(self.second):
            message = "A difference needs two targets of the same images and outputs."
            raise BadParameter(message, "Compare two classes or groups, or two units of one layer.")
        object.__setattr__(self, "layer", self.first.layer)

    @property
    def key(self) -> tuple[Hashable, ...]:
        """The keys of both."""
        return ("difference", self.first.key, self.second.key)

    def score(self, outputs: Tensor, kind: Score, meaning: Output = "softmax") -> Tensor:
        """The difference of both scores; in place of probabilities that of their logarithms, the log-odds.

        Those depend on the two alone, where the difference of probabilities vanishes with both. Raises Unsupported for
        "margin", which is a difference already.
        """
        if kind == "margin":
            message = "A difference of two targets has no lead over the best other class."
            raise Unsupported(message, "Choose another score.")
        kind = "logprob" if kind == "prob" else kind
        return self.first.score(outputs, kind, meaning) - self.second.score(outputs, kind, meaning)

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, rows: Rows) -> "Difference":
        return Difference(self.first[rows], self.second[rows])

    def repeated(self, row: int, count: int) -> "Difference":
        """The target of one image, for that many copies of it."""
        return Difference(self.first.repeated(row, count), self.second.repeated(row, count))

    def to(self, device: torch.device | str) -> "Difference":
        """The same targets on a device."""
        return Difference(self.first.to(device), self.second.to(device))


def class_scores(logits: Tensor, classes: Tensor, kind: Score, meaning: Output = "softmax") -> Tensor:
    """The score (N,) of each row's class: the logit, its lead over the best other one, its (log-)probability.

    One output alone has no other, so its lead is itself.
    """
    if kind == "margin" and logits.shape[1] > 1:
        others = logits.scatter(1, classes[:, None], -torch.inf).amax(1)
        return logits.gather(1, classes[:, None])[:, 0] - others
    if kind == "prob":
        logits = probabilities(logits, meaning)
    elif kind == "logprob":
        logits = log_probabilities(logits, meaning)
    return logits.gather(1, classes[:, None])[:, 0]
