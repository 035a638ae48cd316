"""Browsing the patches of a study: filtering, counting, ordering."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.study import Study

Outcome = Literal["all", "right", "wrong"]
Order = Literal["score", "drop", "response", "image"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
ORDERS: tuple[Order, ...] = get_args(Order)
Rows = NDArray[np.int64]  # numbers of patches


@dataclass(frozen=True)
class PatchFilter:
    """The conditions a patch must meet to be shown; the default shows all."""

    label: int | None = None  # the class of its transaction
    filters: tuple[int, ...] = ()  # its transaction holds all of these
    strongest: int | None = None  # ... among so many of its strongest filters
    outcome: Outcome = "all"  # whether its image was classified rightly
    drop: float | None = None  # masking it cost at least this much
    image: int | None = None
    among: tuple[int, ...] | None = None  # one of these patches

    def without(self, name: str) -> "PatchFilter":
        """The same without one condition."""
        return replace(self, **{name: getattr(PatchFilter(), name)})

    def demands(self) -> tuple[str, ...]:
        """The names of the conditions."""
        return tuple(name for name, value in vars(self).items() if value != getattr(PatchFilter(), name))


STOPS = {
    "tau": "the score hardly changed any more",
    "k exhausted": "all candidates were masked",
    "map exhausted": "the heatmap held no further window",
    "map empty": "the heatmap is empty",
    "not correct": "the model gets the image wrong",
    "no label": "the image has no class of its own",
}  # why an image kept no more patches, by the word in table `images`


def kept(images: pd.DataFrame) -> pd.DataFrame:
    """How many of the images that were read kept so many patches (a row each), by why they kept no more (a column)."""
    seen = images[images["problem"] == ""]
    table = pd.crosstab(seen["patches"], seen["stop"])
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
        """Whether any image's own class is known, so that right and wrong are defined."""
        return bool((self.patches["true"] >= 0).any())

    def matching(self, wanted: PatchFilter) -> Rows:
        """The patches that meet every condition, by number."""
        patches, keep = self.patches, np.ones(len(self.patches), bool)
        if wanted.label is not None:
            keep &= (patches["label"] == wanted.label).to_numpy()
        for number in wanted.filters:
            keep &= (self.items[:, : wanted.strongest] == number).any(1)
        if wanted.outcome != "all":
            right = (patches["true"] == patches["predicted"]).to_numpy()
            keep &= (right if wanted.outcome == "right" else ~right) & (patches["true"] >= 0).to_numpy()
        if wanted.drop is not None:
            keep &= (patches["drop"] >= wanted.drop).to_numpy()
        if wanted.image is not None:
            keep &= (patches["image"] == wanted.image).to_numpy()
        if wanted.among is not None:
            keep &= np.isin(np.arange(len(patches)), wanted.among)
        return np.flatnonzero(keep)

    def by_label(self, wanted: PatchFilter) -> dict[int, int]:
        """How many patches each class would show under the other conditions."""
        labels = self.patches["label"].to_numpy()[self.matching(wanted.without("label"))]
        return dict(zip(*(part.tolist() for part in np.unique(labels, return_counts=True)), strict=True))

    def by_filter(self, wanted: PatchFilter) -> dict[int, int]:
        """How many of the matching patches hold each filter, those of most patches first."""
        items = self.items[self.matching(wanted), : wanted.strongest]
        counts = np.bincount(items[items >= 0], minlength=self.units)
        order = np.lexsort((np.arange(len(counts)), -counts))
        return {int(number): int(counts[number]) for number in order if counts[number]}

    def by_outcome(self, wanted: PatchFilter) -> dict[Outcome, int]:
        """How many patches each outcome would show under the other conditions."""
        return {outcome: len(self.matching(replace(wanted, outcome=outcome))) for outcome in OUTCOMES}

    def response(self, rows: Rows, filters: Sequence[int] = ()) -> NDArray[np.float64]:
        """The responses of these filters in each of these patches, summed; of the strongest filter if none is named."""
        if not filters:
            return self.patches["response"].to_numpy(np.float64)[rows]
        return np.where(np.isin(self.items[rows], filters), self.responses[rows], 0.0).sum(1)

    def ordered(self, rows: Rows, order: Order, filters: Sequence[int] = ()) -> Rows:
        """The same patches, highest first; equal ones (and all, by "image") as they stand in the study."""
        if order == "image":
            return rows
        values = self.response(rows, filters) if order == "response" else self.patches[order].to_numpy()[rows]
        return rows[np.argsort(-values, kind="stable")]

    def sheet(self, rows: Rows, labels: Sequence[str], tags: Sequence[str] | None = None) -> pd.DataFrame:
        """A table of these patches for export, with names in place of numbers."""
        part = self.patches.iloc[rows]
        names = ["image", "path", "rank", "x", "y", "size", "score", "before", "after", "drop"]
        sheet = part[["patch", *names]].copy()
        for column in ("label", "true", "predicted"):
            sheet[column] = [labels[k] if 0 <= k < len(labels) else "" for k in part[column]]
        sheet["filters"] = [" ".join(f"F{item}" for item in row if item >= 0) for row in self.items[rows]]
        if tags is not None:
            sheet["tags"] = list(tags)
        return sheet
