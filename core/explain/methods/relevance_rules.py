"""Propagation rules of relevance: one backward in which every linear operation divides what it receives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import Node

from core.errors import Unsupported
from core.network.operations import Rules

Share = Callable[["Operation", Tensor], Tensor]
Part = tuple[Tensor, Tensor]  # a part of an operation's input, and the weights it is taken with

_WEIGHTED = ("conv2d", "linear")
_AVERAGES = ("avg_pool2d", "adaptive_avg_pool2d", "mean")
_PASSED = ("relu", "relu6", "local_response_norm")
# What these do to relevance is what their own backward does: hand it on, divide it, or give it to the winner.
_PLAIN = (
    "max_pool2d", "adaptive_max_pool2d", "cat", "flatten", "dropout", "permute", "transpose", "unsqueeze", "pad",
    "__getitem__", "chunk", "split", "shift",
)  # fmt: skip
KNOWN = frozenset((*_WEIGHTED, *_AVERAGES, *_PASSED, *_PLAIN, "batch_norm", "add", "scale"))


class Relay(torch.autograd.Function):
    """A tensor whose value is `value` and which hands back `share(R)` to `source` instead of its gradient."""

    @staticmethod
    def forward(ctx: Any, _source: Tensor, value: Tensor, share: Callable[[Tensor], Tensor]) -> Tensor:
        """The value, unchanged."""
        ctx.share = share
        return value.detach().view_as(value)

    @staticmethod
    def backward(ctx: Any, *received: Tensor) -> tuple[Tensor, None, None]:
        """What the share makes of the received relevance."""
        return ctx.share(received[0]), None, None


@dataclass(frozen=True)
class Operation:
    """A linear operation as it was called: what it read, its weights, and how to apply others in their place."""

    source: Tensor
    weight: Tensor
    bias: Tensor
    apply: Callable[[Tensor, Tensor], Tensor]  # (input, weight) -> output without bias


class Sweep:
    """The rules of one forward; remembers the last operation with weights, and what it put out.

    `weights`, `averages` and `sums` say how each kind of operation divides what it receives; `norms` is for a batch
    norm that does not follow an operation with weights: one that does is folded into it.
    """

    def __init__(self, weights: Share, averages: Share, sums: Share, norms: Share) -> None:
        self.weights, self.averages, self.sums, self.norms = weights, averages, sums, norms
        self.top: tuple[Operation, Tensor] | None = None
        self._known_steps: dict[Node, int] = {}

    def rules(self) -> Rules:
        """The table of operations, for one `with`."""
        return Rules(
            {
                **dict.fromkeys(_WEIGHTED, self._weighted),
                **dict.fromkeys(_AVERAGES, self._averaged),
                **dict.fromkeys(_PASSED, _passed),
                "batch_norm": self._normed,
                "add": self._added,
                "mul": _scaled,
            }
        )

    def _weighted(
        self, call: Callable[..., Tensor], source: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any,
        **named: Any,
    ) -> Tensor:  # fmt: skip
        value = call(source, weight, bias, *rest, **named)
        offset = weight.new_zeros(()) if bias is None else _along(bias, value)
        return self._relayed(Operation(source, weight, offset, lambda x, w: call(x, w, None, *rest, **named)), value)

    def _normed(  # noqa: PLR0917 - the signature of torch's batch_norm
        self, call: Callable[..., Tensor], source: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None = None,
        bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
    ) -> Tensor:  # fmt: skip
        value = call(source, mean, var, weight, bias, training, momentum, eps)
        slope = (var + eps).rsqrt() if weight is None else (var + eps).rsqrt() * weight
        scale, shift = _along(slope, value), _along((0 if bias is None else bias) - mean * slope, value)
        if self.top is None or source is not self.top[1]:
            alone = Operation(source, scale, shift, torch.mul)
            return Relay.apply(source, value, partial(self.norms, alone))
        made = self.top[0]
        weights = made.weight * slope.view(-1, *[1] * (made.weight.dim() - 1))
        return self._relayed(Operation(made.source, weights, made.bias * scale + shift, made.apply), value)

    def _averaged(self, call: Callable[..., Tensor], source: Tensor, *rest: Any, **named: Any) -> Tensor:
        mean = Operation(source, source.new_ones(()), source.new_zeros(()), lambda x, w: call(x, *rest, **named) * w)
        return Relay.apply(source, call(source, *rest, **named), partial(self.averages, mean))

    def _added(self, call: Callable[..., Tensor], one: Any, other: Any, alpha: float = 1) -> Tensor:
        if not _both_signals(one, other):
            return call(one, other, alpha=alpha)
        # Never in place: what one operation put out is what another one remembers.
        value = torch.add(one, other, alpha=alpha)
        both = torch.stack(torch.broadcast_tensors(one, other if alpha == 1 else other * alpha))
        # A weight of zero marks the shorter way, for rules that tell the two apart.
        steps = torch.tensor([self._steps(one.grad_fn), self._steps(other.grad_fn)], device=value.device)
        longer = (steps == steps.max()).to(both) / (steps == steps.max()).sum()
        total = Operation(both, longer.view(2, *[1] * value.dim()), value.new_zeros(()), lambda x, w: (x * w).sum(0))
        return Relay.apply(both, value, partial(self.sums, total))

    def _steps(self, node: Node | None) -> int:
        """The length of the longest way from here back to the image."""
        if node is None:
            return 0
        if node not in self._known_steps:
            self._known_steps[node] = 1 + max((self._steps(n) for n, _ in node.next_functions), default=0)
        return self._known_steps[node]

    def _relayed(self, operation: Operation, value: Tensor) -> Tensor:
        out = Relay.apply(operation.source, value, partial(self.weights, operation))
        self.top = (operation, out)
        return out


def excitatory(operation: Operation, received: Tensor) -> Tensor:
    """By what each positive input adds through positive weights; no bias takes part (Zhang et al. 2016)."""
    return divided(received, operation, [(operation.source.clamp(min=0), operation.weight.clamp(min=0))])


def by_epsilon(operation: Operation, received: Tensor, epsilon: float) -> Tensor:
    """By what each input adds, against a total that is kept from zero (Bach et al. 2015)."""
    return divided(received, operation, [(operation.source, operation.weight)], operation.bias, epsilon)


def by_gamma(operation: Operation, received: Tensor, gamma: float, epsilon: float) -> Tensor:
    """As by_epsilon, with what agrees with the output's sign counted 1 + gamma times (Montavon et al. 2019)."""
    up, down = operation.source.clamp(min=0), operation.source.clamp(max=0)
    weight, bias = operation.weight, operation.bias
    more, less = weight + gamma * weight.clamp(min=0), weight + gamma * weight.clamp(max=0)
    value = operation.apply(operation.source, weight) + bias
    raised, lowered = bias + gamma * bias.clamp(min=0), bias + gamma * bias.clamp(max=0)
    for_it = divided(received * (value > 0), operation, [(up, more), (down, less)], raised, epsilon)
    return for_it + divided(received * (value < 0), operation, [(up, less), (down, more)], lowered, epsilon)


