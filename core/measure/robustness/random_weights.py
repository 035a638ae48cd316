"""Networks with random weights: private copies in which layers are drawn again."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Layer = tuple[str, ...]  # the modules of a layer: one with a kernel or matrix, then its norms; "" is the network itself
Draw = Callable[[int], torch.Generator]  # (number of a tensor in the network) -> its generator


def weighted_layers(net: nn.Module, forward: Callable[[], object]) -> list[Layer]:
    """The layers with weights that `forward`, a pass through `net`, uses: from the output to the input.

    They are in the order of their last use, whatever the architecture. Modules with vectors alone, such as norms,
    belong to the layer before them.
    """
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    with torch.no_grad(), _LastUses() as uses:
        forward()
    used = [names[known] for known in uses.order if known in names]
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in reversed(used)))[::-1]
    layers: list[Layer] = []
    for name in modules:
        vectors = all(weights.dim() < 2 for weights in net.get_submodule(name).parameters(recurse=False))
        if vectors and layers:
            layers[-1] = (*layers[-1], name)
        else:
            layers.append((name,))
    return layers[::-1]


def in_stages(layers: Sequence[Layer], count: int) -> list[Sequence[Layer]]:
    """At most `count` stages of consecutive layers: the first layer alone, the others in parts of about equal size."""
    count = min(count, len(layers))
    if count < 2:
        return [layers] if layers else []
    ends = [1 + (len(layers) - 1) * number // (count - 1) for number in range(count)]
    return [layers[start:end] for start, end in pairwise([0, *ends])]


def private_copy(net: nn.Module) -> nn.Module:
    """A copy with modules of its own, which shares all weights with the original.

    Other threads may add hooks to the original meanwhile.
    """
    known: dict[int, Any] = {id(tensor): tensor for tensor in (*net.parameters(), *net.buffers())}
    for module in net.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            known[id(hooks)] = OrderedDict(hooks)  # at once, where deepcopy takes one after the other
    return deepcopy(net, known)


def randomise(net: nn.Module, layers: Iterable[Layer], draw: Draw, *, statistics: bool = False) -> None:
    """Replace the weights of some layers of a private copy by random ones.

    They keep their scale: kernels and matrices are drawn from the normal distribution with mean zero and the mean
    square of the trained ones, vectors from that with the mean and variance of the trained ones. Running statistics of
    norms are set to mean zero and variance one, unless `statistics` keeps them. A tensor that several modules share
    stays shared.
    """
    numbers = {id(weights): number for number, (_, weights) in enumerate(net.named_parameters())}
    new: dict[int, nn.Parameter] = {}
    modules = [net.get_submodule(name) for layer in layers for name in layer]
    for module in modules:
        for weights in module.parameters(recurse=False):
            if weights.is_floating_point():
                drawn = _drawn(weights, draw(numbers[id(weights)]))
                new[id(weights)] = nn.Parameter(drawn, requires_grad=False)
        if not statistics:
            for name, value in (("running_mean", 0.0), ("running_var", 1.0)):
                kept = getattr(module, name, None)
                if isinstance(kept, Tensor):
                    setattr(module, name, torch.full_like(kept, value))
    for module in net.modules():  # all, as several may share a tensor
        for name, weights in list(module.named_parameters(recurse=False)):
            if id(weights) in new:
                setattr(module, name, new[id(weights)])


def _drawn(weights: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(weights.shape, generator=generator).to(weights)
    if weights.dim() < 2:
        return weights.mean() + weights.std(correction=0) * noise
    return weights.square().mean().sqrt() * noise


class _LastUses(TorchFunctionMode):
    """Lists the parameters that operations of this thread read, by identity, in the order of their last use."""

    def __init__(self) -> None:
        super().__init__()
        self.order: dict[int, None] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called by torch for every operation of this thread."""
        given = [*args, *(kwargs or {}).values()]
        for value in [*given, *(part for several in given if isinstance(several, list | tuple) for part in several)]:
            if isinstance(value, nn.Parameter):
                self.order.pop(id(value), None)
                self.order[id(value)] = None
        return func(*args, **(kwargs or {}))
