"""Convolutions of a network: where their maps are read, their weights, and their groups by depth."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from core.errors import Unsupported
from core.models.model import Model
from core.network.hooks import module_named
from core.network.inspection import RELUS, SMOOTH, Layer

# A layer between two convolutions that leaves channels apart: channel k of its output depends on channel k alone.
_APART = {
    "batch_norm", "instance_norm", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "dropout",
    "flatten",
} | RELUS | SMOOTH  # fmt: skip


@dataclass(frozen=True)
class Convolution:
    """A convolution, each of whose channels is a filter."""

    name: str
    at: str  # the layer whose output its maps are: itself, or the batch norm after it, as both are one linear layer
    shape: tuple[int, int, int]  # K, R, C of the maps
    group: int  # 0 for the largest maps of those considered, 1 for the next size …


def convolutions(model: Model, layers: Sequence[str] = ()) -> tuple[Convolution, ...]:
    """The named convolutions of a model in their order, or all with more than one position that run once per forward.

    Groups are those of equal map sizes: the layers 3–4, 5–7 and 8–9 of VGG-16, whose boxes are red, green and blue in
    figure 4 of Lengerich et al. 2017. Raises UnknownName for a layer the network lacks, Unsupported for one that is no
    such convolution, and if the network has none.
    """
    surveyed = model.survey.layers
    norms = {norm.reads: norm.name for norm in model.survey.folded if norm.calls == 1}
    usable = [layer for layer in surveyed if not _reason(model, layer)]
    for name in layers:
        facts = model.survey.layer(name)
        if facts is None:
            model.resolve_layer(name)
        if facts is None or (reason := _reason(model, facts)):
            said = reason if facts else "was not called"
            raise Unsupported(f"Layer '{name}' of {model.display} {said}.", "Choose a convolution.")
    chosen = [layer for layer in usable if not layers or layer.name in layers]
    if not chosen:
        raise Unsupported(
            f"{model.display} has no convolution whose filters could be compared.", "Choose another model."
        )
    sizes = sorted({math.prod(layer.cells) for layer in chosen}, reverse=True)
    return tuple(
        Convolution(
            layer.name,
            norms.get(layer.name, layer.name),
            (layer.units, *layer.cells),
            sizes.index(math.prod(layer.cells)),
        )
        for layer in chosen
    )


def own_weights(model: Model, layer: str) -> NDArray[np.float64]:
    """The weights of each filter of a convolution, (K, in · kh · kw), without the scale of a batch norm after it."""
    weights = _weights(_weighted(model, layer))
    return weights.reshape(len(weights), -1)


def outgoing_weights(model: Model, layers: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """The weights that read each filter of a layer, (K, M): of the next convolutions, or of the linear layer after it.

    A layer is missing if other operations lie between, such as the sum of a residual connection: the layers alone do
    not say then which weights read a filter.
    """
    parts: dict[str, list[NDArray[np.float64]]] = {}
    for reader in model.survey.layers:
        source = _source(model, reader)
        facts = model.survey.layer(source)
        if facts and source in layers:
            parts.setdefault(source, []).append(_reading(_weighted(model, reader.name), facts.units))
    return {source: np.concatenate(found, 1) for source, found in parts.items()}


def convolution_of(model: Model, layer: str) -> str:
    """The convolution each of whose channels, on its own, becomes the unit of the same number of a layer, or "".

    The layer itself if it is one, else the one before norms, activations and pooling.
    """
    path = _back(model, layer)
    return path[-1] if path and isinstance(module_named(model.net, path[-1]), nn.Conv2d) else ""


def of_same_units(model: Model, layer: str) -> tuple[str, ...]:
    """The layers whose unit of a number is the filter that the unit of this number of a layer is computed from.

    The layer itself, those before it back to its convolution, and the batch norm after that.
    """
    path = _back(model, layer)
    norms = (norm.name for norm in model.survey.folded if norm.calls == 1 and norm.reads in path)
    return tuple(dict.fromkeys((layer, *path, *norms)))


def _back(model: Model, layer: str) -> list[str]:
    """A layer and those before it, as long as each computes its channels from those of the one before, one by one."""
    path, facts = [], model.survey.layer(layer)
    while facts is not None and facts.calls == 1:
        path.append(facts.name)
        module = module_named(model.net, facts.name)
        if isinstance(module, nn.Sequential) and len(module):
            last = list(dict(module.named_children()))[-1]
            facts = model.survey.layer(f"{facts.name}.{last}")
            continue
        # Those without an operation, such as dropout after training, do nothing; a convolution mixes channels.
        if any(True for _ in module.children()) or not set(facts.operations) <= _APART:
            break
        facts = model.survey.layer(facts.reads)
    return path


def _reason(model: Model, layer: Layer) -> str:
    """Why a layer is no convolution with maps, or ""."""
    if not isinstance(module_named(model.net, layer.name), nn.Conv2d):
        return f"is a {layer.kind} and has no filters"
    if layer.layout != "grid":
        return "has one position only"
    return "" if layer.calls == 1 else f"is called {layer.calls} times in a forward"


def _source(model: Model, reader: Layer) -> str:
    """The convolution whose channels, each on its own, reach the input of a convolution or linear layer, or ""."""
    survey = model.survey
    if not isinstance(module_named(model.net, reader.name), nn.Conv2d | nn.Linear) or reader.calls > 1:
        return ""
    return convolution_of(model, survey.default if reader.name == survey.head else reader.reads)


def _weighted(model: Model, layer: str) -> nn.Conv2d | nn.Linear:
    module = module_named(model.net, layer)
    if not isinstance(module, nn.Conv2d | nn.Linear):
        raise TypeError(f"{layer} is neither a convolution nor a linear layer")
    return module


def _weights(module: nn.Conv2d | nn.Linear) -> NDArray[np.float64]:
    values: NDArray[np.float64] = module.weight.detach().double().numpy(force=True)
    return values


def _reading(module: nn.Conv2d | nn.Linear, units: int) -> NDArray[np.float64]:
    """The weights (units, M) of a convolution or linear layer that read each channel of its input."""
    weights, groups = _weights(module), module.groups if isinstance(module, nn.Conv2d) else 1
    return weights.reshape(groups, len(weights) // groups, units // groups, -1).swapaxes(1, 2).reshape(units, -1)
