"""Disagreements: which images two models decide differently, and which of the two is right there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from reprlib import repr as short
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.layout import UNKNOWN
from core.errors import BadParameter
from core.measure.intervals import Interval, proportion
from core.review.predictions import Predictions
from core.review.queue import Rows
from core.review.source import Source

Outcome = Literal["disagree", "first", "second", "both wrong", "both right", "agree", "all"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


def for_labels(source: Source, labels: Sequence[str], others: Sequence[str]) -> Source:
    """The images of a source whose classes are numbered by `labels`, with the numbers of a model of the `others`.

    Classes are matched by their names; those that the other model lacks are unknown to it. Raises BadParameter if no
    name is common to both.
    """
    if not set(labels) & set(others):
        message = (
            f"The models have no class of the same name: one has {short(labels[0])}, the other {short(others[0])}."
        )
        raise BadParameter(message, "Choose a second model of the same classes.")
    if tuple(labels) == tuple(others):
        return source
    number = {name: label for label, name in enumerate(others)}
    known = [UNKNOWN if label == UNKNOWN else number.get(labels[label], UNKNOWN) for label in source.labels]
    lost = sum(one == UNKNOWN != label for one, label in zip(known, source.labels, strict=True))
    note = f"{lost:,} of {len(source):,} images are of classes that the second model lacks."
    return replace(source, labels=tuple(known), notes=(*source.notes, *([note] if lost else [])))


@dataclass(frozen=True)
class TwoModels:
    """The predictions of two models for the same images. Raises BadParameter if the images differ."""

    first: Predictions
    second: Predictions

    def __post_init__(self) -> None:
        if (self.first.source.paths, self.first.source.shas) != (self.second.source.paths, self.second.source.shas):
            message = f"{self.first.model} and {self.second.model} were not predicted for the same images."
            raise BadParameter(message, "Predict the same study or folder with both.")

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each image: image, path, label (its name), first, second (predicted names), their confidences
        first_confidence and second_confidence, first_right and second_right (1, 0; -1 unknown), agree (1, 0; -1 where
        one has no prediction).

        Models agree on an image if they predict classes of the same name.
        """
        one, other = self.first.images, self.second.images
        names = [self.first.class_name(label) for label in one["label"]]
        predicted = [self.first.class_name(label) for label in one["predicted"]]
        predicted_by_other = [self.second.class_name(label) for label in other["predicted"]]
        there = ((one["predicted"] >= 0) & (other["predicted"] >= 0)).to_numpy()
        same = np.array([a == b for a, b in zip(predicted, predicted_by_other, strict=True)], dtype=bool)
        return pd.DataFrame({
            "image": one["image"], "path": one["path"], "label": names, "first": predicted,
            "first_confidence": one["confidence"], "second": predicted_by_other,
            "second_confidence": other["confidence"], "first_right": one["right"], "second_right": other["right"],
            "agree": np.where(there, same.astype(int), -1),
        })  # fmt: skip

    @cached_property
    def judged(self) -> NDArray[np.bool_]:
        """The images on which both are right or wrong (N)."""
        return ((self.table["first_right"] >= 0) & (self.table["second_right"] >= 0)).to_numpy()

    def rows(self, outcome: Outcome = "disagree") -> Rows:
        """The images of an outcome, those on which the models are surest together first."""
        keep = np.flatnonzero(self._matching(outcome))
        sure = (self.table["first_confidence"] + self.table["second_confidence"]).to_numpy()[keep]
        return keep[np.argsort(-np.nan_to_num(sure), kind="stable")]

    def counts(self) -> dict[Outcome, int]:
        """The number of images of each outcome."""
        return {outcome: int(self._matching(outcome).sum()) for outcome in OUTCOMES}

    def agreement(self) -> Interval | None:
        """The share of images on which they agree, with its 95% interval; None if none has both predictions."""
        agree = self.table["agree"].to_numpy()
        return proportion(int((agree == 1).sum()), int((agree >= 0).sum()))

    def accuracies(self) -> tuple[Interval | None, Interval | None]:
        """The accuracy of each on the images that both are judged on."""
        images, count = self.table[self.judged], int(self.judged.sum())
        first, second = (proportion(int(images[f"{name}_right"].sum()), count) for name in ("first", "second"))
        return first, second

    def chance(self) -> float | None:
        """The p value of the exact McNemar test: how likely such a difference is if both are right equally often.

        It depends only on the images on which one of them is right (McNemar 1947; two-sided binomial test); None if
        there are none.
        """
        from scipy.stats import binomtest

        counts = self.counts()
        alone = counts["first"] + counts["second"]
        return float(binomtest(counts["first"], alone).pvalue) if alone else None

    def _matching(self, outcome: Outcome) -> NDArray[np.bool_]:
        """Whether each image is of an outcome."""
        agree = self.table["agree"].to_numpy()
        first, second = ((self.table[f"{name}_right"] == 1).to_numpy() for name in ("first", "second"))
        return {
            "disagree": agree == 0,
            "first": self.judged & first & ~second,
            "second": self.judged & second & ~first,
            "both wrong": self.judged & ~first & ~second,
            "both right": self.judged & first & second,
            "agree": agree == 1,
            "all": agree >= 0,
        }[outcome]
