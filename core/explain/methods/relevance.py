"""Relevance propagation: LRP and excitation backprop, which distribute the score layer by layer."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

import torch
from torch import Tensor

from core.card import Passes
from core.errors import Unsupported
from core.explain.method import EXPLAINERS, GRADIENTS, LAYER, Need, explainer
from core.explain.methods.relevance_rules import (
    KNOWN,
    Operation,
    Share,
    Sweep,
    by_alpha1beta0,
    by_epsilon,
    by_gamma,
    by_positive_values,
    by_values,
    excitatory,
    handed_on,
    to_the_longer_way,
)
from core.explain.query import Query
from core.explain.targets import Difference
from core.models.model import Model
from core.network.hooks import capture
from core.network.inspection import Survey
from core.params import Knob

Skip = Annotated[
    Literal["clamp", "proportional", "ignore"],
    Knob("How residual sums are split: by positive values, by all values, or everything to the longer branch."),
]
Finer = Annotated[
    int,
    Knob(
        "Stages before the default layer where the backward pass ends; ignored for an explicitly chosen layer.",
        0,
        4,
    ),
]
SUMS: dict[str, Share] = {"clamp": by_positive_values, "proportional": by_values, "ignore": to_the_longer_way}


def _needs_linear_rules(model: Model, title: str) -> str:
    unknown = ", ".join(sorted(set(model.survey.operations) - KNOWN))
    return f"{title} has no rule for {unknown}, which {model.display} uses." if unknown else ""


RULES = Need("relevance_rules", _needs_linear_rules)


@explainer(
    "Excitation backprop",
    family="propagation",
    source="Zhang et al. 2016",
    formula="P(j) = xⱼ Σᵢ W⁺ᵢⱼ P(i) / Σₖ W⁺ᵢₖ xₖ, from 1 at the class",
    caution="Follows excitation only, so classes that share their evidence look alike; do not read it at pixel level. "
    "It explains no difference of classes.",
    cost=lambda settings, side: Passes(1, 1, beside=3),
    needs=(LAYER, RULES),
    layers_read=lambda survey, layer, settings: _end(survey, layer, settings["finer"]),
)
def excitation_bp(query: Query, *, skip: Skip = "clamp", finer: Finer = 1) -> Tensor:
    """The probability that a random walk from the class along excitatory connections reaches each position.

    A probability of one starts at the class and is distributed, operation by operation, among the inputs that excite
    it. The map is the probability at the layer where the backward pass ends, summed over its filters; its total is one.
    Published maps of VGG-16 end one pooling layer later, at features.23: choose that layer for maps like them.
    """
    if isinstance(query.targets, Difference):
        raise Unsupported("Excitation backprop starts from a probability, which no difference is.", "Choose LRP.")
    return _propagated(query, SUMS[skip], finer, contrast=False)


@explainer(
    "Contrastive excitation backprop",
    family="propagation",
    source="Zhang et al. 2016",
    formula="max(0, Σ over the channels of P⁺ − P⁻), P⁻ from the negated weights of the last layer",
    caution="Shows only evidence that is stronger for the class than against it: blank where all evidence is shared. "
    "It explains single classes only.",
    cost=lambda settings, side: Passes(1, 1, beside=5),
    needs=(LAYER, RULES),
    layers_read=lambda survey, layer, settings: _end(survey, layer, settings["finer"]),
)
def contrastive_ebp(query: Query, *, skip: Skip = "clamp", finer: Finer = 1) -> Tensor:
    """Excitation backprop, minus the excitation of the opposite of the class.

    A second walk starts with the weights of the last layer negated, as for a unit that stands for not this class. Below
    that layer both follow the same rules, so their difference is propagated once, and its positive part is shown.
    """
    query.class_indices("Contrastive excitation backprop")
    return _propagated(query, SUMS[skip], finer, contrast=True).relu()


Rule = Annotated[
    Literal["composite", "epsilon", "gamma", "alpha1beta0"],
    Knob("Rule for convolutions and linear layers; composite: α1β0 for the former, ε for the latter."),
]
Epsilon = Annotated[float, Knob("Stabiliser: denominators are kept at least this far from zero.", 1e-9, 1)]
Gamma = Annotated[float, Knob("Extra weight of contributions that agree with the output's sign (rule gamma).", 0, 10)]


@explainer(
    "LRP",
    family="propagation",
    source="Bach et al. 2015; Montavon et al. 2019",
    formula="Rⱼ = Σᵢ zᵢⱼ / (Σₖ zᵢₖ + bᵢ) Rᵢ with zᵢⱼ = wᵢⱼ xⱼ, from the logit; γ and α1β0 favour positive zᵢⱼ",
    caution="Rules differ in what they show; relevance absorbed by biases is lost, see the share of the score kept.",
    cost=lambda settings, side: Passes(1, 1, beside=6),
    needs=(GRADIENTS, RULES),
    signed=True,
)
def lrp(query: Query, *, rule: Rule = "composite", epsilon: Epsilon = 1e-6, gamma: Gamma = 0.25) -> Tensor:
    """The contribution of each pixel to the score, propagated back layer by layer.

    The score is distributed among the inputs of each operation in proportion to their contributions, from the class
    down to the pixels. With the ε rule this approaches input × gradient; rules that favour positive contributions give
    less noisy maps.
    """
    maps, fractions = [], []
    for rows in _batches(query):
        leaf, start, chosen = _forward(query, rows, _sweep(rule, epsilon, gamma))
        score = start.detach() * chosen
        (relevance,) = torch.autograd.grad(start, leaf, score)
        maps.append(relevance.sum(1))
        fractions.append(relevance.sum((1, 2, 3)) / score.flatten(1).sum(1))
    conserved = torch.cat(fractions)
    finite = conserved[conserved.isfinite()]
    worst = float(finite[(finite - 1).abs().argmax()]) if len(finite) else "none to keep: the score is zero"
    query.log.remarks["share of the score kept"] = worst
    return torch.cat(maps)


def conditional_relevance(
    query: Query, layer: str, unit: int, *, rule: Rule = "composite", epsilon: Epsilon = 1e-6, gamma: Gamma = 0.25
) -> Tensor:
    """The contribution (B, H, W) of each pixel to the score by way of one unit of a layer, by the rules of `lrp`.

    The relevance that arrives at the other units of the layer is dropped, and the rest propagated on to the pixels
    (Achtibat et al. 2023). Where all relevance passes the layer, the maps of its units sum to that of `lrp`. A batch
    norm is read with the convolution before it: name the layer of the norm then, not that of the convolution. Raises
    UnknownName and Unsupported for a layer, unit or network that cannot be explained so.
    """
    EXPLAINERS["lrp"].check(query.model)
    layer, unit = query.model.resolve_unit(f"{query.model.resolve_layer(layer)}:{unit}")
    maps = []
    for rows in _batches(query):
        with capture(query.net, layer) as outputs:
            leaf, start, chosen = _forward(query, rows, _sweep(rule, epsilon, gamma))
        arrived = _arrived(start, outputs[layer], start.detach() * chosen, layer)
        # The gradient of the maps by the output brings maps into the layout of the network.
        with torch.enable_grad():
            output = outputs[layer].detach().requires_grad_()
            units = query.maps_at(output, layer)
        kept = torch.zeros_like(units)
        kept[:, unit] = query.maps_at(arrived, layer)[:, unit]
        (seed,) = torch.autograd.grad(units, output, kept)
        (relevance,) = torch.autograd.grad(outputs[layer], leaf, seed)
        maps.append(relevance.sum(1))
    return torch.cat(maps)


def _sweep(rule: str, epsilon: float, gamma: float) -> Sweep:
    """The rules of LRP."""
    weights: dict[str, Share] = {
        "epsilon": partial(by_epsilon, epsilon=epsilon),
        "gamma": partial(by_gamma, gamma=gamma, epsilon=epsilon),
        "alpha1beta0": partial(by_alpha1beta0, epsilon=epsilon),
    }

    def composite(operation: Operation, received: Tensor) -> Tensor:
        return weights["epsilon" if operation.weight.dim() == 2 else "alpha1beta0"](operation, received)

    values = partial(by_values, epsilon=epsilon)
    return Sweep(weights.get(rule, composite), values, values, weights["epsilon"])


def _propagated(query: Query, sums: Share, finer: int, *, contrast: bool) -> Tensor:
    """The relevance (B, h, w) that arrives at the layer where propagation ends, summed over its channels."""
    end = _end(query.model.survey, query.layer, finer)
    maps = []
    for rows in _batches(query):
        sweep = Sweep(excitatory, by_positive_values, sums, handed_on)
        with capture(query.net, end) as outputs:
            _, start, chosen = _forward(query, rows, sweep)
        seed = _normalised(chosen if start.dim() == 2 else start.detach().clamp(min=0) * chosen)
        if contrast:
            start, seed = _contrasted(sweep, start, seed)
        maps.append(query.maps_at(_arrived(start, outputs[end], seed, end), end).sum(1))
    arrived = torch.cat(maps)
    if not contrast:
        query.log.remarks["probability kept"] = float(arrived.sum((1, 2)).min())
    return arrived


def _forward(query: Query, rows: slice, sweep: Sweep) -> tuple[Tensor, Tensor, Tensor]:
    """The images as a leaf, the output where relevance starts, and the weight of each of its values in the score.

    For a class: 1 for its logit, 0 for others; for a group 1 for each of its classes. For a unit, whose score is the
    mean of its map: 1 / positions.
    """
    targets = query.targets[rows]
    units = [targets.layer] if targets.layer else []
    with torch.enable_grad(), capture(query.net, *units) as seen, sweep.rules():
        leaf = query.images[rows].detach().requires_grad_()
        start = query.logits(leaf)
    start = seen.get(targets.layer, start)
    with torch.enable_grad():
        outputs = start.detach().requires_grad_()
        (chosen,) = torch.autograd.grad(query.score_of(outputs, targets).sum(), outputs)
    query.log.backwards += len(leaf)
    return leaf, start, chosen


def _arrived(start: Tensor, output: Tensor, seed: Tensor, layer: str) -> Tensor:
    """The relevance of a layer's output. Raises Unsupported if what is explained does not depend on it."""
    (relevance,) = torch.autograd.grad(start, output, seed, retain_graph=True, allow_unused=True)
    if relevance is None:
        raise Unsupported(f"Layer '{layer}' does not lie before what is explained.", "Choose an earlier layer.")
    found: Tensor = relevance
    return found


