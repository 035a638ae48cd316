"""Inspection of a network by recording one forward pass: layers, sizes, operations; no list of architectures."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from core.network.hooks import capture
from core.network.operations import OperationCounter

Layout = Literal["grid", "tokens", "channels-last", "vector"]

# These only pool or forward their input: the layer before them is the one to explain.
_PASSIVE = (
    nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Dropout, nn.Dropout2d, nn.Identity,
    nn.Flatten,
)  # fmt: skip

NORMS = frozenset({"batch_norm", "layer_norm", "group_norm", "instance_norm", "local_response_norm", "rms_norm"})
_LINEAR = frozenset({"conv2d", "linear"})
RELUS = frozenset({"relu", "relu6"})
# Activations whose backward rule no method changes.
SMOOTH = frozenset({"gelu", "silu", "hardswish", "elu", "leaky_relu", "tanh", "sigmoid", "hardsigmoid", "hardtanh"})

_IMAGES = 2  # in the recorded forward: an output that does not grow with it holds no positions of an image


@dataclass(frozen=True)
class Layer:
    """One module of a network and its output for one image."""

    name: str
    kind: str
    shape: tuple[int, ...]  # without the batch
    layout: Layout
    cells: tuple[int, int] = (1, 1)  # height and width of the grid of positions; (1, 1) for a vector
    through: bool = True  # all its parents are plain sequences: its output is not one branch of several
    calls: int = 1  # in one forward
    operations: tuple[str, ...] = ()  # its own; none for a container
    reads: str = ""  # the layer whose output is its input; "" if another operation lies between them

    @property
    def units(self) -> int:
        """Channels of a grid, features of tokens."""
        return self.shape[0] if self.layout == "grid" else self.shape[-1]

    def maps(self, output: Tensor) -> Tensor:
        """An output of this layer as maps (B, K, h, w)."""
        return grid(output, self.layout, self.cells)


@dataclass(frozen=True)
class Survey:
    """The layers of a network in the order they finish, and the operations it uses."""

    layers: tuple[Layer, ...]
    operations: tuple[str, ...]
    default: str  # the layer explained by default; "" where no layer has positions
    head: str  # the one Linear after global average pooling of `default`; "" where the network does not end so
    head_rectifies: bool  # a ReLU lies between `default` and that pooling
    rectified: bool  # `default` has no negative outputs
    overwrites: Mapping[str, int]  # operations that work in place, and how often
    input_size: tuple[int, int]

    def layer(self, name: str) -> Layer | None:
        """The facts of one layer, or None where it was not called."""
        return next((layer for layer in self.layers if layer.name == name), None)

    @property
    def usable(self) -> tuple[Layer, ...]:
        """The layers with more than one position: those that maps can be read from."""
        return tuple(layer for layer in self.layers if layer.layout != "vector")

    @property
    def reused(self) -> tuple[Layer, ...]:
        """The layers called more than once in a forward."""
        return tuple(layer for layer in self.layers if layer.calls > 1)

    @property
    def norms(self) -> tuple[Layer, ...]:
        """The layers that normalise."""
        return tuple(layer for layer in self.layers if not NORMS.isdisjoint(layer.operations))

    @property
    def linear(self) -> tuple[Layer, ...]:
        """The convolutions and the layers of matrices."""
        return tuple(layer for layer in self.layers if not _LINEAR.isdisjoint(layer.operations))

    @property
    def folded(self) -> tuple[Layer, ...]:
        """The batch norms right after a layer with weights: the two together are one linear layer."""
        linear = {layer.name for layer in self.linear}
        return tuple(layer for layer in self.norms if "batch_norm" in layer.operations and layer.reads in linear)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages up to `default`: the last layer of each resolution, or the input of each transformer block.

        Everything that a prediction depends on passes through each of them.
        """
        usable = self.usable
        chosen = self.layer(self.default)
        if chosen is None:
            return ()
        if chosen.layout == "tokens":
            return _read_by_blocks(usable)
        last = {layer.cells: layer.name for layer in usable[: usable.index(chosen) + 1] if layer.through}
        return tuple(last.values())


