"""Bias: what a region of the images is worth to a model, and its accuracy by group."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.data.label_table import table_column
from core.data.masks.pictures import Mask
from core.errors import BadParameter, Unavailable
from core.explain.baselines import SIDE, blurred
from core.measure.intervals import Interval, interval, proportion
from core.models.model import Model
from core.network.cancellation import RepeatedReport
from core.progress import Report, silent
from core.review.predictions import Predictions
from core.review.reading import batches
from core.review.regions import Region
from core.review.shard import BATCH

Fill = Literal["grey", "black", "blur"]
_FILLED = ("filled", "control")  # columns with the classes that are predicted then


def region_share(values: NDArray[np.floating], region: Mask) -> float | None:
    """The share of the positive evidence of a map (H, W) that lies in a region; None without any evidence."""
    positive = np.maximum(values.astype(np.float64), 0)
    total = positive.sum()
    return float(positive[region].sum() / total) if total > 0 else None


@dataclass(frozen=True)
class Counterfactual:
    """What filling a region changes, and what filling a region of the same size elsewhere does."""

    table: (
        pd.DataFrame
    )  # image, predicted, filled (predicted then), probability (of `predicted`), left (of it), control
    flips: Interval | None  # the share of images whose prediction changes
    control: Interval | None  # the same where the region, turned by half a turn about the middle, is filled instead
    without: int  # images that have no region, or no prediction

    def by_class(self) -> pd.DataFrame:
        """The effect by class that was predicted: label, images, and flips, control and change with low and high.

        `change` is the mean change of the probability of that class. The last row, of label -1, is of all images.
        """
        rows = []
        for label in [*sorted(self.table["predicted"].unique().tolist()), -1]:
            own = self.table if label < 0 else self.table[self.table["predicted"] == label]
            of_flips = (proportion(int((own[name] != own["predicted"]).sum()), len(own)) for name in _FILLED)
            effects = [*of_flips, interval((own["left"] - own["probability"]).tolist())]
            numbers = [(one.mean, one.low, one.high) if one else (None, None, None) for one in effects]
            rows.append((label, len(own), *(number for three in numbers for number in three)))
        columns = [f"{name}{end}" for name in ("flips", "control", "change") for end in ("", "_low", "_high")]
        return pd.DataFrame(rows, columns=["label", "images", *columns])


def counterfactual(
    predictions: Predictions, model: Model, region: Region, fill: Fill = "grey", report: Report = silent
) -> Counterfactual:
    """The predictions of all images with a region filled: with the mean colour, black, or the image blurred.

    A filled region is itself unlike any image, so what it changes is to be compared with the control. Reads the images,
    and needs two forwards for each. Raises Unavailable if none has a region, BadParameter for a region of another size.
    """
    images, source = predictions.images, predictions.source
    usable = images["predicted"].to_numpy() >= 0
    rows = list[dict[str, object]]()
    with RepeatedReport(report) as repeated:
        for batch in batches(source, model, range(len(source)), BATCH, repeated.report):
            sizes = zip(batch.rows, batch.sizes, strict=True)
            regions = {row: region(row, size) for row, size in sizes if usable[row]}
            chosen = [number for number, row in enumerate(batch.rows) if regions.get(row) is not None]
            if batch.inputs is None or not chosen:
                continue
            inputs = batch.inputs[chosen].to(model.device)
            numbers = [batch.rows[number] for number in chosen]
            masks = torch.stack([_fitting(regions[row], inputs) for row in numbers])[:, None].to(model.device)
            before = torch.from_numpy(images["predicted"].to_numpy(np.int64)[numbers])
            predicted, left = _outputs(model, inputs, masks, fill, before)
            control, _ = _outputs(model, inputs, masks.flip(2, 3), fill, before)
            rows += [
                {
                    "image": row,
                    "predicted": int(before[number]),
                    "filled": int(predicted[number]),
                    "probability": float(images["confidence"].iloc[row]),
                    "left": float(left[number]),
                    "control": int(control[number]),
                }
                for number, row in enumerate(numbers)
            ]
        repeated.report(1.0, "predictions")
    if not rows:
        raise Unavailable(f"No image of {source.name} has the region.", "Draw a box, or choose other masks.")
    table = pd.DataFrame(rows)
    flips, control_flips = (int((table[name] != table["predicted"]).sum()) for name in ("filled", "control"))
    count = len(table)
    return Counterfactual(table, proportion(flips, count), proportion(control_flips, count), len(source) - count)


def accuracy_by_group(predictions: Predictions, groups: Sequence[str]) -> pd.DataFrame:
    """The accuracy of each group of images: group, images, right, accuracy, low, high (of its 95% interval).

    `groups` has one for each image, "" for none. Only images of known class count; groups without any are left out.
    """
    images = predictions.images
    table = pd.DataFrame({"group": list(groups), "right": images["right"].to_numpy()})
    table = table[(table["right"] >= 0) & (table["group"] != "")]
    rows = []
    for group, right in table.groupby("group", sort=True)["right"]:
        share = proportion(int(right.sum()), len(right))
        if share:
            rows.append((str(group), share.n, int(right.sum()), share.mean, share.low, share.high))
    return pd.DataFrame(rows, columns=["group", "images", "right", "accuracy", "low", "high"])


def folder_groups(paths: Sequence[str]) -> tuple[str, ...]:
    """The sub-folder of each image below its class folder, "" for none."""
    return tuple("/".join(PurePosixPath(path).parts[1:-1]) for path in paths)


def column_groups(file: str | Path, column: str, paths: Sequence[str]) -> tuple[str, ...]:
    """The value of each image in a column of a CSV file, "" for none.

    Raises Unavailable for a file that cannot be read or names none of the images, UnknownName for a missing column.
    """
    return table_column(Path(file), column, paths)


def mean_maps(maps: Iterable[tuple[int, NDArray[np.floating]]]) -> dict[int, tuple[NDArray[np.float64], int]]:
    """The mean map of each class with the number of its images, from pairs of a class and a map (H, W).

    Each map counts by its positive part, as shares of its sum, so that images with large values do not outweigh the
    others; maps without positive values are left out. One map is in memory at a time.
    """
    sums: dict[int, tuple[NDArray[np.float64], int]] = {}
    for label, values in maps:
        positive = np.maximum(values.astype(np.float64), 0)
        if (total := positive.sum()) > 0:
            before, count = sums.get(label, (np.zeros_like(positive), 0))
            sums[label] = (before + positive / total, count + 1)
    return {label: (total / count, count) for label, (total, count) in sorted(sums.items())}


@torch.no_grad()
def _outputs(model: Model, inputs: Tensor, masks: Tensor, fill: Fill, before: Tensor) -> tuple[Tensor, Tensor]:
    """The predicted classes (n,) of images with masked pixels filled, and the probability of those predicted before."""
    if fill == "blur":
        other = blurred(inputs, 10 * min(inputs.shape[2:]) / SIDE)
    else:
        other = torch.zeros_like(inputs) if fill == "grey" else model.preprocess.normalised(torch.zeros_like(inputs))
    logits = model.net(torch.where(masks, other, inputs)).cpu()
    return model.predicted(logits), model.probabilities(logits).gather(1, before[:, None])[:, 0]


def _fitting(mask: Mask | None, inputs: Tensor) -> Tensor:
    if mask is None or mask.shape != tuple(inputs.shape[2:]):
        size = " × ".join(map(str, inputs.shape[2:]))
        raise BadParameter("The region has another size than the image.", f"Give {size} pixels, as the model sees it.")
    return torch.from_numpy(mask)
