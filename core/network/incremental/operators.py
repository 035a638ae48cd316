"""The rule of every operation for maps that differ only inside windows; the table is at the end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_map_only

from core.network.incremental.images import RULES, Changed, Corners, Reference, Starts, Steps, origin

aten = torch.ops.aten


def _identity(value: Any) -> Any:
    """What decides the result of an operation on unchanged maps: tensors by which they are, the rest by value."""
    if isinstance(value, Changed):
        return "tensor", id(value.clean)
    if isinstance(value, Tensor):
        return "tensor", id(value)
    return tuple(map(_identity, value)) if isinstance(value, list | tuple) else value


def _clean(scene: Reference, func: Any, args: tuple[Any, ...]) -> Any:
    """The operation on the unchanged maps, done once per scene."""
    inputs = tree_map_only(Changed, lambda changed: changed.clean, args)
    return scene.once((func, _identity(args)), inputs, lambda: func(*inputs))


def _pointwise(func: Any, x: Any, *rest: Any, **options: Any) -> Any:
    """An operation on single values, whatever channel-wise numbers it takes beside."""
    if options or not isinstance(x, Changed):
        return None
    clean = _clean(x.scene, func, (x, *rest))
    values, *statistics = (clean,) if isinstance(clean, Tensor) else clean  # of batch norm
    found = x.patch if x.blank else func(x.patch, *rest)
    made = Changed(x.scene, values, found if isinstance(found, Tensor) else found[0], x.at)
    return made if isinstance(clean, Tensor) else (made, *statistics)


def _joined(func: Any, x: Any, y: Any, **options: Any) -> Any:
    """An operation on two maps of the same size, or on a map and something that has no places."""
    if not isinstance(x, Changed) or options:
        return None
    if not isinstance(y, Changed):
        placeless = not isinstance(y, Tensor) or ((y.dim() < 4 or len(y) == 1) and set(y.shape[-2:]) <= {1})
        return _pointwise(func, x, y) if placeless else None
    if x.shape != y.shape or x.blank != y.blank:
        return None
    (a, b), at = _aligned([x, y])
    return Changed(x.scene, _clean(x.scene, func, (x, y)), func(a, b), at)


def _cat(func: Any, maps: list[Any], dim: int = 0) -> Any:
    """Maps of the same size behind each other along the channels."""
    if dim != 1 or not all(isinstance(one, Changed) for one in maps):
        return None
    if len({(one.shape[-2:], one.blank) for one in maps}) > 1:
        return None
    patches, at = _aligned(maps)
    scene = maps[0].scene
    return Changed(scene, _clean(scene, func, (maps, dim)), torch.cat(patches, 1), at)


def _aligned(maps: list[Changed]) -> tuple[list[Tensor], Corners]:
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
    if transposed or not isinstance(x, Changed) or x.dim() != 4:
        return None
    clean = _clean(x.scene, func, (x, weight, bias, *rest))
    axes = [_Axis(*each) for each in zip(weight.shape[-2:], stride, padding, dilation, strict=True)]
    found = _grown(x, clean, axes, 0.0, lambda inside: F.conv2d(inside, weight, bias, stride, 0, dilation, groups))
    if isinstance(found, Changed) and isinstance(x.scene, Steps) and x.blank:
        x.scene.spared += weight[0].numel() * (clean[0].numel() - found.patch[0].numel())
    return found


def _max_pool(func: Any, x: Any, kernel: Any, *rest: Any) -> Any:
    """The largest of neighbours inside the windows grown by the kernel."""
    defaults: list[Any] = [(), 0, 1]  # stride, padding, dilation
    stride, padding, dilation = [*rest, *defaults[len(rest) :]][:3]
    clean, stride = _clean(x.scene, func, (x, kernel, *rest)), stride or kernel
    numbers = (_pair(value) for value in (kernel, stride, padding, dilation))
    axes = [_Axis(*each) for each in zip(*numbers, strict=True)]
    found = _grown(x, clean[0], axes, -torch.inf, lambda inside: F.max_pool2d(inside, kernel, stride, 0, dilation))
    return None if found is None else (found, clean[1])


def _average_pool(func: Any, x: Any, kernel: Any, stride: Any = (), padding: Any = 0, *rest: Any) -> Any:
    """The mean of neighbours inside the windows grown by the kernel, where no border changes its divisor."""
    if any(_pair(padding)) or any(rest[:1]) or len(rest) > 2:
        return None
    clean = _clean(x.scene, func, (x, kernel, stride, padding, *rest))
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
        """From the first to the last place that one position of the kernel reads."""
        return (self.kernel - 1) * self.dilation

    def touched(self, starts: Starts, length: int, side: int) -> tuple[Starts, int]:
        """The outputs, of `side`, that read something of a window: where they start, and how many for any start."""
        count = min((length - 1 + self.reach) // self.stride + 1, side)
        firsts = [-((self.reach - self.padding - start) // self.stride) for start in starts]
        return [min(max(first, 0), side - count) for first in firsts], count

    def read(self, firsts: Starts, count: int) -> tuple[Starts, int]:
        """What these outputs read of the padded input: where it starts, and how much."""
        return [first * self.stride for first in firsts], (count - 1) * self.stride + self.reach + 1

    def behind(self, before: int, side: int) -> int:
        """Padding behind an input of `before` places, so that the last of `side` outputs can be read."""
        return max((side - 1) * self.stride + self.reach + 1 - before - self.padding, 0)


def _grown(
    x: Changed, clean: Tensor, axes: list[_Axis], empty: float, apply: Callable[[Tensor], Tensor]
) -> Tensor | None:
    """A sliding kernel where its output may differ from `clean`; where that is most of the map, `clean` itself if
    nothing has changed yet, and else None.
    """
    sides, (rows, columns) = clean.shape[-2:], axes
    tops, height = rows.touched(x.at[0], x.patch.shape[-2], sides[0])
    lefts, width = columns.touched(x.at[1], x.patch.shape[-1], sides[1])
    if x.scene.whole(clean, height * width / (sides[0] * sides[1])):
        return clean if x.blank else None
    if x.blank:
        patch = x.patch.new_empty((len(x), clean.shape[1], height, width))
        return Changed(x.scene, clean, patch, (tops, lefts))
    behind = [axis.behind(before, side) for axis, before, side in zip(axes, x.clean.shape[-2:], sides, strict=True)]
    pads = (columns.padding, behind[1], rows.padding, behind[0])
    padded = x.scene.once(("padded", id(x.clean), pads, empty), x.clean, lambda: F.pad(x.clean, pads, value=empty))
    (read_tops, read_height), (read_lefts, read_width) = rows.read(tops, height), columns.read(lefts, width)
    x.scene.hold(padded, x, (rows.padding, columns.padding))
    inside = x.part(padded, (read_tops, read_lefts), (read_height, read_width), (rows.padding, columns.padding))
    return Changed(x.scene, clean, apply(inside), (tops, lefts))


def _normalised(func: Any, x: Any, *rest: Any) -> Any:
    """Batch norm with fixed statistics, which is an operation on single values."""
    return None if rest[4] is True else _pointwise(func, x, *rest)


IN_PLACE: Mapping[Any, Any] = {
    aten.relu_.default: aten.relu.default,
    aten.hardtanh_.default: aten.hardtanh.default,
    aten.silu_.default: aten.silu.default,
    aten.hardswish_.default: aten.hardswish.default,
    aten.add_.Tensor: aten.add.Tensor,
    aten.sub_.Tensor: aten.sub.Tensor,
    aten.mul_.Tensor: aten.mul.Tensor,
    aten.div_.Tensor: aten.div.Tensor,
}


def _in_place(func: Any, x: Any, *rest: Any, **options: Any) -> Any:
    """An operation that overwrites its first argument."""
    if not isinstance(x, Changed):
        return None
    twin = IN_PLACE[func]
    result = RULES[twin](twin, x, *rest, **options)
    if result is None:
        patch = twin(*tree_map_only(Changed, Changed.whole, (x, *rest)), **options)
        clean = patch[:1].repeat(len(x.scene.image), 1, 1, 1)  # nothing outside the windows is left to read
        result = Changed(x.scene, clean, patch, origin(len(patch)))
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
