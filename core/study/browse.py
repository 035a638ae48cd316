"""Filtering, counting and ordering of the patches of a study."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.measure.intervals import Interval, proportion
from core.study import Study

Outcome = Literal["all", "right", "wrong"]
Order = Literal["score", "drop", "response", "image"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
ORDERS: tuple[Order, ...] = get_args(Order)
Rows = NDArray[np.int64]  # indices of patches


@dataclass(frozen=True)
class PatchFilter:
    """The conditions a patch must meet to be shown; the default shows all."""

    label: int | None = None  # the class of its transaction
    filters: tuple[int, ...] = ()  # its transaction contains all of these
    strongest: int | None = None  # ... among this many of its strongest filters
    outcome: Outcome = "all"  # whether its image was classified correctly
    drop: float | None = None  # masking it lowered the score by at least this much
    image: int | None = None
    among: tuple[int, ...] | None = None  # one of these patches

    def without(self, name: str) -> "PatchFilter":
        """A copy without one condition."""
        return replace(self, **{name: getattr(PatchFilter(), name)})

    def demands(self) -> tuple[str, ...]:
        """The names of the conditions."""
        return tuple(name for name, value in vars(self).items() if value != getattr(PatchFilter(), name))


def right_share(study: Study, images: pd.DataFrame) -> Interval | None:
    """The share of the study's images that its model is right about; None where no class is known, or several hold.

    `images` is the table of that name.
    """
    judged = images[(images["label"] >= 0) & (images["predicted"] >= 0)]
    if study.manifest.model.output == "multilabel":
        return None
    return proportion(int((judged["label"] == judged["predicted"]).sum()), len(judged))


STOPS = {
    "tau": "the score hardly changed any more",
    "k exhausted": "all candidates were masked",
    "map exhausted": "the heatmap held no further window",
    "map empty": "the heatmap is empty",
    "not correct": "the model gets the image wrong",
    "no label": "the image has no class of its own",
    "none predicted": "no label is above the threshold",
}  # why no more patches of an image were selected, by the word in table `images`


def patches_per_image(images: pd.DataFrame) -> pd.DataFrame:
    """The number of images by number of selected patches (rows) and by reason for no more (columns)."""
    readable = images[images["problem"] == ""]
    table = pd.crosstab(readable["patches"], readable["stop"])
    order = [why for why in STOPS if why in table] + [why for why in table if why not in STOPS]
    return table[order].rename_axis(index=None, columns=None)


class Catalogue:
    """The patches of a study with the facts of their images, held in memory."""

    def __init__(self, study: Study) -> None:
        images = study.table("images")[["image", "path", "label", "predicted", "probability"]]
        images = images.rename(columns={"label": "true"})
        patches = study.table("patches").merge(images, on="image", how="left", validate="many_to_one")
        patches.insert(0, "patch", np.arange(len(patches)))
        self.patches = patches
        self.items: NDArray[Any] = np.asarray(study.array("items"))  # (P, N)
        self.responses: NDArray[Any] = np.asarray(study.array("responses"))  # (P, N)
        self.units = int(study.manifest.model.filters)

    @cached_property
    def labelled(self) -> bool:
        """Whether the class of any image is known, so that correct and wrong are defined."""
        return bool((self.patches["true"] >= 0).any())

    def matching(self, conditions: PatchFilter) -> Rows:
        """The indices of the patches that meet every condition."""
        patches, keep = self.patches, np.ones(len(self.patches), bool)
        if conditions.label is not None:
            keep &= (patches["label"] == conditions.label).to_numpy()
        for number in conditions.filters:
            keep &= (self.items[:, : conditions.strongest] == number).any(1)
        if conditions.outcome != "all":
            right = (patches["true"] == patches["predicted"]).to_numpy()
            keep &= (right if conditions.outcome == "right" else ~right) & (patches["true"] >= 0).to_numpy()
        if conditions.drop is not None:
            keep &= (patches["drop"] >= conditions.drop).to_numpy()
        if conditions.image is not None:
            keep &= (patches["image"] == conditions.image).to_numpy()
        if conditions.among is not None:
            keep &= np.isin(np.arange(len(patches)), conditions.among)
        return np.flatnonzero(keep)

    def by_label(self, conditions: PatchFilter) -> dict[int, int]:
        """The number of patches of each class under the other conditions."""
        labels = self.patches["label"].to_numpy()[self.matching(conditions.without("label"))]
        return dict(zip(*(part.tolist() for part in np.unique(labels, return_counts=True)), strict=True))

    def by_filter(self, conditions: PatchFilter) -> dict[int, int]:
        """The number of matching patches with each filter, most frequent first."""
        items = self.items[self.matching(conditions), : conditions.strongest]
        counts = np.bincount(items[items >= 0], minlength=self.units)
        order = np.lexsort((np.arange(len(counts)), -counts))
        return {int(number): int(counts[number]) for number in order if counts[number]}

    def by_outcome(self, conditions: PatchFilter) -> dict[Outcome, int]:
        """The number of patches of each outcome under the other conditions."""
        return {outcome: len(self.matching(replace(conditions, outcome=outcome))) for outcome in OUTCOMES}

    def response(self, rows: Rows, filters: Sequence[int] = ()) -> NDArray[np.float64]:
        """The summed responses of these filters in each of these patches; of the strongest filter if none is given."""
        if not filters:
            return self.patches["response"].to_numpy(np.float64)[rows]
        return np.where(np.isin(self.items[rows], filters), self.responses[rows], 0.0).sum(1)

    def ordered(self, rows: Rows, order: Order, filters: Sequence[int] = ()) -> Rows:
        """The same patches, highest first; equal ones (and all, by "image") in the order of the study."""
        if order == "image":
            return rows
        values = self.response(rows, filters) if order == "response" else self.patches[order].to_numpy()[rows]
        return rows[np.argsort(-values, kind="stable")]

    def sheet(self, rows: Rows, labels: Sequence[str], tags: Sequence[str] | None = None) -> pd.DataFrame:
        """A table of these patches for export, with names in place of numbers."""
        patches = self.patches.iloc[rows]
        names = ["image", "path", "rank", "x", "y", "size", "score", "before", "after", "drop"]
        sheet = patches[["patch", *names]].copy()
        for column in ("label", "true", "predicted"):
            sheet[column] = [labels[k] if 0 <= k < len(labels) else "" for k in patches[column]]
        sheet["filters"] = [" ".join(f"F{item}" for item in row if item >= 0) for row in self.items[rows]]
        if tags is not None:
            sheet["tags"] = list(tags)
        return sheet
