"""One forward and one backward, remembered: what ten white-box maps of the same image have in common."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.capture import capture


@dataclass(frozen=True)
class Tape:
    """What one forward and one backward tell: scores, and values and slopes at the watched layers.

    `values[layer]` is the layer's output, `slopes[layer]` the gradient of the explained scores there, both (B, …) as
    the network lays them out; the key "" is the input.
    """

    logits: Tensor  # (B, C)
    values: Mapping[str, Tensor]
    slopes: Mapping[str, Tensor]


def recorded(
    net: nn.Module,
    images: Tensor,
    layers: Sequence[str],
    scores: Sequence[Callable[[Tensor, Mapping[str, Tensor]], Tensor]],
) -> list[Tape]:
    """One tape per score: all share one forward of the images, each has its own backward.

    A score takes the logits and the watched values and gives one number per image.
    """
    with torch.enable_grad(), capture(net, *layers) as seen:
        leaf = images.detach().requires_grad_()
        logits = net(leaf)
        nodes = {"": leaf, **seen}
        slopes = [
            torch.autograd.grad(
                score(logits, seen).sum(), list(nodes.values()), retain_graph=score is not scores[-1], allow_unused=True
            )
            for score in scores
        ]
    values = {name: node.detach() for name, node in nodes.items()}
    return [Tape(logits.detach(), values, _filled(values, found)) for found in slopes]


def joined(tapes: Sequence[Tape]) -> Tape:
    """Tapes of parts of a batch as one."""
    if len(tapes) == 1:
        return tapes[0]
    names = list(tapes[0].values)
    return Tape(
        torch.cat([tape.logits for tape in tapes]),
        {name: torch.cat([tape.values[name] for tape in tapes]) for name in names},
        {name: torch.cat([tape.slopes[name] for tape in tapes]) for name in names},
    )


def _filled(values: Mapping[str, Tensor], slopes: Sequence[Tensor | None]) -> dict[str, Tensor]:
    """Slopes by name; a layer that the score does not depend on has slope zero."""
    pairs = zip(values.items(), slopes, strict=True)
    return {name: torch.zeros_like(value) if slope is None else slope for (name, value), slope in pairs}
