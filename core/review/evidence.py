"""The place of a prediction's evidence: the object, the patches of a rule, another one, or none in particular."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from core.data.image_folder import Box
from core.data.masks.annotations import Size
from core.data.masks.pictures import Mask
from core.errors import BadParameter
from core.images import resized
from core.mining.rules import transactions_of
from core.progress import Report, chunks, silent
from core.review.heatmaps import Heatmaps
from core.review.regions import Region
from core.review.source import Source
from core.study import Study

Place = Literal["object", "rule", "elsewhere", "concentrated", "diffuse", "none"]
PLACES: tuple[Place, ...] = get_args(Place)

MOST = 0.5  # share of the evidence from which it lies in a region: more there than anywhere else
DENSER = 2.0  # times as much per pixel inside as outside: a map without preference has 1, however large the region is
# Area with half of the evidence from which it is diffuse: a map that is the same everywhere needs 0.5 of the image, a
# Gaussian spot whose standard deviation is a quarter of the side 0.27.
DIFFUSE = 0.25


@dataclass(frozen=True)
class Evidence:
    """Where the positive part of a map lies."""

    place: Place
    on_object: float | None  # share on the object; None without a mask
    in_rule: float | None  # share in the patches of a fired rule; None where none fired
    area: float  # smallest fraction of the image with half of the evidence; 0 without any

    def __str__(self) -> str:
        return _SENTENCES[self.place]


_SENTENCES: dict[Place, str] = {
    "object": "Most of the evidence lies on the object.",
    "rule": "Most of the evidence lies in patches in which the filters of a rule are active.",
    "elsewhere": "Most of the evidence lies neither on the object nor in the patches of a rule.",
    "concentrated": "The evidence is concentrated; without a mask or a rule it is not known on what.",
    "diffuse": f"Half of the evidence takes more than {DIFFUSE:.0%} of the image.",
    "none": "The map has no positive evidence.",
}


def located(values: NDArray[np.floating], mask: Mask | None = None, boxes: Sequence[Box] = ()) -> Evidence:
    """Where the evidence of a map (H, W) lies, given the object's mask (H, W) and boxes of patches of fired rules.

    All are in the pixels of the model's view; negative values count as zero. A region has the evidence if it holds at
    least MOST of it, DENSER than the rest of the image; of several regions the object comes first. Raises BadParameter
    for a mask of another size, and for a map that is not finite.
    """
    if mask is not None and mask.shape != values.shape:
        message = (
            f"The mask has {mask.shape[0]} × {mask.shape[1]} pixels, the map {values.shape[0]} × {values.shape[1]}."
        )
        raise BadParameter(message, "Give the mask as the model sees it.")
    if not np.isfinite(values).all():
        raise BadParameter("The map has values that are not finite.", "Compute it again with other settings.")
    positive = np.maximum(values.astype(np.float64), 0)
    total = positive.sum()
    patches = _filled(boxes, values.shape)
    if total <= 0:
        return Evidence("none", None if mask is None else 0.0, 0.0 if boxes else None, 0.0)
    on_object = None if mask is None else float(positive[mask].sum() / total)
    in_rule = float(positive[patches].sum() / total) if boxes else None
    area = _half(positive)
    if mask is not None and on_object is not None and _holds(on_object, mask):
        place: Place = "object"
    elif in_rule is not None and _holds(in_rule, patches):
        place = "rule"
    elif area > DIFFUSE:
        place = "diffuse"
    else:
        place = "concentrated" if mask is None and not boxes else "elsewhere"
    return Evidence(place, on_object, in_rule, area)


def fired(study: Study) -> pd.DataFrame:
    """The patches of a study in which all filters of a rule are active: rule, label (of the rule), image, y, x, size.

    Positions are in the pixels of the model's view.
    """
    patches, transactions, found = study.table("patches"), transactions_of(study), []
    for rule, label, filters in study.table("rules")[["rule", "label", "filters"]].itertuples(index=False):
        own = patches.iloc[transactions.holding([int(one) for one in filters])]
        found.append(own[["image", "y", "x", "size"]].assign(rule=int(rule), label=int(label)))
    columns = ["rule", "label", "image", "y", "x", "size"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def boxes_of(patches: pd.DataFrame) -> list[Box]:
    """The boxes of some rows of `fired`."""
    return [(y, x, size, size) for y, x, size in patches[["y", "x", "size"]].to_numpy(np.int64).tolist()]


def stored_evidence(source: Source, region: Region | None = None, report: Report = silent) -> dict[int, Evidence]:
    """Where the evidence of each prediction of a study lies, by the heatmaps that the study stores.

    Rules count that are of the predicted class; `region` gives the objects, if they are known. Empty for a folder, and
    for a study whose heatmaps explain the images' own classes instead.
    """
    study = source.study
    if study is None or study.manifest.settings.patches.target != "predicted":
        return {}
    images, maps, size = study.table("images"), study.array("maps"), study.manifest.model.view
    patches = dict(iter(fired(study).groupby(["image", "label"])))
    found = {}
    for span in chunks(len(source), 1, report, "heatmaps", counted=True):
        row = source.rows[span.start]
        if not images["problem"].iloc[row]:
            own = patches.get((row, int(images["predicted"].iloc[row])))
            mask = region(span.start, _size(images, row)) if region else None
            found[span.start] = located(_seen(maps[row], size), mask, [] if own is None else boxes_of(own))
    return found


def computed_evidence(
    heatmaps: Heatmaps, size: Size, region: Region | None = None, report: Report = silent
) -> dict[int, Evidence]:
    """Where the evidence of each prediction for a folder lies, by heatmaps that were computed for it.

    `size` is that of the model's view; `region` gives the objects, if they are known. There are no rules.
    """
    images, maps, found = heatmaps.table("images"), heatmaps.array("maps"), {}
    for span in chunks(len(images), 1, report, "places", counted=True):
        row = span.start
        if not images["problem"].iloc[row]:
            found[row] = located(_seen(maps[row], size), region(row, _size(images, row)) if region else None)
    return found


def _seen(values: NDArray[np.floating], size: Size) -> NDArray[np.float32]:
    """A stored map in the pixels of the model's view."""
    seen: NDArray[np.float32] = resized(torch.from_numpy(np.array(values, np.float32))[None], size)[0].numpy()
    return seen


def _size(images: pd.DataFrame, row: int) -> Size:
    """The height and width of a picture."""
    return int(images["height"].iloc[row]), int(images["width"].iloc[row])


def _filled(boxes: Sequence[Box], size: tuple[int, ...]) -> Mask:
    mask = np.zeros(size, bool)
    for top, left, height, width in boxes:
        mask[top : top + height, left : left + width] = True
    return mask


def _holds(share: float, region: Mask) -> bool:
    """Whether a region with this share of the evidence has most of it, and has it more densely than the rest."""
    area = float(region.mean())
    return share >= MOST and share * (1 - area) >= DENSER * (1 - share) * area


def _half(positive: NDArray[np.float64]) -> float:
    """The smallest fraction of the pixels with half of the evidence."""
    largest = np.sort(positive, axis=None)[::-1]
    sums = np.cumsum(largest)
    return float((np.searchsorted(sums, sums[-1] / 2) + 1) / positive.size)
