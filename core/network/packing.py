"""Layers that keep their weights in the layout in which oneDNN multiplies them, which others produce in every pass."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from core.network.cancellation import unrepeated

_operations = torch.ops.mkldnn
_ALONE: tuple[str, list[float], str] = ("none", [], "")  # no operation after the layer

_Key = tuple[torch.Size, int]  # the layout depends on the shape of the inputs and the number of threads


class _Packed:
    """A layer with its weights packed for the inputs it had last, as any other layout would be far slower."""

    weight: Tensor
    packed: tuple[_Key, Tensor] | None

    def forward(self, values: Tensor) -> Tensor:
        """Called by torch."""
        with unrepeated():
            if self._usable(values):
                return self._computed(values.to(self.weight.dtype), self._packed_for(values.shape))
        unpacked: Tensor = super().forward(values)  # type: ignore[misc]
        return unpacked

    def pack(self, shape: torch.Size) -> Tensor:
        """Pack the weights for inputs of this shape."""
        raise NotImplementedError

    def _computed(self, values: Tensor, packed: Tensor) -> Tensor:
        """The outputs with packed weights."""
        raise NotImplementedError

    def _usable(self, values: Tensor) -> bool:
        """Whether the layer multiplies in the numbers of its weights, on a CPU and without gradients."""
        cast = torch.is_autocast_enabled("cpu")
        numbers = torch.get_autocast_dtype("cpu") if cast else values.dtype
        graded = torch.is_grad_enabled() and values.requires_grad
        return type(values) is Tensor and values.device.type == "cpu" and numbers == self.weight.dtype and not graded

    def _packed_for(self, shape: torch.Size) -> Tensor:
        key, known = (shape, torch.get_num_threads()), self.packed
        if known is None or known[0] != key:  # another thread may replace it at any time
            known = self.packed = (key, self.pack(shape))
        return known[1]

    def __getstate__(self) -> dict[str, Any]:
        """Called by copy, which cannot copy packed weights."""
        return {**self.__dict__, "packed": None}


class PackedConv2d(_Packed, nn.Conv2d):
    """A convolution with packed weights; channels are the innermost axis of its outputs in memory."""

    def pack(self, shape: torch.Size) -> Tensor:
        """Pack the weights for images of this shape."""
        packed: Tensor = _operations._reorder_convolution_weight(self.weight, *self._geometry, shape)
        return packed

    def _computed(self, values: Tensor, packed: Tensor) -> Tensor:
        convolved: Tensor = _operations._convolution_pointwise(values, packed, self.bias, *self._geometry, *_ALONE)
        return convolved

    @property
    def _geometry(self) -> tuple[Any, ...]:
        return self.padding, self.stride, self.dilation, self.groups

    def _usable(self, values: Tensor) -> bool:
        return values.dim() == 4 and super()._usable(values)


class PackedLinear(_Packed, nn.Linear):
    """A linear layer with packed weights."""

    def pack(self, shape: torch.Size) -> Tensor:
        """Pack the weights for values of this shape."""
        packed: Tensor = _operations._reorder_linear_weight(self.weight, shape[:-1].numel())
        return packed

    def _computed(self, values: Tensor, packed: Tensor) -> Tensor:
        multiplied: Tensor = _operations._linear_pointwise(values, packed, self.bias, *_ALONE)
        return multiplied


def pack(net: nn.Module, images: Tensor) -> bool:
    """Let a network's convolutions, and its linear layers of bfloat16, pack their weights; whether there are any.

    There are none where channels are not the innermost axis of its `images` in memory, and where torch was built
    without oneDNN.
    """
    innermost = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
    layers = [module for module in net.modules() if _packable(module)] if innermost and _supported() else []
    for layer in layers:
        layer.packed = None  # type: ignore[assignment]
        layer.__class__ = PackedConv2d if isinstance(layer, nn.Conv2d) else PackedLinear
    return bool(layers)


def unpack(net: nn.Module) -> None:
    """Make a network's packed layers ordinary ones again."""
    for module in net.modules():
        if isinstance(module, _Packed):
            module.__class__ = nn.Conv2d if isinstance(module, nn.Conv2d) else nn.Linear  # type: ignore[assignment]
            del module.packed


def packed_weights(net: nn.Module) -> Iterator[Tensor]:
    """The packed weights that a network's layers hold now."""
    known = (module.packed for module in net.modules() if isinstance(module, _Packed))
    return (packed for _, packed in filter(None, known))


def _packable(module: nn.Module) -> bool:
    if type(module) is nn.Linear:
        return module.weight.dtype == torch.bfloat16  # in float32 it is rarely faster
    if type(module) is not nn.Conv2d or module.weight.dtype not in (torch.float32, torch.bfloat16):
        return False
    return module.padding_mode == "zeros" and not isinstance(module.padding, str)


@cache
def _supported() -> bool:
    layer = PackedConv2d(1, 1, 1).requires_grad_(False)
    try:
        layer.pack(torch.Size((1, 1, 1, 1)))
    except (AttributeError, RuntimeError):
        return False
    return True
