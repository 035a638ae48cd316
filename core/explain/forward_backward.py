"""One forward and one backward, recorded: what all white-box maps of the same image read."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from core.explain.relu_rules import ReluRule, Switch
from core.network.hooks import capture


@dataclass(frozen=True)
class ForwardBackward:
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
    kinds: Sequence[ReluRule] = ("plain",),
) -> list[dict[ReluRule, ForwardBackward]]:
    """For each score a tape of each kind: all share one forward of the images, each has its own backward.

    A score takes the logits and the watched values and gives one number per image. A kind other than "plain" changes
    the rule of ReLU; it is missing where no ReLU was met.
    """
    switch = Switch()
    rules = switch.rules()
    changed = rules if set(kinds) != {"plain"} else nullcontext()
    with torch.enable_grad(), capture(net, *layers) as seen:
        leaf = images.detach().requires_grad_()
        with changed:
            logits = net(leaf)
        nodes = {"": leaf, **seen}
        told = [score(logits, seen).sum() for score in scores]
        turns = [kind for kind in kinds if kind == "plain" or rules.fired]
        slopes = {}
        for place, switch.kind in product(range(len(told)), turns):
            last = (place, switch.kind) == (len(told) - 1, turns[-1])
            slopes[place, switch.kind] = torch.autograd.grad(
                told[place], list(nodes.values()), retain_graph=not last, allow_unused=True
            )
    values = {name: node.detach() for name, node in nodes.items()}
    recordings = {
        key: ForwardBackward(logits.detach(), values, _filled(values, found)) for key, found in slopes.items()
    }
    return [{kind: recordings[place, kind] for kind in turns} for place in range(len(told))]


def joined(recordings: Sequence[ForwardBackward]) -> ForwardBackward:
    """Tapes of parts of a batch as one."""
    if len(recordings) == 1:
        return recordings[0]
    names = list(recordings[0].values)
    return ForwardBackward(
        torch.cat([recording.logits for recording in recordings]),
        {name: torch.cat([recording.values[name] for recording in recordings]) for name in names},
        {name: torch.cat([recording.slopes[name] for recording in recordings]) for name in names},
    )


def _filled(values: Mapping[str, Tensor], slopes: Sequence[Tensor | None]) -> dict[str, Tensor]:
    """Slopes by name; a layer that the score does not depend on has slope zero."""
    pairs = zip(values.items(), slopes, strict=True)
    return {name: torch.zeros_like(value) if slope is None else slope for (name, value), slope in pairs}
