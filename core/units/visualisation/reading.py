"""Outputs of layers for images that are being optimised, and their way from colours to network inputs and pictures."""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.errors import Unsupported
from core.images import Preprocess
from core.images.preprocess import FILLED
from core.models.model import Model
from core.network.hooks import capture, observe
from core.network.inspection import Layer
from core.registry import unknown

LOGITS = ""  # stands for the network's outputs among the layers


def layer_facts(model: Model, layer: str) -> Layer:
    """The facts of a layer, with or without spatial positions. Raises UnknownName for one the network lacks."""
    facts = model.survey.layer(layer)
    if facts is None:
        raise unknown("layer", layer, [one.name for one in model.survey.layers])
    return facts


def unit_count(facts: Layer) -> int:
    """The number of channels of a layer's maps, as `read` gives them."""
    return facts.shape[0] if facts.layout == "vector" and len(facts.shape) == 3 else facts.units


def read(model: Model, images: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
    """The outputs of layers for network inputs (N, C, H, W): maps (N, K, h, w) each, of `LOGITS` (N, C).

    A layer without positions has maps of one. The network is run as far as the last of them. Gradients reach the images
    and no weight.
    """
    wanted = {layer: layer_facts(model, layer) for layer in layers if layer != LOGITS}
    ends = {} if LOGITS in layers or any(facts.calls > 1 for facts in wanted.values()) else _last(model, wanted)
    found: dict[str, Tensor] = {}
    with capture(model.net, *wanted) as outputs, observe(model.net, ends), suppress(_Enough):
        found[LOGITS] = model.net(images.contiguous(memory_format=model.order))
    return found | {layer: _maps(facts, outputs[layer]) for layer, facts in wanted.items()}


class _Enough(Exception):
    """Raised by the last layer that is read: what follows it need not be computed."""


def _last(model: Model, wanted: Mapping[str, Layer]) -> dict[str, Callable[[Tensor], None]]:
    def end(_output: Tensor) -> None:
        raise _Enough

    return {max(wanted.values(), key=model.survey.layers.index).name: end}


def _maps(facts: Layer, output: Tensor) -> Tensor:
    maps = facts.maps(output)
    if facts.layout == "vector" and maps.dim() == 3:  # tokens in no grid
        maps = maps.transpose(1, 2)
    return maps.reshape(*maps.shape, *[1] * (4 - maps.dim()))


def needs_gradients(model: Model, title: str) -> None:
    """Raise Unsupported, naming the analysis, for a model whose gradients do not reach its images."""
    if not model.differentiable:
        message = f"{title} requires gradients, and {model.display} is a black box that gives outputs alone."
        raise Unsupported(message, "Choose another model.")


def colour_channels(preprocess: Preprocess) -> int:
    """The number of channels of colour: 3, or 1 of a network for grey images; an alpha is none."""
    return min(len(preprocess.mean), 3)


def mean_colour(preprocess: Preprocess) -> Tensor:
    """The mean that the network subtracts, (C, 1, 1), of pixels in [0, 1]."""
    return torch.tensor(preprocess.mean[: colour_channels(preprocess)], dtype=torch.float32).view(-1, 1, 1)


def inputs(preprocess: Preprocess, colours: Tensor, fourth: Tensor | None = None) -> Tensor:
    """Colours (N, 1 or 3, H, W) in [0, 1] as network inputs; a fourth channel is given, or that of an opaque image."""
    if len(preprocess.mean) > colours.shape[1]:
        if fourth is None:
            fourth = colours.new_full((1, 1, 1, 1), FILLED.get(preprocess.channels, 1.0))
        colours = torch.cat([colours, fourth.expand(len(colours), 1, *colours.shape[2:])], 1)
    return preprocess.normalised(colours)


def shown(colours: Tensor) -> NDArray[np.float32]:
    """Colours (N, 1 or 3, H, W) as pictures (N, H, W, 3) in [0, 1], clipped."""
    visible = colours.detach().clamp(0, 1).expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
    return np.ascontiguousarray(visible.cpu().numpy())
