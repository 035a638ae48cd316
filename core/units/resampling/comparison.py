"""Comparison of metrics over many images: where their patches lie, what these tell, and how alike their selections are.

The experiments of section 5 of Lengerich et al. 2017, with masks in place of judgements by eye.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import BadParameter
from core.explain.query import Query
from core.explain.target_name import TargetName
from core.measure.intervals import interval
from core.models.model import Model
from core.progress import Report, chunks, silent, subrange
from core.units.resampling.evaluation import expected_similarity, patch_localisation, set_similarity
from core.units.resampling.metrics import METRICS
from core.units.resampling.patches import Box, patches
from core.units.resampling.resampled import resample
from core.units.resampling.secondary_classifier import crops, secondary_classifier

PAIR = ("corr", "prec")  # the two metrics of the paper
TOPS = (5, 20)  # of table 1
_LEARN = 0.2  # share of the work that secondary classifiers take
_EVALUATED = ("localisation", "low", "high", "area", "patches", "images", "accuracy", "chance", "tested")

Selection = Mapping[str, NDArray[np.int64]]  # layer -> filters


@dataclass(frozen=True)
class Example:
    """An image of known class, with the mask of its object."""

    input: Tensor  # (C, H, W)
    label: int
    mask: NDArray[np.bool_]  # (H, W)


@dataclass(frozen=True)
class _Asked:
    """What is selected for each image."""

    metrics: Sequence[str]
    tops: Sequence[int]  # filters per layer
    layers: Sequence[str]
    seed: int
    settings: Mapping[str, Any]  # of `resample`

    def __post_init__(self) -> None:
        if wrong := [metric for metric in self.metrics if metric not in METRICS]:
            raise BadParameter(f"There is no metric called {wrong[0]!r}.", f"Choose of {', '.join(METRICS)}.")


@dataclass(frozen=True)
class _Chosen:
    """The filters that metrics select for one image, and the patches of all of them."""

    selections: Mapping[tuple[str, int], Selection]  # by metric and number of filters per layer
    sizes: Mapping[str, int]  # filters of each layer
    boxes: Mapping[tuple[str, int], Box | None]  # by layer and filter

    def of(self, metric: str, top: int) -> list[Box]:
        """The patches of a selection, without those of filters that are nowhere active."""
        own = self.selections[metric, top]
        found = [self.boxes[layer, int(number)] for layer, numbers in own.items() for number in numbers]
        return [box for box in found if box]


def compared(
    model: Model,
    examples: Sequence[Example],
    metrics: Sequence[str] = tuple(METRICS),
    *,
    layers: Sequence[str] = (),
    tops: Sequence[int] = TOPS,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    report: Report = silent,
) -> pd.DataFrame:
    """Table 1 of Lengerich et al. 2017: a row for each metric and number of filters per layer.

    `localisation` is the share of patches with pixels of the object, with its interval over images; `area` their mean
    share of the image, as large patches hit by chance; `accuracy` that of a secondary classifier on patches of other
    images, beside the `chance` of always saying the most frequent class; nan if a class has patches of fewer than two
    images. `settings` are those of `resample`. Raises what `resample` raises, and BadParameter without images or for
    metrics that do not exist.
    """
    asked = _Asked(metrics, tops, layers, seed, settings or {})
    chosen = _chosen(model, examples, asked, subrange(report, 0, 1 - _LEARN))
    rows, pairs = [], [(metric, top) for metric in metrics for top in tops]
    for number, (metric, top) in enumerate(pairs):
        part = subrange(
            report, 1 - _LEARN + _LEARN * number / len(pairs), 1 - _LEARN + _LEARN * (number + 1) / len(pairs)
        )
        found = _evaluated(model, examples, [one.of(metric, top) for one in chosen], seed, part)
        rows.append((metric, METRICS[metric].title, top, *found))
    return pd.DataFrame(rows, columns=["metric", "title", "top", *_EVALUATED])


def followed(
    models: Sequence[Model],
    examples: Sequence[Example],
    metrics: tuple[str, str] = PAIR,
    *,
    layers: Sequence[str] = (),
    top: int = TOPS[0],
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    report: Report = silent,
) -> pd.DataFrame:
    """Figures 2 and 3 of Lengerich et al. 2017: a row for the network after each epoch of its training.

    `network` is its accuracy on the images, `accuracy_METRIC` that of a secondary classifier on patches by a metric;
    `similarity` the Jaccard index of the filters that the two metrics select, averaged over the images, from `low` to
    `high` with other images, and `random` the one expected of random sets of the same sizes. Raises as `compared`, and
    BadParameter unless all models have the same classes.
    """
    if len({model.labels for model in models}) != 1:
        raise BadParameter("These models have different classes.", "Give the epochs of one training.")
    rows, asked = [], _Asked(metrics, (top,), layers, seed, settings or {})
    for number, model in enumerate(models):
        epoch = subrange(report, number / len(models), (number + 1) / len(models))
        own = _chosen(model, examples, asked, subrange(epoch, 0, 1 - _LEARN))
        learning = subrange(epoch, 1 - _LEARN, 1)
        found = [
            _evaluated(model, examples, [one.of(metric, top) for one in own], seed, learning) for metric in metrics
        ]
        accuracies = [one[_EVALUATED.index("accuracy")] for one in found]
        alike, chance = zip(*(_similarity(one, metrics, top) for one in own), strict=True)
        around = interval(alike, seed=seed)
        low, high = (around.low, around.high) if around else (np.nan, np.nan)
        rows.append((number + 1, _accuracy(model, examples), *accuracies, np.mean(alike), low, high, np.mean(chance)))
    names = [f"accuracy_{metric}" for metric in metrics]
    return pd.DataFrame(rows, columns=["epoch", "network", *names, "similarity", "low", "high", "random"])


def _evaluated(
    model: Model, examples: Sequence[Example], boxes: Sequence[Sequence[Box]], seed: int, report: Report
) -> tuple[float | int | None, ...]:
    """The numbers `_EVALUATED` of the patches of each image; nan where these have too few patches."""
    counts = [len(own) for own in boxes]
    if not sum(counts):
        return (np.nan,) * 4 + (0, 0) + (np.nan,) * 2 + (0,)
    place = patch_localisation(boxes, [one.mask for one in examples], seed=seed)
    around = place.interval
    low, high = (around.low, around.high) if around else (np.nan, np.nan)
    pixels = [model.preprocess.colours(one.input.cpu()) for one in examples]
    parts = torch.cat([crops(image, own) for image, own in zip(pixels, boxes, strict=True)])
    images = np.repeat(np.arange(len(examples)), counts)
    labels = np.repeat([one.label for one in examples], counts)
    try:
        told = secondary_classifier(parts, images.tolist(), labels.tolist(), seed=seed, report=report)
    except BadParameter:  # a class has patches of fewer than two images
        return place.share, low, high, place.area, place.patches, place.images, np.nan, np.nan, 0
    return place.share, low, high, place.area, place.patches, place.images, told.accuracy, told.chance, told.tested


def _similarity(chosen: _Chosen, metrics: tuple[str, str], top: int) -> tuple[float, float]:
    """The Jaccard index of two selections for one image, and that expected of random ones."""
    first, second = (chosen.selections[metric, top] for metric in metrics)
    sets = [{(layer, int(number)) for layer in own for number in own[layer]} for own in (first, second)]
    sizes = [(count, len(first.get(layer, ())), len(second.get(layer, ()))) for layer, count in chosen.sizes.items()]
    return set_similarity(*sets), expected_similarity(sizes)


def _chosen(model: Model, examples: Sequence[Example], asked: _Asked, report: Report) -> list[_Chosen]:
    """The selections for each image."""
    if not examples:
        raise BadParameter("There are no images of known class with a mask.", "Give a folder with masks.")
    spans = chunks(len(examples), 1, report, "images resampled", counted=True)
    return [_of_image(model, examples[span.start], asked) for span in spans]


def _of_image(model: Model, example: Example, asked: _Asked) -> _Chosen:
    """The selections for one image; each filter that any metric selects is projected once."""
    images = example.input[None].to(model.device)
    query = Query(model, images, TargetName((example.label,)).targets(model.device), seed=asked.seed)
    found = resample(query, asked.layers, **asked.settings)
    selections = {
        (metric, top): found.selected(metric, top=top, seed=asked.seed)
        for metric in asked.metrics
        for top in asked.tops
    }
    wanted: dict[str, set[int]] = {}
    for own in selections.values():
        for layer, numbers in own.items():
            wanted.setdefault(layer, set()).update(numbers.tolist())
    located = patches(query, {layer: sorted(numbers) for layer, numbers in wanted.items()})
    sizes = {layer.name: layer.shape[0] for layer in found.layers}
    return _Chosen(selections, sizes, {(one.layer, one.filter): one.box for one in located})


@torch.no_grad()
def _accuracy(model: Model, examples: Sequence[Example]) -> float:
    """The share of the images that a network classifies right."""
    logits = [model.net(one.input[None].to(model.device)).cpu() for one in examples]
    right = model.predicted(torch.cat(logits)) == torch.tensor([one.label for one in examples])
    return float(right.cpu().double().mean())
