"""Average visualisations: the mean of what a relevant unit responds to in the images of a class (section 5.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.explain.filter_relevance import Relevance
from core.models.model import Model
from core.network.cancellation import RepeatedReport
from core.network.receptive_field import Span, receptive_fields
from core.progress import Report, chunks, silent, subrange
from core.units.analysis import ImageSet, Subject

Classes = Literal["predicted", "true"]

MOST = 100  # images of a class
_EMPTY = 0.5  # grey, of pixels that lie outside all images


@dataclass(frozen=True)
class ClassUnit:
    """A unit of a layer, and a class that it may be relevant for."""

    label: int
    layer: str
    unit: int


@dataclass(frozen=True)
class Average:
    """The mean patch of a unit in the images of a class."""

    of: ClassUnit
    picture: NDArray[np.float64]  # (h, w, 3) in [0, 1]
    images: int  # that it is the mean of
    highest: float  # response among them


def relevant_units(relevance: Relevance, top: int = 3) -> list[ClassUnit]:
    """The `top` units with the largest positive weights for each class, class by class; 0 for all of them."""
    labels = range(len(relevance.weights))
    return [
        ClassUnit(label, layer, unit) for label in labels for layer, unit, _ in relevance.relevant(label)[: top or None]
    ]


def average_visualisations(
    model: Model,
    images: ImageSet,
    wanted: Sequence[ClassUnit],
    *,
    classes: Classes = "predicted",
    most: int = MOST,
    weighted: bool = True,
    batch: int = 16,
    report: Report = silent,
) -> list[Average]:
    """The mean, for each unit and class, of the patches of the images of the class to which the unit responds most.

    As in Oramas et al. 2019. A patch is the receptive field of the strongest response in an image, at most as large as
    the image, and one per image; `most` images count, each by its response if `weighted`. Pixels outside an image count
    nothing: means are over the patches that have the pixel, and grey where none has. A unit that responds to no image
    of the class is left out. `classes` are those that the model predicts, or those that are known. One forward per
    image. Raises UnknownName for a layer that the model lacks, Unsupported for one without positions.
    """
    layers = tuple(dict.fromkeys(model.resolve_layer(one.layer) for one in wanted))
    subject = Subject(model, layers, images, batch=batch)
    with RepeatedReport(report) as repeated:
        table = _responses(subject, wanted, classes, subrange(repeated.report, 0.0, 0.7))
        ordered = table.sort_values(["value", "image"], ascending=[False, True])
        chosen = ordered.groupby("of").head(most).sort_values("image")
        return _means(subject, wanted, chosen, weighted, subrange(repeated.report, 0.7, 1.0))


def _responses(subject: Subject, wanted: Sequence[ClassUnit], classes: Classes, report: Report) -> pd.DataFrame:
    """The strongest responses to the images of a class: of (the row of `wanted`), image, value and cell of the map."""
    of_class: dict[int, list[int]] = {}
    for number, one in enumerate(wanted):
        of_class.setdefault(one.label, []).append(number)
    rows: list[tuple[int, int, float, int]] = []
    for span in chunks(len(subject.images.names), subject.batch, report, "images", counted=True):
        for batch, found, outputs in subject.reduced(span, _peaks):
            peaks = dict(zip(subject.layers, found, strict=True))
            predicted = subject.model.predicted(outputs).tolist()
            for place, image in enumerate(batch):
                label = predicted[place] if classes == "predicted" else subject.images.labels[image]
                for number in of_class.get(label, ()):
                    values, cells = peaks[wanted[number].layer]
                    at = place, wanted[number].unit
                    if values[at] > 0:
                        rows.append((number, image, float(values[at]), int(cells[at])))
    return pd.DataFrame(rows, columns=["of", "image", "value", "cell"])


def _peaks(maps: Tensor) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The strongest response (B, K) in each map (B, K, h, w), and its position in the flattened map."""
    values, cells = maps.float().flatten(2).max(2)
    return values.cpu().numpy(), cells.cpu().numpy()


def _means(
    subject: Subject, wanted: Sequence[ClassUnit], chosen: pd.DataFrame, weighted: bool, report: Report
) -> list[Average]:
    """The means of the patches at some responses; each image is read once."""
    example = torch.zeros(1, *subject.model.preprocess.shape, device=subject.model.device)
    fields = receptive_fields(subject.model.net, example, subject.layers)
    across = {facts.name: facts.cells[1] for facts in subject.facts}
    sums = dict[int, _Sum]()
    images = chosen["image"].unique().tolist()
    for span in chunks(len(images), 1, report, "images averaged", counted=True):
        image = images[span.start]
        pixels = subject.model.preprocess.colours(subject.images.input(image)).permute(1, 2, 0).double().numpy()
        own = chosen[chosen["image"] == image]
        for number, value, cell in zip(*(own[name].tolist() for name in ("of", "value", "cell")), strict=True):
            layer = wanted[number].layer
            row, column = divmod(cell, across[layer])
            window = (
                _window(fields[layer].rows, row, len(pixels)),
                _window(fields[layer].columns, column, len(pixels[0])),
            )
            known = sums.setdefault(number, _Sum.empty(len(window[0]), len(window[1])))
            known.add(pixels, window, value if weighted else 1.0)
    highest = chosen.groupby("of")["value"].max()
    return [Average(wanted[one], sums[one].mean, sums[one].images, float(highest[one])) for one in sorted(sums)]


def _window(span: Span, at: int, side: int) -> range:
    """The pixels of a position along an axis, some of which may lie outside the image; no more than it has."""
    size = min(span.size, side)
    start = span.first + at * span.jump + (span.size - size) // 2
    return range(start, start + size)


@dataclass
class _Sum:
    """Weighted pixels of patches."""

    total: NDArray[np.float64]  # (h, w, 3)
    weight: NDArray[np.float64]  # (h, w)
    images: int = 0

    @classmethod
    def empty(cls, height: int, width: int) -> "_Sum":
        return cls(np.zeros((height, width, 3)), np.zeros((height, width)))

    def add(self, pixels: NDArray[np.float64], window: tuple[range, range], weight: float) -> None:
        """Add what a window shows of an image (H, W, 3)."""
        into, out_of = zip(*map(_overlap, window, pixels.shape), strict=True)
        self.total[into] += weight * pixels[out_of]
        self.weight[into] += weight
        self.images += 1

    @property
    def mean(self) -> NDArray[np.float64]:
        """(h, w, 3), grey where no patch has a pixel."""
        known = self.weight[..., None] > 0
        mean: NDArray[np.float64] = np.where(known, self.total / np.where(known, self.weight[..., None], 1), _EMPTY)
        return mean


def _overlap(window: range, side: int) -> tuple[slice, slice]:
    """The part of a window that lies in the image, as slices of the window and of the image."""
    low, high = max(window.start, 0), max(min(window.stop, side), 0)
    return slice(low - window.start, high - window.start), slice(low, high)
