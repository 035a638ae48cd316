"""Metrics of the importance of filters: higher is more important. Each gives one number per filter, never NaN.

Where the text of Lengerich et al. 2017 and their released code differ, both readings have a name of their own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.units.resampling.statistics import Moments

EPSILON = 1e-9  # a variance that no other one is smaller than
_SMALLEST = np.finfo(np.float64).tiny
Scores = NDArray[np.float64]  # (K,)
Weights = NDArray[np.float64]  # (K, M) of each filter
Evidence = Literal["maps", "own weights", "outgoing weights"]


def act_sum(moments: Moments) -> Scores:
    """The sum of a filter's map of the image itself."""
    return moments.clean.sum((1, 2))


def act_var(moments: Moments) -> Scores:
    """The population variance of the values of a filter's map of the image itself.

    As printed, the sum of squares minus the square of the sum, it is negative for every map with many positive values.
    """
    return moments.clean.var((1, 2))


def w_sum(weights: Weights) -> Scores:
    """The sum of a filter's weights."""
    return weights.sum(1)


def w_var(weights: Weights) -> Scores:
    """The population variance of a filter's weights."""
    return weights.var(1)


def corr(moments: Moments) -> Scores:
    """The magnitude of the correlation of a filter's activation with the output, at each location, then averaged.

    Locations that are constant over the copies have no correlation and do not count; a filter with only such locations,
    and every filter if the output is constant, scores zero.
    """
    highest = moments.outputs.std()
    deviation = np.sqrt(moments.variance)
    defined = np.count_nonzero(deviation, axis=(1, 2))
    # A location that is constant has no covariance either: dividing everywhere is faster than where it is defined.
    covariance = np.abs(moments.covariance) / np.maximum(deviation, _SMALLEST)
    return covariance.clip(max=highest).sum((1, 2)) / np.maximum(defined * highest, _SMALLEST)


def corr_pooled(moments: Moments) -> Scores:
    """The magnitude of the correlation of the mean of a filter's map with the output; zero if either is constant."""
    series = moments.pooled - moments.pooled.mean(0)
    outputs = moments.outputs - moments.outputs.mean()
    spread = np.sqrt((series**2).sum(0) * (outputs**2).sum())
    defined = (spread > 0) & (moments.variance > 0).any((1, 2))
    return np.divide(np.abs(outputs @ series), spread, out=np.zeros_like(spread), where=defined).clip(max=1)


def prec(moments: Moments) -> Scores:
    """One over the variance of a filter's activation over the copies, averaged over the locations.

    At most 1 / EPSILON, for a filter that does not vary.
    """
    return 1 / np.maximum(moments.variance.mean((1, 2)), EPSILON)


def prec_paper(moments: Moments) -> Scores:
    """One over the variance plus EPSILON at each location, averaged over the locations.

    Equation 3 with the variance corrected. The locations that vary least decide it: with rectified maps the share of
    those that are not active.
    """
    return (1 / (moments.variance + EPSILON)).mean((1, 2))


def snr(moments: Moments) -> Scores:
    """The squared mean of a filter's activation over its variance: precision that does not depend on the scale."""
    return moments.mean.mean((1, 2)) ** 2 / (moments.variance.mean((1, 2)) + EPSILON)


@dataclass(frozen=True)
class Metric:
    """A metric: its title, the reading it is, and the function that computes it."""

    title: str
    reading: str  # whose: the paper's text, its released code, both, or neither
    of: Evidence
    run: Callable[..., Scores]
    threshold: float = 0.0  # filters whose mean activation is below are not selected


METRICS: Mapping[str, Metric] = {
    "act_sum": Metric("Activation sum", "paper and code", "maps", act_sum),
    "act_var": Metric("Activation variance", "code; the paper's without its missing factors", "maps", act_var),
    "w_sum": Metric("Weight sum", "code: the filter's own weights", "own weights", w_sum),
    "w_var": Metric("Weight variance", "code: the filter's own weights", "own weights", w_var),
    "w_sum_outgoing": Metric("Outgoing weight sum", "paper: weights of the next layer", "outgoing weights", w_sum),
    "w_var_outgoing": Metric("Outgoing weight variance", "paper: weights of the next layer", "outgoing weights", w_var),
    "corr": Metric("Activation–output correlation", "code; the paper's for a matrix", "maps", corr),
    "corr_pooled": Metric("Pooled activation–output correlation", "neither", "maps", corr_pooled),
    "prec": Metric("Activation precision", "code: one over the mean variance", "maps", prec, 0.1),
    "prec_paper": Metric("Mean activation precision", "paper: mean of one over the variance", "maps", prec_paper, 0.1),
    "snr": Metric("Signal-to-noise ratio", "neither", "maps", snr, 0.1),
}


def scored(moments: Moments, own: Weights, outgoing: Weights | None) -> dict[str, Scores]:
    """The scores of a layer's filters by every metric that is defined for it."""
    evidence = {"maps": moments, "own weights": own, "outgoing weights": outgoing}
    return {name: one.run(evidence[one.of]) for name, one in METRICS.items() if evidence[one.of] is not None}
