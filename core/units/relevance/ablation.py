"""Ablation of relevant filters: what it costs the accuracy of each class, and what random filters cost."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from core.errors import Unsupported
from core.explain.filter_relevance import NONZERO, Relevance
from core.measure.intervals import Interval, interval
from core.models.model import Model
from core.network.cancellation import RepeatedReport
from core.progress import Report, chunks, silent
from core.units.ablation import ablation, from_layers
from core.units.analysis import ImageSet, Subject

_MEASURED = [f"{what}{end}" for what in ("lost", "random") for end in ("", "_low", "_high")]


def relevance_ablation(
    model: Model,
    relevance: Relevance,
    images: ImageSet,
    *,
    top: int = 0,
    draws: int = 20,
    seed: int = 0,
    batch: int = 16,
    report: Report = silent,
) -> pd.DataFrame:
    """The accuracy that each class loses without the filters relevant for it, in all layers, with intervals.

    Ablated are the `top` filters with the largest weights, or all with a positive one. The table has one row per class
    that has images, and a last one over all images, with the label -1: label, name, images, units, baseline (accuracy),
    lost, lost_low, lost_high, random, random_low, random_high. `random` is what is lost without as many filters of each
    layer drawn at random, on average of `draws`; without draws it is NaN. Intervals are 95% bootstrap intervals over
    the images; NaN for a single one. Raises Unsupported if no image has a class of the model.
    """
    layers = relevance.features.layers
    ends = np.cumsum([units for _, units in layers]).tolist()
    slices = {name: slice(end - units, end) for (name, units), end in zip(layers, ends, strict=True)}
    sets = {
        label: [one for one in np.argsort(-row, kind="stable").tolist() if row[one] > NONZERO][: top or None]
        for label, row in enumerate(relevance.weights)
    }
    known = [row for row, label in enumerate(images.labels) if label >= 0]
    if not known:
        message = f"None of the images has a class of {model.display}."
        raise Unsupported(message, "Name a folder with one sub-folder per class.")
    subject = Subject(model, tuple(slices), images)

    def batches(told: Report) -> Iterator[tuple[Tensor, Sequence[int]]]:
        for span in chunks(len(known), batch, told, "images ablated", counted=True):
            rows = known[span.start : span.stop]
            yield subject.inputs(rows), [images.labels[row] for row in rows]

    with RepeatedReport(report) as repeated:
        found = ablation(
            from_layers(model, slices), batches(repeated.report), {"relevant": sets}, [units for _, units in layers],
            model.labels, draws=draws, seed=seed, asserts=model.asserts,
        )  # fmt: skip
    rows = [
        (label, model.labels[label], len(right), len(sets[label]), *_losses(right))
        for label, right in found.right.items()
    ]
    units = float(np.mean([one[3] for one in rows]))
    rows.append((-1, "all", len(known), units, *_losses(np.concatenate(list(found.right.values())))))
    return pd.DataFrame(rows, columns=["label", "name", "images", "units", "baseline", *_MEASURED])


def _losses(right: NDArray[np.bool_]) -> list[float]:
    """Accuracy, and what is lost of it without the relevant filters and without random ones, each with its interval.

    `right` is of the images of a class, as `Ablation.right` has it.
    """
    before, after, drawn = right[:, 0] * 1.0, right[:, 1], right[:, 2:]
    lost = [before - after, *([before - drawn.mean(1)] if drawn.shape[1] else [])]
    found = [before.mean(), *(number for one in lost for number in _numbers(interval(one.tolist())))]
    return [*found, *[np.nan] * (1 + len(_MEASURED) - len(found))]


def _numbers(one: Interval | None) -> list[float]:
    found = (one.mean, one.low, one.high) if one else (None,) * 3
    return [np.nan if number is None else number for number in found]
