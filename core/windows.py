"""Exact scores of an image with a small part changed, computed only where the change reaches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

aten = torch.ops.aten
MOST = 0.7  # of a map: a change that reaches more is computed on the whole map

Starts = list[int]  # of something along one axis, one per sample
Corners = tuple[Starts, Starts]  # tops and lefts


class Scene:
    """One image and everything a network made of it, kept while copies with small changes are asked about."""

    def __init__(self, image: Tensor, order: torch.memory_format = torch.contiguous_format) -> None:
        self.image = image.contiguous(memory_format=order)  # (1, C, H, W)
        self.order = order
        self._kept: dict[object, tuple[object, Any]] = {}

    def changed(self, patches: Tensor, tops: Starts, lefts: Starts) -> "Changed":
        """The image N times, each with its patch (N, C, h, w) put at its place; a network takes it as images."""
        return Changed(self, self.image, patches, (tops, lefts))

    def filled(self, boxes: Tensor, fill: Tensor, inside: Tensor | None = None) -> "Changed":
        """The image with each box (N, 4: top, left, height, width) replaced by that part of the image `fill`.

        Where `inside` (N, H, W) is given, a box changes only there.
        """
        sides = self.image.shape[-2:]
        height, width = boxes[:, 2:].amax(0).tolist()
        tops, lefts = (
            [min(s, side - n) for s in starts]
            for starts, side, n in zip(boxes[:, :2].T.tolist(), sides, (height, width), strict=True)
        )
        patches = []
        for n, (top, left, h, w) in enumerate(boxes.tolist()):
            own = torch.zeros(sides, dtype=torch.bool, device=fill.device)
            own[top : top + h, left : left + w] = True if inside is None else inside[n, top : top + h, left : left + w]
            window = (..., slice(tops[n], tops[n] + height), slice(lefts[n], lefts[n] + width))
            patches.append(torch.where(own[window], fill[window], self.image[0][window]))
        return self.changed(torch.stack(patches), tops, lefts)

    def rows(self, count: int) -> Sequence[int]:
        """Which image each of so many copies is of."""
        return [0] * count

    def hold(self, target: Tensor, changed: "Changed", padding: tuple[int, int] = (0, 0)) -> None:
        """Told of every changed part of a map `target`, which has `padding` before each axis."""

    def whole(self, _clean: Tensor, share: float) -> bool:
        """Whether a change that reaches this share of a map is computed on the whole map."""
        return share > MOST

    def once(self, key: tuple[object, ...], inputs: object, make: Callable[[], Any]) -> Any:
        """The unchanged value under `key`, made by the first copy that needs it.

        Keys hold the ids of `inputs`; they are kept with the value, so that no other object can take their ids.
        """
        if key not in self._kept:
            self._kept[key] = (inputs, make())
        return self._kept[key][1]


class Steps(Scene):
    """Images (B, C, H, W) that change window after window, each change on top of the earlier ones.

    Every step computes only what its windows reach, and what it computes becomes what the next one starts from; with
    the next one, the maps of the last are of no use any more.
    """

    def __init__(self, images: Tensor, order: torch.memory_format = torch.contiguous_format) -> None:
        super().__init__(images.clone(), order)
        self.spared = 0  # multiplications that the first pass found a step of one image can do without
        self._rows: Sequence[int] = range(len(images))
        self._held: list[tuple[Tensor, Tensor, Corners]] = []
        self._wide: set[int] = set()

    def first(self, tops: Starts, lefts: Starts, side: int) -> "Changed":
        """The images as they are: a plain pass that keeps what later windows, as large as these, will need."""
        shape = (*self.image.shape[:2], side, side)
        # A patch without values: what is done to it follows the shapes alone.
        return Changed(self, self.image, torch.empty(shape, dtype=self.image.dtype, device="meta"), (tops, lefts))

    def then(self, rows: Sequence[int], patches: Tensor, tops: Starts, lefts: Starts) -> "Changed":
        """These of the images, each with another patch (N, C, h, w) put at its place, to stay."""
        self._settle()
        self._rows = rows
        return self.changed(patches, tops, lefts)

    def rows(self, _count: int) -> Sequence[int]:
        """Which image each copy is of."""
        return self._rows

    def hold(self, target: Tensor, changed: "Changed", padding: tuple[int, int] = (0, 0)) -> None:
        """Put the changed parts into the map before the next step, when nobody reads what was there any more."""
        if not changed.blank:
            tops, lefts = ([n + before for n in starts] for starts, before in zip(changed.at, padding, strict=True))
            self._held.append((target, changed.patch, (tops, lefts)))

    def whole(self, clean: Tensor, share: float) -> bool:
        """Whether a change is computed on the whole map: once it was, the kept map is out of date for good."""
        if share > MOST:
            self._wide.add(id(clean))
        return id(clean) in self._wide

    def _settle(self) -> None:
        for target, patch, at in self._held:
            height, width = patch.shape[-2:]
            for row, one, y, x in zip(self._rows, patch, *at, strict=True):
                target[row, :, y : y + height, x : x + width] = one
        self._held.clear()


class Changed(Tensor):
    """Copies (N, C, H, W) of one map, or of a map each, that differ from it only inside a window each.

    Operations that work place by place or on small neighbourhoods are computed inside the windows, grown by their
    reach; every other operation gets the whole copies. Only without gradients.
    """

    scene: Scene
    clean: Tensor  # (1, C, H, W), or a map per image of the scene
    patch: Tensor  # (N, C, h, w)
    at: Corners  # of the patches

    @staticmethod
    def __new__(cls, scene: Scene, clean: Tensor, patch: Tensor, at: Corners) -> "Changed":  # noqa: D102
        shape = (len(patch), *clean.shape[1:])
        # Operations must see the order in which `whole` lays the values out: some ask for it before they are called.
        strides = torch.empty(shape, device="meta", memory_format=scene.order).stride()
        made = Tensor._make_wrapper_subclass(cls, shape, strides, dtype=clean.dtype, device=clean.device)
        made.scene, made.clean, made.patch, made.at = scene, clean, patch, at
        scene.hold(clean, made)
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called by torch for every operation on such maps."""
        kwargs = kwargs or {}
        if func in IN_PLACE:
            return _in_place(func, args, kwargs)
        result = RULES[func](func, *args, **kwargs) if func in RULES else None
        if result is None:
            args, kwargs = tree_map_only(Changed, Changed.whole, (args, kwargs))
            return func(*args, **kwargs)
        return result

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Changed({tuple(self.shape)}, windows of {tuple(self.patch.shape[2:])})"

    @property
    def blank(self) -> bool:
        """Whether nothing has changed yet, and the patches are only shapes."""
        return self.patch.is_meta

    def whole(self) -> Tensor:
        """The copies as an ordinary tensor (N, C, H, W)."""
        if self.blank:
            return self.clean.clone(memory_format=self.scene.order)
        copies = self.part(self.clean, _origin(len(self)), self.clean.shape[-2:])
        return copies.contiguous(memory_format=self.scene.order)

    def part(self, clean: Tensor, at: Corners, size: Sequence[int], padding: tuple[int, int] = (0, 0)) -> Tensor:
        """Windows (N, C, *size) of the copies, `at` corners of the map `clean` that has `padding` before each axis."""
        (height, width), (h, w) = size, self.patch.shape[-2:]
        if (h, w) == (height, width) and at == self.at and padding == (0, 0):
            return self.patch
        shape = (len(self), clean.shape[1], height, width)
        if self.blank:
            return self.patch.new_empty(shape)
        cut = torch.empty(shape, dtype=clean.dtype, device=clean.device, memory_format=self.scene.order)
        rows = self.scene.rows(len(self))
        for n, (row, top, left, patch_top, patch_left) in enumerate(zip(rows, *at, *self.at, strict=True)):
            cut[n] = clean[row, :, top : top + height, left : left + width]
            y, x = patch_top + padding[0] - top, patch_left + padding[1] - left  # of the patch in the window
            y0, y1, x0, x1 = max(y, 0), min(y + h, height), max(x, 0), min(x + w, width)
            if y0 < y1 and x0 < x1:
                cut[n, :, y0:y1, x0:x1] = self.patch[n, :, y0 - y : y1 - y, x0 - x : x1 - x]
        return cut


