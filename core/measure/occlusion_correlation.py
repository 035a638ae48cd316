"""Occlusion correlation: whether a map orders the regions of an image as occluding them does."""

from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray

from core.explain import EXPLAINERS
from core.explain.baselines import Baseline, baseline, scaled
from core.explain.methods.perturbation import sliding
from core.explain.segments import ScoreBy
from core.measure.agreement import spearman
from core.measure.measure import Evidence, Numbers, Undefined, measure
from core.params import Knob

_ROUNDING = 1e-12  # relative difference of means of the same values, added in another order


@measure(
    "Occlusion rank correlation",
    family="faithfulness",
    source="Selvaraju et al. 2017",
    formula="ρ(mean over r of |h|, s(x) − s(x with r occluded)) over the windows r, ρ the correlation of ranks",
    caution="Occlusion wins by definition, and methods like it come close; evidence that is redundant counts as none.",
    cost=EXPLAINERS["occlusion"].cost,
    kind="map",
    better="higher",
    unit="rank correlation",
    low=-1,
    high=1,
    budgets={"quick": {"window": 48, "stride": 24}, "paper": {"stride": 8}},
)
@torch.no_grad()
def occlusion_correlation(
    evidence: Evidence,
    *,
    window: Annotated[int, Knob("Side of the window, in pixels of a 224 px image.", 4, 112, 4)] = 32,
    stride: Annotated[int, Knob("Stride of the window, in pixels of a 224 px image.", 2, 112, 2)] = 16,
    fill: Annotated[Baseline, Knob("What replaces the occluded pixels.")] = "grey",
    score: ScoreBy = "prob",
    magnitude: Annotated[bool, Knob("Average the magnitudes of the map, otherwise its signed values.")] = True,
) -> Numbers:
    """Rank correlation of a map, averaged over windows, with the drop of the score when each window is occluded.

    The windows are compared, not the pixels: neighbouring pixels lie in the same windows and would repeat each other.
    With magnitudes, a region with negative evidence counts as an important one, although occluding it raises the score.
    """
    query, side = evidence.query, min(evidence.query.size)
    boxes = sliding(query.size, scaled(window, side), scaled(stride, side))
    drops = query.clean_scores(score)[:, None] - query.windows(boxes, baseline(query, fill), score)
    maps = evidence.maps.double().numpy(force=True)
    return [
        _correlation(_means(np.abs(one) if magnitude else one, boxes.numpy()), drop)
        for one, drop in zip(maps, drops.double().numpy(force=True), strict=True)
    ]


def _means(one: NDArray[np.float64], boxes: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean (P,) of a map in each box (P, 4)."""
    return np.array([one[top : top + height, left : left + width].mean() for top, left, height, width in boxes])


def _correlation(means: NDArray[np.float64], drops: NDArray[np.float64]) -> float | Undefined:
    if not np.isfinite(means).all():
        return Undefined("The map has values that are not finite.")
    if np.ptp(means) <= _ROUNDING * np.abs(means).max():
        return Undefined("The map has the same mean in all windows.")
    if np.ptp(drops) == 0:
        return Undefined("Every window changes the score alike when it is occluded.")
    return float(spearman(np.stack([means, drops]))[0, 1])
