"""The rule of every operation for maps that differ only inside windows; the table is at the end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_map_only

from core.network.incremental.images import RULES, CleanPass, Corners, CumulativePass, PatchedImages, Starts, origin

aten = torch.ops.aten


def _identity(value: Any) -> Any:
    """A cache key for the arguments of an operation on unchanged maps: tensors by identity, the rest by value."""
    if isinstance(value, PatchedImages):
        return "tensor", id(value.clean)
    if isinstance(value, Tensor):
        return "tensor", id(value)
    return tuple(map(_identity, value)) if isinstance(value, list | tuple) else value


def _clean(clean_pass: CleanPass, func: Any, args: tuple[Any, ...]) -> Any:
    """The operation on the unchanged maps, computed once per clean pass."""

    def inputs() -> tuple[Any, ...]:
        found: tuple[Any, ...] = tree_map_only(PatchedImages, lambda changed: changed.clean, args)
        return found

    return clean_pass.once((func, _identity(args)), inputs, lambda found: func(*found))


def _pointwise(func: Any, x: Any, *rest: Any, **options: Any) -> Any:
    """An element-wise operation, with or without numbers per channel."""
    if options or not isinstance(x, PatchedImages):
        return None
    clean = _clean(x.clean_pass, func, (x, *rest))
    values, *statistics = (clean,) if isinstance(clean, Tensor) else clean  # of batch norm
    patch = x.patch if x.blank else func(x.patch, *rest)
    result = PatchedImages(x.clean_pass, values, patch if isinstance(patch, Tensor) else patch[0], x.at)
    return result if isinstance(clean, Tensor) else (result, *statistics)


def _joined(func: Any, x: Any, y: Any, **options: Any) -> Any:
    """An operation on two maps of the same size, or on a map and something without positions."""
    if not isinstance(x, PatchedImages) or options:
        return None
    if not isinstance(y, PatchedImages):
        placeless = not isinstance(y, Tensor) or ((y.dim() < 4 or len(y) == 1) and set(y.shape[-2:]) <= {1})
        return _pointwise(func, x, y) if placeless else None
    if x.shape != y.shape or x.blank != y.blank:
        return None
    (a, b), at = _aligned([x, y])
    return PatchedImages(x.clean_pass, _clean(x.clean_pass, func, (x, y)), func(a, b), at)


def _cat(func: Any, maps: list[Any], dim: int = 0) -> Any:
    """Maps of the same size concatenated along the channels."""
    if dim != 1 or not all(isinstance(one, PatchedImages) for one in maps):
        return None
    if len({(one.shape[-2:], one.blank) for one in maps}) > 1:
        return None
    patches, at = _aligned(maps)
    clean_pass = maps[0].clean_pass
    return PatchedImages(clean_pass, _clean(clean_pass, func, (maps, dim)), torch.cat(patches, 1), at)


def _aligned(maps: list[PatchedImages]) -> tuple[list[Tensor], Corners]:
    """The same windows of several maps, large enough for the changes of all."""
    (tops, height), (lefts, width) = (
        _union([one.at[axis] for one in maps], [one.patch.shape[axis - 2] for one in maps], maps[0].shape[axis - 2])
        for axis in (0, 1)
    )
    return [one.part(one.clean, (tops, lefts), (height, width)) for one in maps], (tops, lefts)


def _union(starts: list[Starts], lengths: list[int], side: int) -> tuple[Starts, int]:
    firsts = [min(each) for each in zip(*starts, strict=True)]
    ends = [max(s + n for s, n in zip(each, lengths, strict=True)) for each in zip(*starts, strict=True)]
    length = max(end - first for first, end in zip(firsts, ends, strict=True))
    return [min(first, side - length) for first in firsts], length


def _convolution(func: Any, x: Any, weight: Tensor, bias: Any, *rest: Any) -> Any:
    """A convolution inside the windows grown by the kernel."""
    stride, padding, dilation, transposed, _, groups = rest
    if transposed or not isinstance(x, PatchedImages) or x.dim() != 4:
        return None
    clean = _clean(x.clean_pass, func, (x, weight, bias, *rest))
    axes = [_Axis(*each) for each in zip(weight.shape[-2:], stride, padding, dilation, strict=True)]
    grown = _grown(x, clean, axes, 0.0, lambda inside: F.conv2d(inside, weight, bias, stride, 0, dilation, groups))
    if isinstance(grown, PatchedImages) and isinstance(x.clean_pass, CumulativePass) and x.blank:
        x.clean_pass.saved += weight[0].numel() * (clean[0].numel() - grown.patch[0].numel())
    return grown


def _max_pool(func: Any, x: Any, kernel: Any, *rest: Any) -> Any:
    """Max pooling inside the windows grown by the kernel."""
    defaults: list[Any] = [(), 0, 1]  # stride, padding, dilation
    stride, padding, dilation = [*rest, *defaults[len(rest) :]][:3]
    clean, stride = _clean(x.clean_pass, func, (x, kernel, *rest)), stride or kernel
    numbers = (_pair(value) for value in (kernel, stride, padding, dilation))
    axes = [_Axis(*each) for each in zip(*numbers, strict=True)]
    grown = _grown(x, clean[0], axes, -torch.inf, lambda inside: F.max_pool2d(inside, kernel, stride, 0, dilation))
    return None if grown is None else (grown, clean[1])


def _average_pool(func: Any, x: Any, kernel: Any, stride: Any = (), padding: Any = 0, *rest: Any) -> Any:
    """Average pooling inside the windows grown by the kernel, where no border changes its divisor."""
    if any(_pair(padding)) or any(rest[:1]) or len(rest) > 2:
        return None
    clean = _clean(x.clean_pass, func, (x, kernel, stride, padding, *rest))
    stride = stride or kernel
    axes = [_Axis(k, s, 0, 1) for k, s in zip(_pair(kernel), _pair(stride), strict=True)]
    return _grown(x, clean, axes, 0.0, lambda inside: F.avg_pool2d(inside, kernel, stride))


def _pair(value: Any) -> tuple[int, int]:
    values = [value] if isinstance(value, int) else list(value)
    return values[0], values[-1]


@dataclass(frozen=True)
class _Axis:
    """How a sliding kernel moves along one axis."""

    kernel: int
    stride: int
    padding: int
    dilation: int

    @property
    def reach(self) -> int:
        """The distance from the first to the last input position that one output reads."""
        return (self.kernel - 1) * self.dilation

    def touched(self, starts: Starts, length: int, side: int) -> tuple[Starts, int]:
        """The outputs, of `side`, that depend on a window: where they start, and how many for any start."""
        count = min((length - 1 + self.reach) // self.stride + 1, side)
        firsts = [-((self.reach - self.padding - start) // self.stride) for start in starts]
        return [min(max(first, 0), side - count) for first in firsts], count

    def read(self, firsts: Starts, count: int) -> tuple[Starts, int]:
        """The range of the padded input that these outputs read: its starts and its length."""
        return [first * self.stride for first in firsts], (count - 1) * self.stride + self.reach + 1

    def behind(self, before: int, side: int) -> int:
        """Padding after an input of `before` positions, so that the last of `side` outputs can be computed."""
        return max((side - 1) * self.stride + self.reach + 1 - before - self.padding, 0)


def _grown(
    x: PatchedImages, clean: Tensor, axes: list[_Axis], empty: float, apply: Callable[[Tensor], Tensor]
) -> Tensor | None:
    """The output of a sliding kernel where it may differ from `clean`.

    Where that is most of the map: `clean` itself if nothing has changed yet, else None.
    """
    sides, (rows, columns) = clean.shape[-2:], axes
    tops, height = rows.touched(x.at[0], x.patch.shape[-2], sides[0])
    lefts, width = columns.touched(x.at[1], x.patch.shape[-1], sides[1])
    if x.clean_pass.whole(clean, height * width / (sides[0] * sides[1])):
        return clean if x.blank else None
    if x.blank:
        patch = x.patch.new_empty((len(x), clean.shape[1], height, width))
        return PatchedImages(x.clean_pass, clean, patch, (tops, lefts))
    behind = [axis.behind(before, side) for axis, before, side in zip(axes, x.clean.shape[-2:], sides, strict=True)]
    pads = (columns.padding, behind[1], rows.padding, behind[0])
    key = ("padded", id(x.clean), pads, empty)
    padded = x.clean_pass.once(key, lambda: x.clean, lambda clean: F.pad(clean, pads, value=empty))
    (read_tops, read_height), (read_lefts, read_width) = rows.read(tops, height), columns.read(lefts, width)
    x.clean_pass.hold(padded, x, (rows.padding, columns.padding))
    inside = x.part(padded, (read_tops, read_lefts), (read_height, read_width), (rows.padding, columns.padding))
    return PatchedImages(x.clean_pass, clean, apply(inside), (tops, lefts))


def _normalised(func: Any, x: Any, *rest: Any) -> Any:
    """Batch norm with fixed statistics, which is element-wise."""
    return None if rest[4] is True else _pointwise(func, x, *rest)


IN_PLACE: Mapping[Any, Any] = {
    aten.relu_.default: aten.relu.default,
    aten.hardtanh_.default: aten.hardtanh.default,
    aten.silu_.default: aten.silu.default,
    aten.hardswish_.default: aten.hardswish.default,
    aten.leaky_relu_.default: aten.leaky_relu.default,
    aten.elu_.default: aten.elu.default,
    aten.gelu_.default: aten.gelu.default,
    aten.hardsigmoid_.default: aten.hardsigmoid.default,
    aten.sigmoid_.default: aten.sigmoid.default,
    aten.tanh_.default: aten.tanh.default,
    aten.add_.Tensor: aten.add.Tensor,
    aten.sub_.Tensor: aten.sub.Tensor,
    aten.mul_.Tensor: aten.mul.Tensor,
    aten.div_.Tensor: aten.div.Tensor,
}


def _in_place(func: Any, x: Any, *rest: Any, **options: Any) -> Any:
    """An operation that overwrites its first argument."""
    if not isinstance(x, PatchedImages):
        return None
    twin = IN_PLACE[func]
    result = RULES[twin](twin, x, *rest, **options)
    if result is None:
        patch = twin(*tree_map_only(PatchedImages, PatchedImages.whole, (x, *rest)), **options)
        clean = patch[:1].repeat(len(x.clean_pass.image), 1, 1, 1)  # nothing outside the windows is read later
        result = PatchedImages(x.clean_pass, clean, patch, origin(len(patch)))
    x.clean, x.patch, x.at = result.clean, result.patch, result.at
    return x


RULES.update({
    **dict.fromkeys(
        (
            aten.relu.default, aten.hardtanh.default, aten.leaky_relu.default, aten.elu.default, aten.gelu.default,
            aten.silu.default, aten.hardswish.default, aten.hardsigmoid.default, aten.sigmoid.default,
            aten.tanh.default, aten.neg.default, aten.clone.default, aten.detach.default,
        ),
        _pointwise,
    ),
    **dict.fromkeys((aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor), _joined),
    **dict.fromkeys((aten.native_batch_norm.default, aten.cudnn_batch_norm.default), _normalised),
    aten._native_batch_norm_legit_no_training.default: _pointwise,
    aten.cat.default: _cat,
    aten.convolution.default: _convolution,
    aten.max_pool2d_with_indices.default: _max_pool,
    aten.avg_pool2d.default: _average_pool,
    **dict.fromkeys(IN_PLACE, _in_place),
})  # fmt: skip