def _origin(count: int) -> Corners:
    return [0] * count, [0] * count


def _identity(value: Any) -> Any:
    """What decides the result of an operation on unchanged maps: tensors by which they are, the rest by value."""
    if isinstance(value, Changed):
        return "tensor", id(value.clean)
    if isinstance(value, Tensor):
        return "tensor", id(value)
    return tuple(map(_identity, value)) if isinstance(value, list | tuple) else value


def _clean(scene: Scene, func: Any, args: tuple[Any, ...]) -> Any:
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


def _in_place(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """An operation that overwrites its first argument."""
    x, twin = args[0], IN_PLACE[func]
    if not isinstance(x, Changed):
        return func(x, *tree_map_only(Changed, Changed.whole, args[1:]), **kwargs)
    result = RULES[twin](twin, *args, **kwargs)
    if result is None:
        patch = twin(*tree_map_only(Changed, Changed.whole, args), **kwargs)
        clean = patch[:1].repeat(len(x.scene.image), 1, 1, 1)  # nothing outside the windows is left to read
        result = Changed(x.scene, clean, patch, _origin(len(patch)))
    x.clean, x.patch, x.at = result.clean, result.patch, result.at
    return x


RULES: Mapping[Any, Callable[..., Any]] = {
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
}  # fmt: skip

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


@torch.no_grad()
def multiplications(
    net: nn.Module, size: int, side: int, order: torch.memory_format = torch.contiguous_format
) -> tuple[int, int]:
    """Those of a pass of one image on the CPU, and how many of them a step with a window in its middle spares."""
    from torch.utils.flop_counter import FlopCounterMode

    image = torch.zeros(1, 3, size, size)
    steps, corner = Steps(image, order), [(size - side) // 2]
    net(steps.first(corner, corner, side))
    with FlopCounterMode(display=False) as counter:
        net(image.contiguous(memory_format=order))
    return counter.get_total_flops() // 2, steps.spared
