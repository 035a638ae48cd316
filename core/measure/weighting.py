"""Measures by weighting: the response of the network to an image that is weighted by its map."""

from functools import partial

import torch
from torch import Tensor

from core.explain.baselines import Baseline, baseline
from core.explain.query import images_sha
from core.measure.measure import Evidence, Numbers, Undefined, measure
from core.measure.perturbation import FillBy
from core.measure.replacement import checked_maps, finite

ROUNDING = 1e-6  # of a probability: the same image in two batches differs by less


_weighted = partial(measure, family="faithfulness", source="Chattopadhyay et al. 2018", cost=lambda settings, side: 1)


@_weighted(
    "Average drop",
    formula="max(0, p − p′)/p, with p = p(y | x) and p′ = p(y | h ⊙ x + (1 − h) ⊙ baseline), h = max(map, 0)/max(map)",
    caution="A map that is high everywhere keeps the whole image and drops nothing: read it with the average increase.",
    kind="map",
    better="lower",
    unit="share of the probability",
    low=0,
    high=1,
)
def average_drop(evidence: Evidence, *, fill: FillBy = "grey") -> Numbers:
    """Share of the target's probability that is lost when the image is weighted by the map.

    Negative values of a map count as zero. Undefined for a map without positive values, which weights nothing, and
    where the probability of the unmodified image is zero.
    """
    return [
        one if isinstance(one, Undefined) else max(0.0, one[0] - one[1]) / one[0]
        for one in _weighted_pairs(evidence, fill)
    ]


@_weighted(
    "Average increase",
    formula="1[p′ > p], with p = p(y | x) and p′ = p(y | h ⊙ x + (1 − h) ⊙ baseline), h = max(map, 0)/max(map)",
    caution="Counts the tiniest increase as the largest, and says nothing about the images where there is none.",
    kind="map",
    better="higher",
    unit="share of the images",
    low=0,
    high=1,
)
def average_increase(evidence: Evidence, *, fill: FillBy = "grey") -> Numbers:
    """Share of the images whose probability of the target rises when they are weighted by the map.

    One or zero for an image. Negative values of a map count as zero. Undefined for a map without positive values, which
    weights nothing, and where the probability of the unmodified image is zero.
    """
    return [
        one if isinstance(one, Undefined) else float(one[1] > one[0] + ROUNDING)
        for one in _weighted_pairs(evidence, fill)
    ]


def _weighted_pairs(evidence: Evidence, fill: Baseline) -> list[tuple[float, float] | Undefined]:
    """The probability of the unmodified and of the weighted image; the passes of the latter are cached."""
    query, maps = evidence.query, checked_maps(evidence)
    key = (*query.key, "weighted", images_sha(maps), fill, query.seed)
    weighted = query.cache.get(key, lambda: _weighted_scores(evidence, maps, fill))
    pairs: list[tuple[float, float] | Undefined] = []
    for clean, score, highest in zip(
        query.clean_scores("prob").tolist(), weighted.tolist(), maps.amax((1, 2)), strict=True
    ):
        if highest <= 0:
            pairs.append(Undefined("The map has no positive value."))
        elif clean <= 0:
            pairs.append(Undefined("The score of the unmodified image is not positive."))
        else:
            pairs.append((clean, score))
    return pairs


@torch.no_grad()
def _weighted_scores(evidence: Evidence, maps: Tensor, fill: Baseline) -> Tensor:
    """The scores (B,) of the images, weighted by their maps between zero and one and filled up by the baseline."""
    query = evidence.query
    highest = maps.amax((1, 2), keepdim=True).clamp_min(torch.finfo(maps.dtype).tiny)
    shares = (maps.clamp_min(0) / highest)[:, None].to(query.images)
    images = query.images * shares + baseline(query, fill) * (1 - shares)
    spans = (slice(span.start, span.stop) for span in query.chunks(len(images), "weighted images"))
    return finite(query, torch.cat([query.score(images[rows], query.targets[rows], "prob") for rows in spans]))