def by_alpha1beta0(operation: Operation, received: Tensor, epsilon: float) -> Tensor:
    """By positive contributions alone, whatever the signs that make them (Bach et al. 2015)."""
    source, weight = operation.source, operation.weight
    parts = [(source.clamp(min=0), weight.clamp(min=0)), (source.clamp(max=0), weight.clamp(max=0))]
    return divided(received, operation, parts, operation.bias.clamp(min=0), epsilon)


def by_values(operation: Operation, received: Tensor, epsilon: float = 0.0) -> Tensor:
    """By the values themselves, for sums and averages."""
    whole = torch.ones_like(operation.weight)
    return divided(received, operation, [(operation.source, whole)], epsilon=epsilon)


def by_positive_values(operation: Operation, received: Tensor) -> Tensor:
    """By the values above zero, for sums and averages."""
    whole = torch.ones_like(operation.weight)
    return divided(received, operation, [(operation.source.clamp(min=0), whole)])


def to_the_longer_way(operation: Operation, received: Tensor) -> Tensor:
    """Everything to the summand that took more steps; equal ones get equal parts."""
    return operation.weight * received


def handed_on(operation: Operation, received: Tensor) -> Tensor:
    """Everything as it came."""
    return received


def divided(
    received: Tensor, operation: Operation, parts: Sequence[Part], bias: Tensor | None = None, epsilon: float = 0.0
) -> Tensor:
    """What the operation's input gets of `received`: in proportion to what it adds to the total of all parts.

    With `epsilon` the total is kept that far from zero; without, what reaches a total of exactly zero is lost.
    """
    with torch.enable_grad():
        leaves = [source.detach().requires_grad_() for source, _ in parts]
        outputs = [operation.apply(leaf, weight) for leaf, (_, weight) in zip(leaves, parts, strict=True)]
    total = torch.stack([output.detach() for output in outputs]).sum(0)
    total = total if bias is None else total + bias
    if epsilon:
        share = received / torch.where(total < 0, total - epsilon, total + epsilon)
    else:
        share = torch.where(total == 0, 0, received / total)
    slopes = torch.autograd.grad(outputs, leaves, [share] * len(outputs))
    return torch.stack([leaf.detach() * slope for leaf, slope in zip(leaves, slopes, strict=True)]).sum(0)


def _passed(call: Callable[..., Tensor], source: Tensor, *rest: Any, **named: Any) -> Tensor:
    # On a copy: an operation that works in place would change what the one before it remembers.
    return Relay.apply(source, call(source.clone(), *rest, **named), lambda received: received)


def _scaled(call: Callable[..., Tensor], one: Any, other: Any) -> Tensor:
    if _both_signals(one, other):
        raise Unsupported("Relevance cannot be divided between two signals that are multiplied.", "Choose a gradient.")
    value = call(one.clone() if isinstance(one, Tensor) else one, other)
    signal = one if isinstance(one, Tensor) and one.requires_grad else other
    if not (isinstance(signal, Tensor) and signal.requires_grad):
        return value
    return Relay.apply(signal, value, lambda received: received)


def _both_signals(one: Any, other: Any) -> bool:
    """Whether both come from the image, rather than one from the network's weights or from its code."""
    return all(isinstance(part, Tensor) and part.requires_grad for part in (one, other))


def _along(values: Tensor, output: Tensor) -> Tensor:
    """One value per channel, shaped to meet an output (B, K, …)."""
    return values.view(1, -1, *[1] * (output.dim() - 2)) if output.dim() > 3 else values
