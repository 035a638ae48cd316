"""What a network is made of, found by watching one forward instead of keeping lists by hand."""

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.capture import Watched

Layout = Literal["grid", "tokens", "channels-last", "vector"]

# These hand on what they get, at most smaller: the layer before them is the one worth looking at.
_PASSIVE = (
    nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Dropout, nn.Dropout2d, nn.Identity,
    nn.Flatten,
)  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """One module of a network and what it puts out for one image."""

    name: str
    kind: str
    shape: tuple[int, ...]  # without the batch
    layout: Layout

    @property
    def units(self) -> int:
        """Channels of a grid, features of tokens."""
        return self.shape[0] if self.layout == "grid" else self.shape[-1]

    @property
    def cells(self) -> tuple[int, int]:
        """Height and width of the grid of positions; (1, 1) for a vector."""
        if self.layout == "grid":
            return self.shape[1], self.shape[2]
        if self.layout == "channels-last":
            return self.shape[0], self.shape[1]
        if self.layout == "tokens":
            side = math.isqrt(self.shape[0])
            return side, side
        return 1, 1


@dataclass(frozen=True)
class Survey:
    """The layers of a network in the order they finish, and the operations it uses."""

    layers: tuple[Layer, ...]
    operations: tuple[str, ...]
    default: str  # the layer explained unless another is asked for; "" where no layer has positions
    head: str  # the one Linear after global average pooling of `default`; "" where the network does not end so
    rectified: bool  # `default` puts out no negative values
    reused: tuple[str, ...]  # modules called more than once in a forward
    input_size: tuple[int, int]

    def layer(self, name: str) -> Layer | None:
        """The facts of one layer, or None where it was not called."""
        return next((layer for layer in self.layers if layer.name == name), None)

    @property
    def usable(self) -> tuple[Layer, ...]:
        """The layers with more than one position: those that maps can be read from."""
        return tuple(layer for layer in self.layers if layer.layout != "vector")


@dataclass
class _Call:
    name: str
    module: nn.Module
    output: Tensor
    smallest: float


def survey(net: nn.Module, size: tuple[int, int], channels: int = 3) -> Survey:
    """One forward of a fixed noise image of `size` (height, width), watched from inside."""
    device = next((p.device for p in net.parameters()), torch.device("cpu"))
    image = torch.randn(1, channels, *size, generator=torch.Generator().manual_seed(0)).to(device)
    calls: list[_Call] = []
    counts: dict[str, int] = {}
    attended: list[int] = []  # how many outputs there were when each attention finished

    def hook_for(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            counts[name] = counts.get(name, 0) + 1
            if "attention" in type(module).__name__.lower():
                attended.append(len(calls))
            if isinstance(output, Tensor):
                calls.append(_Call(name, module, output, float(output.min()) if output.numel() else 0.0))

        return hook

    with ExitStack() as stack, torch.no_grad(), Watched() as watched:
        for name, module in net.named_modules():
            if name:
                handle = module.register_forward_hook(hook_for(name))
                stack.callback(handle.remove)
        logits = net(image)

    last = {call.name: call for call in calls}
    ordered = [call for call in calls if last[call.name] is call]
    layers = tuple(Layer(c.name, type(c.module).__name__, tuple(c.output.shape[1:]), layout(c.output)) for c in ordered)
    chosen = _default(ordered, calls[attended[-1] - 1] if attended else None)
    return Survey(
        layers=layers,
        operations=tuple(sorted(watched.calls)),
        default=chosen.name if chosen else "",
        head=_head(ordered, chosen, logits) if chosen else "",
        rectified=bool(chosen and chosen.smallest >= 0),
        reused=tuple(name for name, count in counts.items() if count > 1),
        input_size=size,
    )


def layout(output: Tensor) -> Layout:
    """How the positions lie in an output: (B, K, h, w), (B, h, w, K), (B, 1 + g·g, K) tokens, or none."""
    if output.dim() == 4:
        a, b, c = output.shape[1:]
        if a == b and b != c and c > 1 and a > 1:
            return "channels-last"
        return "grid" if b * c > 1 else "vector"
    if output.dim() == 3:
        tokens = output.shape[1]
        patches = tokens - 1 if math.isqrt(tokens) ** 2 != tokens else tokens
        if patches > 1 and math.isqrt(patches) ** 2 == patches:
            return "tokens"
    return "vector"


def grid(output: Tensor, how: Layout) -> Tensor:
    """An output as maps (B, K, h, w): class token dropped, channels moved to the front."""
    if how == "channels-last":
        return output.permute(0, 3, 1, 2)
    if how == "tokens":
        side = math.isqrt(output.shape[1])
        patches = output[:, -side * side :]
        return patches.transpose(1, 2).reshape(output.shape[0], -1, side, side)
    return output


def _default(calls: list[_Call], before_attention: _Call | None) -> _Call | None:
    """The last output with positions that a weighted layer still reads, under its outermost name.

    Pooling only shrinks; outputs after the last weighted layer are the class scores themselves. Tokens count up to the
    last attention: behind it only the class token reaches the scores.
    """
    weighted = [i for i, c in enumerate(calls) if any(True for _ in c.module.parameters(recurse=False))]
    # A container finishes after its parts, so what still has a weighted layer *behind its tensor* is asked per tensor.
    finished = {id(c.output): i for i, c in reversed(list(enumerate(calls)))}
    attention = finished.get(id(before_attention.output), len(calls)) if before_attention else len(calls)
    made_by = {key: calls[i].module for key, i in finished.items()}
    best: _Call | None = None
    for call in calls:
        first = finished[id(call.output)]
        how = layout(call.output)
        if isinstance(call.module, _PASSIVE) or isinstance(made_by[id(call.output)], _PASSIVE):
            continue
        if how == "vector" or not weighted or first >= weighted[-1]:
            continue
        if how == "tokens" and first > attention:
            continue
        best = call
    return best


def _head(calls: list[_Call], chosen: _Call, logits: Tensor) -> str:
    """The Linear whose weights times the pooled activations are the logits, measured on this very forward."""
    linear = next((c for c in reversed(calls) if isinstance(c.module, nn.Linear)), None)
    if linear is None or layout(chosen.output) != "grid":
        return ""
    pooled = chosen.output.mean((2, 3))
    module = linear.module
    if not isinstance(module, nn.Linear) or module.in_features != pooled.shape[1]:
        return ""
    again = F.linear(pooled, module.weight, module.bias)
    return linear.name if again.shape == logits.shape and torch.allclose(again, logits, rtol=1e-3, atol=1e-4) else ""
