"""Propagation rules of relevance: one backward in which every linear operation distributes what it receives."""

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
Part = tuple[Tensor, Tensor]  # a part of an operation's input, and the weights applied to it

_WEIGHTED = ("conv2d", "linear")
_AVERAGES = ("avg_pool2d", "adaptive_avg_pool2d", "mean")
_PASSED = ("relu", "relu6", "local_response_norm")
# Their ordinary backward is already the right rule for relevance: pass on, divide, or route to the maximum.
_PLAIN = (
    "max_pool2d", "adaptive_max_pool2d", "cat", "flatten", "dropout", "permute", "transpose", "unsqueeze", "pad",
    "__getitem__", "chunk", "split", "shift",
)  # fmt: skip
KNOWN = frozenset((*_WEIGHTED, *_AVERAGES, *_PASSED, *_PLAIN, "batch_norm", "add", "scale"))


class Relay(torch.autograd.Function):
    """A tensor with the value `value` whose backward passes `share(R)` to `source` instead of the gradient."""

    @staticmethod
    def forward(ctx: Any, _source: Tensor, value: Tensor, share: Callable[[Tensor], Tensor]) -> Tensor:
        """The value, unchanged."""
        ctx.share = share
        return value.detach().view_as(value)

    @staticmethod
    def backward(ctx: Any, *received: Tensor) -> tuple[Tensor, None, None]:
        """The received relevance, redistributed by `share`."""
        return ctx.share(received[0]), None, None


@dataclass(frozen=True)
class Operation:
    """A recorded call of a linear operation: its input, its weights, and a function that applies other weights."""

    source: Tensor
    weight: Tensor
    bias: Tensor
    apply: Callable[[Tensor, Tensor], Tensor]  # (input, weight) -> output without bias


class Sweep:
    """The rules of one forward; stores the last operation with weights and its output.

    `weights`, `averages` and `sums` distribute relevance at each kind of operation; `norms` is for a batch norm that
    does not follow an operation with weights: one that does is folded into it.
    """

    def __init__(self, weights: Share, averages: Share, sums: Share, norms: Share) -> None:
        self.weights, self.averages, self.sums, self.norms = weights, averages, sums, norms
        self.top: tuple[Operation, Tensor] | None = None
        self._known_steps: dict[Node, int] = {}

    def rules(self) -> Rules:
        """The replaced operations, for one `with` block."""
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
        # Never in place: the output of one operation is stored by another.
        value = torch.add(one, other, alpha=alpha)
        both = torch.stack(torch.broadcast_tensors(one, other if alpha == 1 else other * alpha))
        # A weight of zero marks the shorter path, for rules that distinguish the two.
        steps = torch.tensor([self._steps(one.grad_fn), self._steps(other.grad_fn)], device=value.device)
        longer = (steps == steps.max()).to(both) / (steps == steps.max()).sum()
        total = Operation(both, longer.view(2, *[1] * value.dim()), value.new_zeros(()), lambda x, w: (x * w).sum(0))
        return Relay.apply(both, value, partial(self.sums, total))

    def _steps(self, node: Node | None) -> int:
        """The length of the longest path from here back to the image."""
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
    """Distribute by the contribution of positive inputs through positive weights, without bias (Zhang et al. 2016)."""
    return divided(received, operation, [(operation.source.clamp(min=0), operation.weight.clamp(min=0))])


def by_epsilon(operation: Operation, received: Tensor, epsilon: float) -> Tensor:
    """Distribute by the contribution of each input, over a total stabilised by `epsilon` (Bach et al. 2015)."""
    return divided(received, operation, [(operation.source, operation.weight)], operation.bias, epsilon)


def by_gamma(operation: Operation, received: Tensor, gamma: float, epsilon: float) -> Tensor:
    """As by_epsilon, with contributions of the output's sign weighted 1 + gamma (Montavon et al. 2019)."""
    up, down = operation.source.clamp(min=0), operation.source.clamp(max=0)
    weight, bias = operation.weight, operation.bias
    more, less = weight + gamma * weight.clamp(min=0), weight + gamma * weight.clamp(max=0)
    value = operation.apply(operation.source, weight) + bias
    raised, lowered = bias + gamma * bias.clamp(min=0), bias + gamma * bias.clamp(max=0)
    for_it = divided(received * (value > 0), operation, [(up, more), (down, less)], raised, epsilon)
    return for_it + divided(received * (value < 0), operation, [(up, less), (down, more)], lowered, epsilon)


def by_alpha1beta0(operation: Operation, received: Tensor, epsilon: float) -> Tensor:
    """Distribute by positive contributions alone, whatever the signs of their factors (Bach et al. 2015)."""
    source, weight = operation.source, operation.weight
    parts = [(source.clamp(min=0), weight.clamp(min=0)), (source.clamp(max=0), weight.clamp(max=0))]
    return divided(received, operation, parts, operation.bias.clamp(min=0), epsilon)


def by_values(operation: Operation, received: Tensor, epsilon: float = 0.0) -> Tensor:
    """Distribute by the values themselves, for sums and averages."""
    ones = torch.ones_like(operation.weight)
    return divided(received, operation, [(operation.source, ones)], epsilon=epsilon)


def by_positive_values(operation: Operation, received: Tensor) -> Tensor:
    """Distribute by the positive values, for sums and averages."""
    ones = torch.ones_like(operation.weight)
    return divided(received, operation, [(operation.source.clamp(min=0), ones)])


def to_the_longer_way(operation: Operation, received: Tensor) -> Tensor:
    """Give everything to the summand with the longer path; equal ones get equal parts."""
    return operation.weight * received


def handed_on(operation: Operation, received: Tensor) -> Tensor:
    """Pass relevance on unchanged."""
    return received


def divided(
    received: Tensor, operation: Operation, parts: Sequence[Part], bias: Tensor | None = None, epsilon: float = 0.0
) -> Tensor:
    """The relevance of the operation's input: `received` in proportion to its contribution to the total of all parts.

    With `epsilon` the total is kept that far from zero; without, relevance at a total of exactly zero is lost.
    """
    with torch.enable_grad():
        leaves = [source.detach().requires_grad_() for source, _ in parts]
        outputs = [operation.apply(leaf, weight) for leaf, (_, weight) in zip(leaves, parts, strict=True)]
    total = torch.stack([output.detach() for output in outputs]).sum(0)
    total = total if bias is None else total + bias
    if epsilon:
        ratio = received / torch.where(total < 0, total - epsilon, total + epsilon)
    else:
        ratio = torch.where(total == 0, 0, received / total)
    slopes = torch.autograd.grad(outputs, leaves, [ratio] * len(outputs))
    return torch.stack([leaf.detach() * slope for leaf, slope in zip(leaves, slopes, strict=True)]).sum(0)


def _passed(call: Callable[..., Tensor], source: Tensor, *rest: Any, **named: Any) -> Tensor:
    # On a copy: an in-place operation would change the stored output of the one before it.
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
    """Whether both depend on the image, rather than one on the network's weights or code alone."""
    return all(isinstance(part, Tensor) and part.requires_grad for part in (one, other))


def _along(values: Tensor, output: Tensor) -> Tensor:
    """One value per channel, shaped to meet an output (B, K, …)."""
    return values.view(1, -1, *[1] * (output.dim() - 2)) if output.dim() > 3 else values
