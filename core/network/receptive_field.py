"""Receptive fields: the pixels that each position of a layer depends on, followed through one forward pass."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from core.network.hooks import capture
from core.network.operations import operation_of

Box = tuple[int, int, int, int]  # top, left, height, width in pixels


@dataclass(frozen=True)
class Span:
    """What the positions of one axis depend on along that axis of the image.

    Position u reads `size` pixels from `first + u * jump` on; `starts` and `stops` say which of these lie in the image
    and are read in fact. Jump is zero where every position depends on everything.
    """

    first: int
    jump: int
    size: int
    starts: NDArray[np.int64]  # (n,) the first pixel
    stops: NDArray[np.int64]  # (n,) the pixel after the last

    @classmethod
    def pixels(cls, side: int) -> Self:
        """The pixels themselves."""
        numbers = np.arange(side)
        return cls(0, 1, 1, numbers, numbers + 1)

    @classmethod
    def whole(cls, side: int, count: int) -> Self:
        """Positions that depend on all `side` pixels."""
        return cls(0, 0, side, np.zeros(count, np.int64), np.full(count, side))

    def slid(self, kernel: int, stride: int, padding: int, dilation: int, count: int) -> "Span":
        """The span of `count` outputs of a sliding kernel."""
        inputs = np.arange(count)[:, None] * stride - padding + np.arange(kernel) * dilation
        return replace(
            self._gathered(inputs),
            first=self.first - padding * self.jump,
            jump=self.jump * stride,
            size=self.size + dilation * (kernel - 1) * self.jump,
        )

    def pooled(self, count: int) -> "Span":
        """The span of adaptive pooling to `count` outputs."""
        side = len(self.starts)
        if side % count == 0:
            return self.slid(side // count, side // count, 0, 1, count)
        numbers = np.arange(count)
        low, high = numbers * side // count, -(-(numbers + 1) * side // count)
        taps = low[:, None] + np.arange(int((high - low).max()))
        found = self._gathered(np.where(taps < high[:, None], taps, -1))
        return replace(found, first=int(self.starts.min()), jump=0, size=int(self.stops.max() - self.starts.min()))

    def cut(self, part: slice) -> "Span":
        """The span of some of the positions."""
        start, _, step = part.indices(len(self.starts))
        starts, stops = self.starts[part], self.stops[part]
        return Span(self.first + start * self.jump, self.jump * step, self.size, starts, stops)

    def joined(self, other: "Span") -> "Span":
        """The span of positions that depend on what both do; one position is that of all."""
        starts, stops = np.minimum(self.starts, other.starts), np.maximum(self.stops, other.stops)
        if self.jump == other.jump:
            first = min(self.first, other.first)
            last = max(self.first + self.size, other.first + other.size)
            return Span(first, self.jump, last - first, starts, stops)
        return Span(int(starts.min()), 0, int(stops.max() - starts.min()), starts, stops)

    def _gathered(self, inputs: NDArray[np.int64]) -> "Span":
        """The hull (n,) of the inputs (n, k) that each output reads; padding depends on nothing."""
        inside = (inputs >= 0) & (inputs < len(self.starts))
        at = inputs.clip(0, len(self.starts) - 1)
        stops = np.where(inside, self.stops[at], 0).max(1)
        starts = np.where(inside, self.starts[at], np.iinfo(np.int64).max).min(1)
        return replace(self, starts=np.minimum(starts, stops), stops=stops)


@dataclass(frozen=True)
class ReceptiveField:
    """What each position of a layer depends on: the hull over all branches of the network, whatever its weights."""

    rows: Span
    columns: Span

    def box(self, row: int, column: int) -> Box:
        """The pixels that a position depends on, inside the image."""
        top, left, height, width = self.boxes([row], [column])[0].tolist()
        return top, left, height, width

    def boxes(self, rows: ArrayLike, columns: ArrayLike) -> NDArray[np.int64]:
        """The boxes (n, 4) of n positions, as `box` has them."""
        spans = (self.rows, np.asarray(rows)), (self.columns, np.asarray(columns))
        starts = [span.starts[at] for span, at in spans]
        lengths = [span.stops[at] - start for (span, at), start in zip(spans, starts, strict=True)]
        return np.stack([*starts, *lengths], 1)

    def clipped(self, boxes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether a part of the field of these boxes (n, 4) lies outside the image, or is never read at its border."""
        return (boxes[:, 2] < self.rows.size) | (boxes[:, 3] < self.columns.size)


