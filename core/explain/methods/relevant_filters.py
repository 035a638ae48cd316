"""Maps of the filters that are relevant for a class: visual explanation by interpretation (Oramas et al. 2019)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input

from core.card import Passes
from core.errors import BadParameter, Unsupported
from core.explain.filter_relevance import (
    NONZERO,
    Relevance,
    content_of,
    energies,
    how_to_store,
    relevance_for,
    shares,
    stored_for,
)
from core.explain.method import GRADIENTS, RELU, Need, explainer
from core.explain.methods.modified_backprop import remark_smooth
from core.explain.query import Query
from core.explain.relu_rules import Switch
from core.models.model import Model
from core.network.hooks import capture
from core.network.operations import Rules
from core.params import Knob

FILTERS = 3  # of an image, as in the released code


@dataclass(frozen=True)
class FilterMap:
    """What one relevant filter responds to in an image."""

    layer: str
    filter: int
    evidence: float  # response · weight, as a share of the weights of the class
    map: Tensor  # (H, W) from 0 to 1

    @property
    def title(self) -> str:
        """The name of the filter."""
        return f"{self.layer} · F{self.filter}"


def _needs_relevance(model: Model, title: str) -> str:
    if stored_for(model):
        return ""
    return f"{title} needs the relevance of filters for the classes, and none is stored for {model.display}."


RELEVANCE = Need("relevance", _needs_relevance, how_to_store)


@explainer(
    "VEBI",
    family="propagation",
    source="Oramas et al. 2019",
    formula="max over the filters f with the largest ‖A_f‖² w_f of guided backprop from A_f; w: weights of the class",
    caution="The class only decides which filters are shown: each map has all that its filter responds to. Of filters "
    "that respond alike only some have a weight.",
    cost=lambda settings, side: Passes(1, settings["filters"]),
    needs=(GRADIENTS, RELU, RELEVANCE),
    stored_read=lambda model, settings: content_of(model, settings["relevance"]),
)
def vebi(
    query: Query,
    *,
    filters: Annotated[int, Knob("Number of filters shown.", 1, 20)] = FILTERS,
    smooth: Annotated[
        bool, Knob("Enlarge signals at convolutions with strides, which avoids the pattern of a checkerboard.")
    ] = True,
    relevance: Annotated[str, Knob("Name of the stored relevance of filters; empty: the newest of the model.")] = "",
) -> Tensor:
    """What the filters respond to that speak most for the class in this image.

    Filters are relevant for a class if its images can be told from others by their responses; their weights come from a
    stored analysis of many images (`vitrine units relevance`). Those with the largest response times weight are shown:
    each one's activation is propagated to the image by guided backprop, and the map is the largest of theirs.
    """
    stored = relevance_for(query.model, relevance)
    query.log.remarks["relevance"] = stored.source
    remark_smooth(query)
    found = filter_maps(query, stored.relevance, filters=filters, smooth=smooth)
    if len(found) == 1:
        query.log.remarks["filters"] = ", ".join(one.title for one in found[0]) or "none speaks for the class"
    return torch.stack([combined(one, query.size) for one in found])


def filter_maps(
    query: Query, relevance: Relevance, *, filters: int = FILTERS, smooth: bool = True
) -> list[list[FilterMap]]:
    """The filters that speak for the target class in each image of a query, the strongest first, with their maps.

    Filters are ranked by response times weight; those without positive evidence are left out, so that a list may be
    short or empty. Each map is the filter's own activation propagated to the image with the rule of guided backprop:
    the l2 norm over the channels of what is positive, scaled to its range. With `smooth`, the signal is enlarged at
    convolutions with strides. One forward, and a backward per filter. Raises BadParameter for the relevance of another
    model, Unsupported for targets other than classes and for networks without ReLU.
    """
    labels = query.class_indices("VEBI").tolist()
    if relevance.weights.shape[0] != len(query.model.labels):
        message = f"This relevance is that of {relevance.weights.shape[0]} classes, and {query.model.display} has "
        raise BadParameter(f"{message}{len(query.model.labels)}.", "Compute it for this model.")
    found = []
    for span in query.chunks(len(labels), "images"):
        part = slice(span.start, span.stop)
        found += _filter_maps(query, query.images[part], labels[part], relevance, filters, smooth=smooth)
    return found


def _filter_maps(
    query: Query, images: Tensor, labels: Sequence[int], relevance: Relevance, filters: int, *, smooth: bool
) -> list[list[FilterMap]]:
    """The maps of one batch."""
    layers = [name for name, _ in relevance.features.layers]
    switch = Switch()
    switch.rule = "guided"
    rules = switch.rules()
    strides = Rules({"conv2d": _smoothed} if smooth else {})
    with torch.enable_grad(), capture(query.net, *layers) as outputs:
        leaf = images.detach().requires_grad_()
        with rules, strides:
            query.logits(leaf)
        if not rules.fired:
            raise Unsupported(f"{query.model.display} uses no ReLU.", "Choose a network with ReLUs.")
        maps = {layer: query.maps_at(outputs[layer], layer).clamp(min=0) for layer in layers}
        chosen = _chosen(relevance, maps, labels, filters)
        found = [list[FilterMap]() for _ in labels]
        for rank in range(max(map(len, chosen), default=0)):
            asked = [(row, *one[rank]) for row, one in enumerate(chosen) if rank < len(one)]
            # The gradient of half a squared map is the map itself: the signal that is propagated.
            total = torch.stack([0.5 * maps[layer][row, unit].square().sum() for row, layer, unit, _ in asked])
            (signal,) = torch.autograd.grad(total.sum(), leaf, retain_graph=True)
            query.log.backwards += len(asked)
            for row, layer, unit, evidence in asked:
                found[row].append(FilterMap(layer, unit, evidence, _map(signal[row])))
    return found


def combined(found: Sequence[FilterMap], size: tuple[int, int]) -> Tensor:
    """The largest of the maps at each pixel (H, W); zero if there are none."""
    return torch.stack([one.map for one in found]).amax(0) if found else torch.zeros(size)


def _chosen(
    relevance: Relevance, maps: Mapping[str, Tensor], labels: Sequence[int], count: int
) -> list[list[tuple[str, int, float]]]:
    """For each image the filters with the most evidence: layer, filter and evidence."""
    vectors = shares([energies(values.detach()) for values in maps.values()])
    weights = relevance.weights[labels]
    sums = np.abs(weights).sum(1, keepdims=True)
    evidence = vectors * weights / np.where(sums > 0, sums, 1)
    return [
        [
            (*relevance.features.unit(int(feature)), float(row[feature]))
            for feature in np.argsort(-row, kind="stable")[:count]
            if row[feature] > NONZERO * row.max()
        ]
        for row in evidence
    ]


def _map(signal: Tensor) -> Tensor:
    """The positive part of a signal (C, H, W) as a map (H, W) from 0 to 1; zero if it is the same everywhere."""
    norm = signal.clamp(min=0).norm(dim=0).cpu()
    low, high = norm.min(), norm.max()
    return (norm - low) / (high - low) if high > low else torch.zeros_like(norm)


def _smoothed(call: Callable[..., Tensor], source: Tensor, weight: Tensor, bias: Any = None, *rest: Any,
              **named: Any) -> Tensor:  # fmt: skip
    """A convolution whose signal is enlarged before it is propagated, if it has strides."""
    value = call(source, weight, bias, *rest, **named)
    stride, padding, dilation, groups = _arguments(*rest, **named)
    if isinstance(padding, str) or max(stride if isinstance(stride, tuple | list) else (stride,)) == 1:
        return value
    back = partial(conv2d_input, source.shape, weight, stride=1, padding=padding, dilation=dilation, groups=groups)
    sides = F.conv2d(source[:1], weight, None, 1, padding, dilation, groups).shape[-2:]
    smooth: Tensor = _Smoothed.apply(source, value, back, sides)
    return smooth


def _arguments(stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> tuple[Any, Any, Any, int]:
    """The arguments of a convolution after its bias."""
    return stride, padding, dilation, groups


class _Smoothed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, _source: Tensor, value: Tensor, back: Callable[[Tensor], Tensor], sides: Any) -> Tensor:
        """The value, unchanged."""
        ctx.back, ctx.sides = back, sides
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *received: Tensor) -> tuple[Tensor, None, None, None]:
        """The signal at the size that the convolution would have without strides, propagated without them."""
        return ctx.back(F.interpolate(received[0], ctx.sides, mode="nearest")), None, None, None
