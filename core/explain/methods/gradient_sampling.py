"""Gradients averaged over samples: noisy copies of the image, or points between a baseline and the image."""

from collections.abc import Callable, Iterator
from typing import Annotated

import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor

from core.card import Passes
from core.environment import exact
from core.explain.baselines import Baseline, baseline
from core.explain.method import GRADIENTS, explainer
from core.explain.methods.gradient import Reduce, reduced
from core.explain.query import Query
from core.params import Knob

Samples = Annotated[int, Knob("Number of noisy copies of the image.", 2, 200)]
Spread = Annotated[
    float, Knob("Standard deviation of the noise as a fraction of the image's value range.", 0, 0.5, 0.05)
]
# (rows of the batch, indices of the draws) -> points where the gradient is taken, and its factor
Sample = Callable[[list[int], list[int]], tuple[Tensor, Tensor | float]]


@explainer(
    "SmoothGrad",
    family="gradient",
    source="Smilkov et al. 2017",
    formula="|1/n Σᵢ ∂s/∂x(x + eᵢ)|, eᵢ ~ N(0, σ²)",
    caution="Strong noise explains a smoother network than the one that decides; weak noise leaves the speckle.",
    cost=lambda settings, side: Passes(1, 1) * settings["samples"],
    needs=(GRADIENTS,),
    budgets={"quick": {"samples": 10}, "paper": {"samples": 50}},
)
def smoothgrad(
    query: Query, *, samples: Samples = 25, spread: Spread = 0.15, reduce: Reduce = "max_abs"
) -> Iterator[Tensor]:
    """The gradient averaged over noisy copies of the image.

    Gradients of deep networks fluctuate between neighbouring images. Averaging over copies with a little noise cancels
    the fluctuation and keeps what the neighbourhood has in common.
    """
    for mean, _ in _noisy(query, samples, spread):
        yield reduced(mean, reduce)


@explainer(
    "SmoothGrad squared",
    family="gradient",
    source="Smilkov et al. 2017; Hooker et al. 2019",
    formula="1/n Σᵢ (∂s/∂x(x + eᵢ))², eᵢ ~ N(0, σ²)",
    caution="A few copies with large gradients can dominate the map; values are no longer in units of the score.",
    cost=lambda settings, side: Passes(1, 1) * settings["samples"],
    needs=(GRADIENTS,),
    budgets={"quick": {"samples": 10}, "paper": {"samples": 50}},
)
def smoothgrad_sq(
    query: Query, *, samples: Samples = 25, spread: Spread = 0.15, reduce: Reduce = "max_abs"
) -> Iterator[Tensor]:
    """The squared gradient averaged over noisy copies of the image.

    Squaring before averaging keeps positions where the gradient is strong but changes its sign between copies, which
    the plain average would cancel.
    """
    for _, square in _noisy(query, samples, spread):
        yield reduced(square, reduce)


@explainer(
    "VarGrad",
    family="gradient",
    source="Adebayo et al. 2018",
    formula="variance over i of ∂s/∂x(x + eᵢ), eᵢ ~ N(0, σ²)",
    caution="Shows where the gradient is unstable, which is not where it is large: zero for a linear model.",
    cost=lambda settings, side: Passes(1, 1) * settings["samples"],
    needs=(GRADIENTS,),
    budgets={"quick": {"samples": 10}, "paper": {"samples": 50}},
)
def vargrad(
    query: Query, *, samples: Samples = 25, spread: Spread = 0.15, reduce: Reduce = "max_abs"
) -> Iterator[Tensor]:
    """How much the gradient varies between noisy copies of the image.

    The variance is high where a little noise switches parts of the network on and off, usually at the borders of what
    it recognises, and zero where the network is locally linear.
    """
    for mean, square in _noisy(query, samples, spread):
        yield reduced((square - mean.square()).clamp(min=0), reduce)


@explainer(
    "Integrated gradients",
    family="gradient",
    source="Sundararajan et al. 2017",
    formula="(x − b) · ∫₀¹ ∂s/∂x(b + t(x − b)) dt",
    caution="Explains the difference from the baseline: pixels equal to the baseline get zero.",
    cost=lambda settings, side: Passes(settings["steps"] + 1, settings["steps"]),
    needs=(GRADIENTS,),
    signed=True,
    budgets={"quick": {"steps": 20}, "paper": {"steps": 300}},
)
def integrated_gradients(
    query: Query,
    *,
    steps: Annotated[int, Knob("Number of points on the path from the baseline to the image.", 4, 400)] = 50,
    start: Annotated[Baseline, Knob("The baseline: an image without evidence, where the path starts.")] = "black",
) -> Iterator[Tensor]:
    """The contribution of each pixel to the score, relative to a baseline image.

    The gradient is integrated along the straight line from a baseline to the image. The values sum to the difference
    between the two scores; the error of the finite number of steps is reported as completeness error.
    """
    begin = baseline(query, start).expand_as(query.images)
    away = query.images - begin
    nodes, node_weights = leggauss(steps)  # for the interval from -1 to 1
    # In an order that is evenly spread at any time, so that the running map is a coarse version of the final one.
    order = sorted(range(steps), key=lambda i: i * 0.6180339887 % 1)
    at, weights = torch.from_numpy((nodes[order] + 1) / 2).to(begin), torch.from_numpy(node_weights[order])

    def sample(rows: list[int], draws: list[int]) -> tuple[Tensor, Tensor]:
        return begin[rows] + at[draws].view(-1, 1, 1, 1) * away[rows], away[rows]

    with torch.no_grad():
        gained = (query.clean_scores() - query.score(begin, query.targets)).to(exact(begin.device))
    for mean, _ in _means(query, steps, "steps", sample, weights):
        missed = (mean.sum((1, 2, 3)) - gained).abs() / gained.abs().clamp_min(1e-9)
        query.log.remarks["completeness error"] = float(missed.max())  # of the worst image, as a fraction
        yield mean.sum(1)