def receptive_fields(net: nn.Module, image: Tensor, layers: Sequence[str]) -> dict[str, ReceptiveField]:
    """The receptive fields of layers, by one forward of an image (1, C, H, W).

    Convolutions, pooling and operations at each position are followed exactly; after any other one, such as attention,
    every position depends on the whole image. A layer with no positions has one, which does so, too. Raises as
    `capture`.
    """
    size = (image.shape[-2], image.shape[-1])
    with torch.no_grad(), capture(net, *layers) as outputs, _Tracker(size) as tracker:
        tracker.fields[image] = _Field(Span.pixels(size[0]), Span.pixels(size[1]), (2, 3))
        net(image)
    found = {name: tracker.fields.get(outputs[name]) for name in layers}
    whole = ReceptiveField(Span.whole(size[0], 1), Span.whole(size[1], 1))
    return {name: ReceptiveField(field.rows, field.columns) if field else whole for name, field in found.items()}


@dataclass(frozen=True)
class _Field:
    """The spans of a tensor, and the dimensions in which its rows and columns lie."""

    rows: Span
    columns: Span
    dims: tuple[int, int]

    def slid(self, shape: Sequence[int], *axes: Any) -> "_Field | None":
        """After a sliding kernel; each of `axes` is one number or one for rows and one for columns."""
        if self.dims != (2, 3):
            return None
        pairs = [value if isinstance(value, tuple | list) else (value, value) for value in axes]
        (height, width), (down, right), (top, left), (far, wide) = ((pair[0], pair[-1]) for pair in pairs)
        return replace(
            self,
            rows=self.rows.slid(height, down, top, far, shape[2]),
            columns=self.columns.slid(width, right, left, wide, shape[3]),
        )


class _Tracker(TorchFunctionMode):
    """Follows the fields of tensors through the operations of one forward on this thread."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.fields: Any = WeakTensorKeyDictionary()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called by torch for every operation of this thread."""
        named = kwargs or {}
        inputs = [one for one in tree_leaves((args, named)) if isinstance(one, Tensor)]
        sources = [self.fields[one] for one in inputs if one in self.fields]
        result = func(*args, **named)
        for output in tree_leaves(result) if sources else ():
            if isinstance(output, Tensor):
                name = operation_of(func, args, named) or getattr(func, "__name__", "")
                rule = _RULES.get(name)
                field = rule(sources, tuple(output.shape), args, named) if rule else None
                self.fields[output] = field or self._whole(output)
        return result

    def _whole(self, output: Tensor) -> _Field:
        shape = output.shape if output.dim() == 4 else (0, 0, 1, 1)
        return _Field(Span.whole(self.size[0], shape[2]), Span.whole(self.size[1], shape[3]), (2, 3))


_Rule = Callable[[Sequence[_Field], tuple[int, ...], tuple[Any, ...], Mapping[str, Any]], _Field | None]


def _pointwise(sources: Sequence[_Field], shape: tuple[int, ...], _args: Any, _named: Any) -> _Field | None:
    """Operations on the same positions of one or more tensors; one of a single position is added to all."""
    field = sources[0]
    for other in sources[1:]:
        if other.dims != field.dims:
            return None
        field = _Field(field.rows.joined(other.rows), field.columns.joined(other.columns), field.dims)
    sides = len(field.rows.starts), len(field.columns.starts)
    return field if max(field.dims) < len(shape) and tuple(shape[dim] for dim in field.dims) == sides else None


