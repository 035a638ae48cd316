"""A recorded forward and backward pass, which all white-box maps of the same image read."""

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
    """Logits, and activations and gradients at some layers, of one forward and one backward.

    `values[layer]` is the layer's output, `slopes[layer]` the gradient of the explained scores there, both (B, …) in
    the network's own layout; the key "" is the input.
    """

    logits: Tensor  # (B, C)
    values: Mapping[str, Tensor]
    slopes: Mapping[str, Tensor]


def recorded(
    net: nn.Module,
    images: Tensor,
    layers: Sequence[str],
    scores: Sequence[Callable[[Tensor, Mapping[str, Tensor]], Tensor]],
    relu_rules: Sequence[ReluRule] = ("plain",),
    *,
    start: str = "",
) -> list[dict[ReluRule, ForwardBackward]]:
    """Record each score under each ReLU rule: one forward for all, one backward each.

    A score takes the logits and the layers' outputs and gives one number per image. A rule other than "plain" is
    missing from the result where the network called no ReLU. With `start`, the only layer, the gradient ends there:
    nothing before it is stored or traversed, and there is none at the input.
    """
    switch = Switch()
    rules = switch.rules()
    changed = rules if set(relu_rules) != {"plain"} else nullcontext()
    with torch.enable_grad(), capture(net, *layers, edit={start: _leaf} if start else None) as outputs:
        leaf = images.detach().requires_grad_(not start)
        with changed:
            logits = net(leaf)
        nodes = dict(outputs) if start else {"": leaf, **outputs}
        totals = [score(logits, outputs).sum() for score in scores]
        possible = [rule for rule in relu_rules if rule == "plain" or rules.fired]
        slopes = {}
        for number, switch.rule in product(range(len(totals)), possible):
            last = (number, switch.rule) == (len(totals) - 1, possible[-1])
            slopes[number, switch.rule] = torch.autograd.grad(
                totals[number], list(nodes.values()), retain_graph=not last, allow_unused=True
            )
    values = {name: node.detach() for name, node in nodes.items()}
    recordings = {
        key: ForwardBackward(logits.detach(), values, _filled(values, given)) for key, given in slopes.items()
    }
    return [{rule: recordings[number, rule] for rule in possible} for number in range(len(totals))]


def joined(recordings: Sequence[ForwardBackward]) -> ForwardBackward:
    """Recordings of parts of a batch as one."""
    if len(recordings) == 1:
        return recordings[0]
    names = list(recordings[0].values)
    return ForwardBackward(
        torch.cat([recording.logits for recording in recordings]),
        {name: torch.cat([recording.values[name] for recording in recordings]) for name in names},
        {name: torch.cat([recording.slopes[name] for recording in recordings]) for name in names},
    )


def _leaf(output: Tensor) -> Tensor:
    return output.detach().requires_grad_()


def _filled(values: Mapping[str, Tensor], slopes: Sequence[Tensor | None]) -> dict[str, Tensor]:
    """Gradients by layer; zero at a layer that the score does not depend on."""
    pairs = zip(values.items(), slopes, strict=True)
    return {name: torch.zeros_like(value) if slope is None else slope for (name, value), slope in pairs}