@explainer(
    "Gradient SHAP",
    family="gradient",
    source="Lundberg & Lee 2017; Erion et al. 2021",
    formula="mean over baselines b and t ~ U(0, 1) of (x − b) · ∂s/∂x(b + t(x − b))",
    caution="Depends on the baselines: random pixels are far from any photograph the network has seen.",
    cost=lambda settings, side: Passes(1, 1) * settings["samples"],
    needs=(GRADIENTS,),
    signed=True,
    budgets={"quick": {"samples": 20}, "paper": {"samples": 200}},
)
def gradient_shap(
    query: Query,
    *,
    samples: Annotated[int, Knob("Number of random baselines, with one point on each path.", 2, 400)] = 50,
    start: Annotated[Baseline, Knob("The baseline images; uniform draws a new one for each sample.")] = "uniform",
    spread: Spread = 0.1,
) -> Iterator[Tensor]:
    """Integrated gradients averaged over many baselines, one random point on each path.

    Each sample takes the gradient at a random point between a baseline and the slightly noisy image. The average
    estimates the Shapley value of each pixel under the assumption that pixels are independent.
    """
    reach = spread * _range(query.images)
    fixed = baseline(query, start).expand_as(query.images)

    def sample(rows: list[int], draws: list[int]) -> tuple[Tensor, Tensor]:
        generators = [query.rng(2 * draw + 1) for draw in draws]
        noise = torch.stack([torch.randn(query.images.shape[1:], generator=rng) for rng in generators])
        position = torch.stack([torch.rand(1, 1, 1, generator=rng) for rng in generators])
        drawn = [baseline(query, start, 2 * draw) for draw in draws] if start == "uniform" else [fixed[rows]]
        begin = torch.cat(drawn)
        away = query.images[rows] + reach[rows] * noise.to(begin) - begin
        return begin + position.to(begin) * away, away

    for mean, _ in _means(query, samples, "samples", sample):
        yield mean.sum(1)


def _noisy(query: Query, samples: int, spread: float) -> Iterator[tuple[Tensor, Tensor]]:
    """Running means of the slope and of its square over noisy copies of each image."""
    reach = spread * _range(query.images)

    def sample(rows: list[int], draws: list[int]) -> tuple[Tensor, float]:
        noise = torch.stack([torch.randn(query.images.shape[1:], generator=query.rng(draw)) for draw in draws])
        return query.images[rows] + reach[rows] * noise.to(query.images), 1.0

    return _means(query, samples, "noisy samples", sample)


def _range(images: Tensor) -> Tensor:
    """The distance between the smallest and the largest value of each image, (B, 1, 1, 1)."""
    return images.amax((1, 2, 3), keepdim=True) - images.amin((1, 2, 3), keepdim=True)


def _means(
    query: Query, draws: int, unit: str, sample: Sample, weights: Tensor | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Running weighted means of slope × factor, and of its square, over the draws of each image: (B, 3, H, W) twice."""
    batch = len(query.images)
    weights = torch.ones(draws, dtype=torch.float64) if weights is None else weights
    place = exact(query.images.device)
    sums = torch.zeros(2, *query.images.shape, dtype=torch.float64, device=place)
    mass = torch.zeros(batch, 1, 1, 1, dtype=torch.float64, device=place)
    for span in query.chunks(draws * batch, unit):
        # Draw by draw, so that the running maps of all images advance together.
        rows, numbers = [i % batch for i in span], [i // batch for i in span]
        points, factor = sample(rows, numbers)
        slopes = (query.gradient(points, query.targets[rows]) * factor).to(place).double()
        for row, number, slope in zip(rows, numbers, slopes, strict=True):
            weight = float(weights[number])
            sums[0, row] += weight * slope
            sums[1, row] += weight * slope.square()
            mass[row] += weight
        if bool((mass > 0).all()):
            yield sums[0] / mass, sums[1] / mass