def _convolution(sources: Sequence[_Field], shape: tuple[int, ...], args: Any, named: Any) -> _Field | None:
    def kernel(_x: Any, weight: Tensor, _bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
               _groups: int = 1) -> tuple[Any, ...]:  # fmt: skip
        sides = tuple(weight.shape[-2:])
        if padding == "same":
            steps = dilation if isinstance(dilation, tuple | list) else (dilation, dilation)
            padding = tuple(step * (side - 1) // 2 for step, side in zip(steps, sides, strict=True))
        return sides, stride, 0 if padding == "valid" else padding, dilation

    return sources[0].slid(shape, *kernel(*args, **{_ALIASES.get(key, key): value for key, value in named.items()}))


_ALIASES = {"input": "_x", "bias": "_bias", "groups": "_groups"}  # arguments that say nothing about positions


def _max_pool(sources: Sequence[_Field], shape: tuple[int, ...], args: Any, named: Any) -> _Field | None:
    def kernel(_x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, *_rest: Any,
               **_flags: Any) -> tuple[Any, ...]:  # fmt: skip
        return kernel_size, stride or kernel_size, padding, dilation

    return sources[0].slid(shape, *kernel(*args, **{_ALIASES.get(key, key): value for key, value in named.items()}))


def _average_pool(sources: Sequence[_Field], shape: tuple[int, ...], args: Any, named: Any) -> _Field | None:
    def kernel(_x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, *_rest: Any,
               **_flags: Any) -> tuple[Any, ...]:  # fmt: skip
        return kernel_size, stride or kernel_size, padding, 1

    return sources[0].slid(shape, *kernel(*args, **{_ALIASES.get(key, key): value for key, value in named.items()}))


def _adaptive_pool(sources: Sequence[_Field], shape: tuple[int, ...], _args: Any, _named: Any) -> _Field | None:
    field = sources[0]
    if field.dims != (2, 3):
        return None
    return replace(field, rows=field.rows.pooled(shape[2]), columns=field.columns.pooled(shape[3]))


def _permuted(sources: Sequence[_Field], _shape: tuple[int, ...], args: Any, named: Any) -> _Field | None:
    order = named.get("dims") or (args[1] if isinstance(args[1], tuple | list) else args[1:])
    order = [dim % len(order) for dim in order]
    if max(sources[0].dims) >= len(order):
        return None
    row, column = (order.index(dim) for dim in sources[0].dims)
    return replace(sources[0], dims=(row, column))


def _transposed(sources: Sequence[_Field], _shape: tuple[int, ...], args: Any, named: Any) -> _Field | None:
    first, second = (dim % args[0].dim() for dim in (args[1:] if len(args) == 3 else named.values()))
    swap = {first: second, second: first}
    row, column = (swap.get(dim, dim) for dim in sources[0].dims)
    return replace(sources[0], dims=(row, column))


def _reshaped(sources: Sequence[_Field], shape: tuple[int, ...], args: Any, _named: Any) -> _Field | None:
    """Reshaping of the dimensions before those of the positions, as in a shuffle of channels."""
    field, before = sources[0], args[0].dim()
    if field.dims != (before - 2, before - 1) or len(shape) < 3 or shape[-2:] != tuple(args[0].shape[-2:]):
        return None
    return replace(field, dims=(len(shape) - 2, len(shape) - 1))


def _by_features(sources: Sequence[_Field], shape: tuple[int, ...], args: Any, named: Any) -> _Field | None:
    """Linear layers and norms over the last dimension, where that is not one of positions."""
    return None if max(sources[0].dims) >= len(shape) - 1 else _pointwise(sources, shape, args, named)


def _layer_norm(sources: Sequence[_Field], shape: tuple[int, ...], args: Any, named: Any) -> _Field | None:
    normalised = named.get("normalized_shape") or args[1]
    return _by_features(sources, shape, args, named) if len(normalised) == 1 else None


def _by_channels(sources: Sequence[_Field], shape: tuple[int, ...], args: Any, named: Any) -> _Field | None:
    """Joining and splitting of channels."""
    dim = named.get("dim", args[-1] if isinstance(args[-1], int) and len(args) > 1 else 0)
    return None if dim % len(shape) in sources[0].dims else _pointwise(sources, shape, args, named)


def _indexed(sources: Sequence[_Field], _shape: tuple[int, ...], args: Any, _named: Any) -> _Field | None:
    """Slices, as of channels or of borders."""
    field, index = sources[0], args[1] if isinstance(args[1], tuple) else (args[1],)
    if not all(isinstance(part, slice) for part in index):
        return None
    rows, columns = (index[dim] if dim < len(index) else slice(None) for dim in field.dims)
    return replace(field, rows=field.rows.cut(rows), columns=field.columns.cut(columns))


def _padded(sources: Sequence[_Field], _shape: tuple[int, ...], args: Any, named: Any) -> _Field | None:
    """Padding with a constant; its positions depend on nothing."""
    pads, mode = list(named.get("pad") or args[1]), named.get("mode", args[2] if len(args) > 2 else "constant")
    if mode != "constant" or sources[0].dims != (2, 3) or len(pads) > 4:
        return None
    left, right, top, bottom = pads + [0] * (4 - len(pads))
    field = sources[0]
    sides = len(field.rows.starts) + top + bottom, len(field.columns.starts) + left + right
    return replace(
        field, rows=field.rows.slid(1, 1, top, 1, sides[0]), columns=field.columns.slid(1, 1, left, 1, sides[1])
    )


_RULES: Mapping[str, _Rule] = {
    **dict.fromkeys(
        (
            "relu", "relu6", "hardtanh", "leaky_relu", "elu", "gelu", "silu", "hardswish", "hardsigmoid", "sigmoid",
            "tanh", "add", "mul", "sub", "div", "true_divide", "neg", "clone", "contiguous", "detach", "dropout",
            "batch_norm", "local_response_norm", "clamp", "clamp_", "mish", "softplus", "prelu", "selu", "celu",
            "stochastic_depth", "__sub__", "__truediv__", "__neg__", "square", "pow", "exp", "abs", "sqrt", "to",
            "float", "requires_grad_",
        ),
        _pointwise,
    ),
    "conv2d": _convolution,
    **dict.fromkeys(("max_pool2d", "max_pool2d_with_indices"), _max_pool),
    "avg_pool2d": _average_pool,
    **dict.fromkeys(("adaptive_avg_pool2d", "adaptive_max_pool2d"), _adaptive_pool),
    "permute": _permuted,
    "transpose": _transposed,
    "flatten": _reshaped,
    **dict.fromkeys(("cat", "chunk", "split"), _by_channels),
    "linear": _by_features,
    "layer_norm": _layer_norm,
    "pad": _padded,
    "__getitem__": _indexed,
}  # fmt: skip
