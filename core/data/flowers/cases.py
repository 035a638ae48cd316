"""Pictures of several objects: two flowers of one class, one flower, and two flowers of different classes."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from core.data.flowers import Flower, class_names, draw
from core.errors import BadParameter

Kind = Literal["several", "single", "mixed"]
KINDS: tuple[Kind, ...] = get_args(Kind)
VARIANT = "single-6c"  # whose network explains them
CASE_SEED = 5_000_000  # far from the seeds of training, of cards and of exams
SIZE = 128  # pixels

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """A picture, the class to explain in it, and where its objects are."""

    kind: Kind
    image: NDArray[np.uint8]  # (128, 128, 3)
    label: int  # the class to explain
    other: int  # the class of the other object; the same as `label` if there is none of another class
    objects: tuple[Mask, ...]  # (128, 128) of each object of the class
    distractor: Mask | None  # of the object of another class

    @property
    def mask(self) -> Mask:
        """All objects of the class."""
        return np.any(self.objects, axis=0)


def case(kind: Kind, index: int) -> Case:
    """Picture `index` of a kind; the class alternates with the index. Raises BadParameter for an unknown kind.

    A picture of two flowers shows half of each picture, at the scale at which networks are trained, with the part that
    decides the class in the middle of its half.
    """
    if kind not in KINDS:
        raise BadParameter(f"There is no case called {kind!r}.", f"Choose one of {', '.join(KINDS)}.")
    classes = len(class_names(VARIANT))
    label = index % classes
    other = label if kind != "mixed" else (label + 1 + index // classes % (classes - 1)) % classes
    first = draw(VARIANT, label, 2 * index, seed=CASE_SEED)
    if kind == "single":
        return Case(kind, first.image, label, label, (first.mask,), None)
    (left, left_mask), (right, right_mask) = _half(first), _half(draw(VARIANT, other, 2 * index + 1, seed=CASE_SEED))
    nothing = np.zeros_like(left_mask)
    masks = np.concatenate([left_mask, nothing], axis=1), np.concatenate([nothing, right_mask], axis=1)
    objects, distractor = (masks, None) if other == label else (masks[:1], masks[1])
    return Case(kind, np.concatenate([left, right], axis=1), label, other, objects, distractor)


def _half(flower: Flower) -> tuple[NDArray[np.uint8], Mask]:
    """The columns around the part that decides the class: half of the picture, and of its mask."""
    middle = round(float(np.flatnonzero(flower.mask.any(axis=0)).mean()))
    start = min(max(middle - SIZE // 4, 0), SIZE // 2)
    columns = slice(start, start + SIZE // 2)
    return flower.image[:, columns], flower.mask[:, columns]
