"""Maps of a sample of the images by Grad-CAM, their means by class, and where these are strongest."""

from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from core.data.masks.annotations import Size
from core.data.masks.pictures import Mask
from core.errors import Unavailable
from core.images import Pixels, eight_bits
from core.measure.intervals import interval
from core.models.model import Model
from core.network.cancellation import RepeatedReport
from core.progress import Report, chunks, silent
from core.review.bias import mean_maps, region_share
from core.review.heatmaps import explained
from core.review.predictions import Predictions
from core.review.regions import Region

SAMPLE = 240  # images at most

Box = tuple[float, float, float, float]  # left, top, width and height as fractions of the model's view


@dataclass(frozen=True)
class SampledMaps:
    """Maps for the predicted classes of some images, and the mean of these images."""

    rows: tuple[int, ...]  # of the predictions
    labels: tuple[int, ...]  # predicted classes
    values: NDArray[np.float32]  # (n, H, W)
    sizes: tuple[Size, ...]  # height and width of the pictures
    mean: Pixels  # (H, W, 3)

    @cached_property
    def means(self) -> dict[int, tuple[NDArray[np.float64], int]]:
        """The mean map (H, W) of each predicted class, and the number of its images; of maps as shares of their sum."""
        return mean_maps(zip(self.labels, self.values, strict=True))

    @cached_property
    def overall(self) -> NDArray[np.float64]:
        """The mean map (H, W) of all classes, each as much as another; zero without any evidence."""
        maps = [one for one, _ in self.means.values()]
        return np.mean(maps, axis=0) if maps else np.zeros(self.values.shape[1:])

    def regions(self, region: Region, report: Report = silent) -> Mask:
        """The region of each map (n, H, W), false everywhere for an image without one."""
        masks = np.zeros(self.values.shape, bool)
        for span in chunks(len(masks), 1, report, "masks", counted=True):
            mask = region(self.rows[span.start], self.sizes[span.start])
            if mask is not None:
                masks[span.start] = mask
        return masks

    def shares(self, region: Mask) -> pd.DataFrame:
        """The share of the evidence inside a region by predicted class: label, images, area, share, low, high.

        The region is one for all maps (H, W), or one for each (n, H, W). The last row, of label -1, is of all images.
        Images without evidence or without a region are left out; the area is the mean over the others.
        """
        regions = np.broadcast_to(region, self.values.shape)
        of_images = [
            region_share(values, own) if own.any() else None for values, own in zip(self.values, regions, strict=True)
        ]
        areas = regions.mean((1, 2))
        rows = []
        for label in [*sorted(set(self.labels)), -1]:
            own = [
                (share, area)
                for share, area, of in zip(of_images, areas.tolist(), self.labels, strict=True)
                if share is not None and label in (of, -1)
            ]
            if mean := interval([share for share, _ in own]):
                rows.append((label, mean.n, fmean(area for _, area in own), mean.mean, mean.low, mean.high))
        return pd.DataFrame(rows, columns=["label", "images", "area", "share", "low", "high"])


def sampled_maps(
    predictions: Predictions, model: Model, *, limit: int = SAMPLE, report: Report = silent
) -> SampledMaps:
    """The maps of at most `limit` images, taken at equal distances, with one forward and one backward for each.

    Raises Unavailable if none of them can be read, Unsupported for a model without spatial positions.
    """
    source, predicted = predictions.source, predictions.images["predicted"].to_numpy()
    every = range(0, len(source), max(1, -(-len(source) // limit)))
    rows, sizes, maps, total = list[int](), list[Size](), list[NDArray[np.float32]](), torch.zeros(())
    with RepeatedReport(report) as repeated:
        for found in explained(predictions, model, every, {}, repeated.report):
            maps.append(found.explanation.maps.numpy().astype(np.float32))
            rows += found.rows
            sizes += found.sizes
            total = total + model.preprocess.pixels(found.inputs.cpu())[:, :3].clamp(0, 1).sum(0)
        repeated.report(1.0, "maps")
    if not rows:
        message = f"No image of {source.name} can be read, so there are no maps."
        raise Unavailable(message, "Put the images back where they were.")
    mean = eight_bits((total / len(rows)).expand(3, -1, -1).permute(1, 2, 0).numpy())
    return SampledMaps(tuple(rows), tuple(predicted[rows].tolist()), np.concatenate(maps), tuple(sizes), mean)


def common(region: Mask) -> Mask:
    """The pixels (H, W) inside at least half of the regions, for a drawing on what is a mean of images."""
    if region.ndim == 2:
        return region
    known = region[region.any((1, 2))]
    half: Mask = known.sum(0) * 2 >= len(known) if len(known) else np.zeros(region.shape[1:], bool)
    return half


def strongest_box(values: NDArray[np.floating], width: float, height: float) -> Box:
    """The box of this size, in fractions of a map (H, W), that holds most of it; the first one from the top left."""
    tall, wide = (
        max(1, min(side, round(part * side))) for part, side in zip((height, width), values.shape, strict=True)
    )
    sums = np.pad(values.astype(np.float64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    inside = sums[tall:, wide:] - sums[:-tall, wide:] - sums[tall:, :-wide] + sums[:-tall, :-wide]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    return min(float(left) / values.shape[1], 1 - width), min(float(top) / values.shape[0], 1 - height), width, height