def _contrasted(sweep: Sweep, start: Tensor, seed: Tensor) -> tuple[Tensor, Tensor]:
    """The input of the last operation with weights, and its relevance for the class minus that against it."""
    if sweep.top is None:
        raise Unsupported("This score passes no layer with weights.", "Choose another method.")
    last, output = sweep.top
    (received,) = torch.autograd.grad(start, output, seed, retain_graph=True)
    against = replace(last, weight=-last.weight)
    return last.source, excitatory(last, received) - excitatory(against, received)


def _end(survey: Survey, layer: str, finer: int) -> str:
    """The layer chosen by the user, or the stage `finer` stages before the default layer."""
    if layer:
        return layer
    stages = [*(stage for stage in survey.stages if stage != survey.default), survey.default]
    return stages[max(len(stages) - 1 - finer, 0)]


def _normalised(values: Tensor) -> Tensor:
    """Non-negative values (B, …) divided by their sum; zeros stay zeros."""
    total = values.sum(tuple(range(1, values.dim())), keepdim=True)
    return values / total.clamp_min(torch.finfo(values.dtype).tiny)


def _batches(query: Query) -> Iterator[slice]:
    """Slices of the images that fit a batch."""
    for span in query.chunks(len(query.images), "images"):
        yield slice(span.start, span.stop)
