"""Stability of maps: their change with small noise and with the seed, and the drops that they predict."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.explain.baselines import SIDE, Baseline, baseline, scaled
from core.explain.query import Query
from core.measure.agreement import spearman
from core.measure.measure import Evidence, Numbers, Undefined, measure
from core.measure.robustness.reruns import apart, rerun
from core.params import Knob
from core.progress import chunks, item, subrange

Radius = Annotated[float, Knob("Largest change of a pixel, in units of the network's input.", 0.001, 1, 0.001)]
Samples = Annotated[int, Knob("Number of noisy copies of the image.", 1, 200)]


def _copies(settings: Mapping[str, Any]) -> int:
    return settings["samples"]


@measure(
    "Max-sensitivity",
    family="stability",
    source="Yeh et al. 2019",
    formula="max over i of ‖h(x + dᵢ) − h(x)‖ / ‖h(x)‖, dᵢ ~ U(−r, r)",
    caution="A map that never changes, such as one of the image alone, is stable and explains nothing.",
    cost=lambda settings, side: 0,
    kind="method",
    better="lower",
    unit="relative change",
    low=0,
    budgets={"quick": {"samples": 4}, "paper": {"samples": 50}},
    reruns=_copies,
)
def max_sensitivity(evidence: Evidence, *, radius: Radius = 0.02, samples: Samples = 10) -> Numbers:
    """Largest change of a map when a little noise is added to the image.

    The noise is too weak to be seen: with 0.02, about one of 255 levels of grey. The change is the length of the
    difference of the maps, as a share of the length of the map. More copies find larger changes; each takes a run of
    the method.
    """
    return [one if isinstance(one, Undefined) else float(one.max()) for one in _changes(evidence, radius, samples)]


@measure(
    "Mean sensitivity",
    family="stability",
    source="Yeh et al. 2019",
    formula="mean over i of ‖h(x + dᵢ) − h(x)‖ / ‖h(x)‖, dᵢ ~ U(−r, r)",
    caution="A map that never changes, such as one of the image alone, is stable and explains nothing.",
    cost=lambda settings, side: 0,
    kind="method",
    better="lower",
    unit="relative change",
    low=0,
    budgets={"quick": {"samples": 4}, "paper": {"samples": 50}},
    reruns=_copies,
)
def mean_sensitivity(evidence: Evidence, *, radius: Radius = 0.02, samples: Samples = 10) -> Numbers:
    """Mean change of a map when a little noise is added to the image.

    As max-sensitivity, for the same noise, but the mean of the changes: more copies make it more exact, and not larger.
    """
    return [one if isinstance(one, Undefined) else float(one.mean()) for one in _changes(evidence, radius, samples)]


@measure(
    "Seed stability",
    family="stability",
    source="Spearman 1904",
    formula="mean over other seeds of ρ(h, h′), the correlation of the ranks of the pixels",
    caution="1 for every method without randomness, whatever its maps show.",
    cost=lambda settings, side: 0,
    kind="method",
    better="higher",
    unit="rank correlation",
    low=-1,
    high=1,
    budgets={"quick": {"seeds": 2}, "paper": {"seeds": 10}},
    reruns=lambda settings: settings["seeds"],
)
def seed_stability(
    evidence: Evidence,
    *,
    seeds: Annotated[int, Knob("Number of other seeds.", 1, 50)] = 4,
    magnitude: Annotated[bool, Knob("Rank pixels by magnitude: negative evidence counts like positive.")] = False,
) -> Numbers:
    """Mean rank correlation of a map with the maps of the same method for other seeds.

    Low where the number of samples or masks is too small for the map to be reproduced. The seeds are those after the
    seed of the map; each takes a run of the method. A method without randomness gives the same map, and 1.
    """
    query, maps = evidence.query, evidence.maps.numpy(force=True).astype(np.float64)
    found = np.stack(
        [
            rerun(evidence, replace(query, seed=query.seed + 1 + number), item(query.report, number, seeds, "seed"))
            for number in range(seeds)
        ]
    )
    stacked = np.concatenate([maps[None], found])  # (1 + seeds, B, H, W)
    return [_correlation(np.abs(one) if magnitude else one) for one in stacked.swapaxes(0, 1)]


@measure(
    "Infidelity",
    family="faithfulness",
    source="Yeh et al. 2019",
    formula="mean over squares S of (β Σ_{u ∈ S} h(u) − (s(x) − s(x without S)))²",
    caution="In squared units of the score: compares maps of the same image, not of different images or models.",
    cost=lambda settings, side: settings["samples"],
    kind="map",
    better="lower",
    unit="squared score",
    low=0,
    budgets={"quick": {"samples": 50}, "paper": {"samples": 1000}},
)
def infidelity(
    evidence: Evidence,
    *,
    samples: Annotated[int, Knob("Number of squares removed, one at a time.", 2, 2000)] = 200,
    square: Annotated[int, Knob(f"Side of the square in pixels, for an image of {SIDE} pixels.", 1, SIDE)] = 48,
    fill: Annotated[Baseline, Knob("What replaces the square.")] = "grey",
    fitted: Annotated[
        bool, Knob("Fit the scale β of the map; otherwise β is 1, for maps in units of the score.")
    ] = True,
) -> Numbers:
    """Mean squared error of the drops of the score that a map predicts for squares removed from the image.

    A map predicts the sum of its values in the square, as if the network were a sum over pixels. As most maps have no
    unit, the predictions are multiplied by the factor that fits the drops best. A map of zeros predicts no drop.
    """
    query, side = evidence.query, min(scaled(square, min(evidence.query.size)), *evidence.query.size)
    boxes = squares(query, samples, side)
    drops = query.clean_scores()[:, None] - query.windows(boxes, baseline(query, fill), unit="squares removed")
    errors = []
    for one, real in zip(evidence.maps.numpy(force=True), drops.numpy(force=True).astype(np.float64), strict=True):
        predicted = _sums(one.astype(np.float64), boxes.numpy())
        power = float(predicted @ predicted)
        factor = (float(predicted @ real) / power if power else 0.0) if fitted else 1.0
        errors.append(float(np.square(factor * predicted - real).mean()))
    return errors


def noise(query: Query, sample: int, radius: float) -> Tensor:
    """The noise (C, H, W) of a sample, uniform from -`radius` to `radius` and the same for all images."""
    # Negative, as methods use the other generators: what they draw must not depend on the noise.
    uniform = torch.rand(query.images.shape[1:], generator=query.rng(-1 - sample))
    return (radius * (2 * uniform - 1)).to(query.images)


def squares(query: Query, samples: int, side: int) -> Tensor:
    """Boxes (samples, 4) of top, left, height and width at random positions inside the image."""
    height, width = query.size
    boxes = torch.full((samples, 4), side)
    for number in range(samples):
        generator = query.rng(-1 - number)
        boxes[number, 0] = torch.randint(height - side + 1, (), generator=generator)
        boxes[number, 1] = torch.randint(width - side + 1, (), generator=generator)
    return boxes


def _changes(evidence: Evidence, radius: float, samples: int) -> list[NDArray[np.float64] | Undefined]:
    """The relative changes (samples,) of each image's map."""
    query, maps = evidence.query, evidence.maps.numpy(force=True).astype(np.float64)
    sizes, total = np.linalg.norm(maps, axis=(1, 2)), len(maps) * samples
    differences = np.empty(total)
    for span in chunks(total, query.batch):
        rows = [number // samples for number in span]
        noisy = torch.stack(
            [query.images[number // samples] + noise(query, number % samples, radius) for number in span]
        )
        changed = replace(query, images=noisy, targets=query.targets[rows], content="", execution=apart(query))
        found = rerun(evidence, changed, subrange(query.report, span.start / total, span.stop / total))
        differences[span.start : span.stop] = np.linalg.norm(found - maps[rows], axis=(1, 2))
    by_image = differences.reshape(len(maps), samples)
    zero = Undefined("The map is zero everywhere.")
    return [row / size if size else zero for row, size in zip(by_image, sizes, strict=True)]


def _correlation(maps: NDArray[np.float64]) -> float | Undefined:
    """The mean rank correlation of the first map with the others; 0 with one that has the same value everywhere."""
    if np.ptp(maps[0]) == 0:
        return Undefined("The map has the same value everywhere.")
    return float(np.nan_to_num(spearman(maps)[0, 1:]).mean())


def _sums(values: NDArray[np.float64], boxes: NDArray[np.int64]) -> NDArray[np.float64]:
    """The sum of the values (H, W) in each box."""
    totals = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    top, left, height, width = boxes.T
    below, right = top + height, left + width
    return totals[below, right] - totals[top, right] - totals[below, left] + totals[top, left]