@dataclass
class _Call:
    name: str
    module: nn.Module
    shape: tuple[int, ...]  # without the batch
    how: Layout
    cells: tuple[int, int]
    first: int  # the call that made this tensor: a container returns that of its last module
    reads: int | None  # the call that made its input
    operations: tuple[str, ...]  # of a module without children


def survey(net: nn.Module, size: tuple[int, int], channels: int = 3) -> Survey:
    """The survey of a network, from two forwards of two fixed noise images of `size` (height, width)."""
    device = next((p.device for p in net.parameters()), torch.device("cpu"))
    images = torch.randn(_IMAGES, channels, *size, generator=torch.Generator().manual_seed(0)).to(device)
    calls: list[_Call] = []
    attended: list[int] = []  # how many outputs there were when each attention finished
    makers = WeakTensorKeyDictionary()
    begun: dict[str, Mapping[str, int]] = {}  # counts of operations when a module was called last

    def before(name: str) -> Callable[[nn.Module, Any], None]:
        def hook(_module: nn.Module, _inputs: Any) -> None:
            begun[name] = dict(counter.calls)

        return hook

    def after(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if "attention" in type(module).__name__.lower():
                attended.append(len(calls))
            if isinstance(output, Tensor):
                container = any(True for _ in module.children())
                done = {} if container else counter.calls.items() - begun[name].items()
                calls.append(
                    _Call(
                        name,
                        module,
                        tuple(output.shape[1:]),
                        *layout(output, size),
                        first=makers.setdefault(output, len(calls)),
                        reads=makers.get(inputs[0]) if inputs and isinstance(inputs[0], Tensor) else None,
                        operations=tuple(sorted(operation for operation, _ in done)),
                    )
                )

        return hook

    with ExitStack() as stack, torch.no_grad(), OperationCounter() as counter:
        for name, module in net.named_modules():
            if name:
                stack.callback(module.register_forward_pre_hook(before(name)).remove)
                stack.callback(module.register_forward_hook(after(name)).remove)
        net(images)

    last = {call.name: call for call in calls}
    chosen = _default(calls, calls[attended[-1] - 1] if attended and attended[-1] else None)
    head, rectifies, rectified = _end(net, images, chosen, calls) if chosen else ("", False, False)
    return Survey(
        layers=tuple(_layer(net, call, calls) for call in calls if last[call.name] is call),
        operations=tuple(sorted(counter.calls)),
        default=chosen.name if chosen else "",
        head=head,
        head_rectifies=rectifies,
        rectified=rectified,
        overwrites=dict(sorted(counter.overwrites.items())),
        input_size=size,
    )


def _layer(net: nn.Module, call: _Call, calls: Sequence[_Call]) -> Layer:
    parents = call.name.split(".")[:-1]
    around = [net.get_submodule(".".join(parents[: depth + 1])) for depth in range(len(parents))]
    return Layer(
        call.name,
        type(call.module).__name__,
        call.shape,
        call.how,
        call.cells,
        through=all(isinstance(module, nn.Sequential | nn.ModuleList) for module in around),
        calls=sum(1 for other in calls if other.name == call.name),
        operations=call.operations,
        reads="" if call.reads is None else calls[call.reads].name,
    )


def layout(output: Tensor, size: tuple[int, int]) -> tuple[Layout, tuple[int, int]]:
    """The layout of the positions of _IMAGES images of `size` in an output, and their grid (h, w).

    (B, K, h, w), (B, h, w, K), (B, 1 + h·w, K) or (B, h·w, K) tokens, or none, (1, 1). Square images have square grids,
    others grids of about their proportions.
    """
    shape = tuple(output.shape[1:])
    if output.shape[0] != _IMAGES or len(shape) not in {2, 3}:
        return "vector", (1, 1)
    found: list[tuple[Layout, tuple[int, int]]] = []
    if len(shape) == 3:
        found = [("grid", (shape[1], shape[2])), ("channels-last", (shape[0], shape[1]))]
        found = found if shape[1:] != (1, 1) else []
    else:
        for tokens in (shape[0], shape[0] - 1):  # without, and with a class token
            height = round(math.sqrt(tokens * size[0] / size[1]))
            if height and tokens % height == 0:
                found.append(("tokens", (height, tokens // height)))
    # Borders that convolutions cut off change proportions, but only of images that are not square.
    allowed = 0 if size[0] == size[1] else 3 * sum(size)
    off = [abs(cells[0] * size[1] - cells[1] * size[0]) for _, cells in found]
    fitting = [
        (how, cells)
        for gap, (how, cells) in sorted(zip(off, found, strict=True), key=lambda pair: pair[0])
        if math.prod(cells) > 1 and gap <= allowed
    ]
    return fitting[0] if fitting else ("vector", (1, 1))


def grid(output: Tensor, how: Layout, cells: tuple[int, int]) -> Tensor:
    """An output as maps (B, K, h, w): class token dropped, channels moved to the front."""
    if how == "channels-last":
        return output.permute(0, 3, 1, 2)
    if how == "tokens":
        patches = output[:, -math.prod(cells) :]
        return patches.transpose(1, 2).reshape(output.shape[0], -1, *cells)
    return output


def _default(calls: list[_Call], before_attention: _Call | None) -> _Call | None:
    """The last output with positions that a weighted layer still reads, under its outermost name.

    Pooling only shrinks; outputs after the last weighted layer are the class scores themselves. Tokens count up to the
    last attention: after it only the class token reaches the scores.
    """
    weighted = [index for index, call in enumerate(calls) if any(True for _ in call.module.parameters(recurse=False))]
    last = {call.name: call for call in calls}
    best: _Call | None = None
    for call in calls:
        passive = isinstance(call.module, _PASSIVE) or isinstance(calls[call.first].module, _PASSIVE)
        if passive or call.how == "vector" or last[call.name] is not call:
            continue
        if not weighted or call.first >= weighted[-1]:
            continue
        if call.how == "tokens" and before_attention and call.first > before_attention.first:
            continue
        best = call
    return best


@torch.no_grad()
def _end(net: nn.Module, images: Tensor, chosen: _Call, calls: list[_Call]) -> tuple[str, bool, bool]:
    """The Linear whose weights times the pooled outputs of `chosen` are the logits, as measured, or "".

    Also whether that holds only after a ReLU on those outputs, and whether they are never negative.
    """
    with capture(net, chosen.name) as outputs:
        logits = net(images)
    maps = grid(outputs[chosen.name], chosen.how, chosen.cells)
    rectified = float(maps.min()) >= 0
    linear = next((call for call in reversed(calls) if isinstance(call.module, nn.Linear)), None)
    if linear is None or not isinstance(linear.module, nn.Linear) or maps.shape[1] != linear.module.in_features:
        return "", False, rectified
    for rectifies in (False, True):
        pooled = (maps.relu() if rectifies else maps).mean((2, 3))
        product = pooled @ linear.module.weight.T
        again = product if linear.module.bias is None else product + linear.module.bias
        # Relative to the contribution of the maps: next to a large bias, small activations would be invisible.
        if again.shape == logits.shape and 0 < float(product.abs().max()) * 1e-3 >= float((again - logits).abs().max()):
            return linear.name, rectifies, rectified
    return "", False, rectified


def _read_by_blocks(usable: tuple[Layer, ...]) -> tuple[str, ...]:
    """The layers that feed a network's repeated blocks: the one before the first, then every block but the last."""
    names = [layer.name for layer in usable]
    groups: dict[tuple[str, str], list[str]] = {}
    for layer in usable:
        if any(name.startswith(layer.name + ".") for name in names):
            groups.setdefault((layer.name.rpartition(".")[0], layer.kind), []).append(layer.name)
    blocks = max(groups.values(), key=len, default=[])
    if not blocks:
        return ()
    first = next(index for index, name in enumerate(names) if name.startswith(blocks[0] + "."))
    return (*names[max(first - 1, 0) : first], *blocks[:-1])
