"""An image and copies that differ from it only inside a window: cached activations and access to them."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map_only

MOST = 0.7  # of a map: a larger change is computed on the whole map

T = TypeVar("T")
Starts = list[int]  # start positions along one axis, one per sample
Corners = tuple[Starts, Starts]  # tops and lefts

# What operations do to such maps, filled by operators.py; None as a result means that the whole maps are needed.
RULES: dict[Any, Callable[..., Any]] = {}


class CleanPass:
    """One image and its activations at every operation, cached while copies with small changes are computed."""

    def __init__(self, image: Tensor, order: torch.memory_format = torch.contiguous_format) -> None:
        self.image = image.contiguous(memory_format=order)  # (1, C, H, W)
        self.order = order
        self._cached: dict[object, tuple[object, Any]] = {}

    @property
    def nbytes(self) -> int:
        """The bytes of the cached activations."""
        made = tree_flatten([self.image, [value for _, value in self._cached.values()]])[0]
        return sum(value.nbytes for value in made if isinstance(value, Tensor))

    def changed(self, patches: Tensor, tops: Starts, lefts: Starts) -> "PatchedImages":
        """The image N times, each with its patch (N, C, h, w) pasted; a network takes it as images."""
        return PatchedImages(self, self.image, patches, (tops, lefts))

    def filled(self, boxes: Tensor, fill: Tensor, inside: Tensor | None = None) -> "PatchedImages":
        """The image with each box (N, 4: top, left, height, width) replaced by the same region of the image `fill`.

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
            region = torch.zeros(sides, dtype=torch.bool, device=fill.device)
            region[top : top + h, left : left + w] = (
                True if inside is None else inside[n, top : top + h, left : left + w]
            )
            window = (..., slice(tops[n], tops[n] + height), slice(lefts[n], lefts[n] + width))
            patches.append(torch.where(region[window], fill[window], self.image[0][window]))
        return self.changed(torch.stack(patches), tops, lefts)

    def rows(self, count: int) -> Sequence[int]:
        """The index of the source image of each of `count` copies."""
        return [0] * count

    def hold(self, target: Tensor, changed: "PatchedImages", padding: tuple[int, int] = (0, 0)) -> None:
        """Called with every patch of a map `target`, which has `padding` before each axis."""

    def whole(self, _clean: Tensor, share: float) -> bool:
        """Whether a change that reaches this share of a map is computed on the whole map."""
        return share > MOST

    def once(self, key: tuple[object, ...], inputs: Callable[[], T], make: Callable[[T], Any]) -> Any:
        """The unchanged value under `key`, made of `inputs` by the first copy that needs it.

        Keys contain the ids of the inputs, which are stored with the value so that no other object can reuse their ids.
        """
        if key not in self._cached:
            found = inputs()
            self._cached[key] = (found, make(found))
        return self._cached[key][1]


class CumulativePass(CleanPass):
    """Images (B, C, H, W) that change window by window; the changes accumulate.

    Every step computes only what its windows influence, and updates the cached activations for the next one; after
    that, the maps of the step before are invalid.
    """

    def __init__(self, images: Tensor, order: torch.memory_format = torch.contiguous_format) -> None:
        super().__init__(images.clone(), order)
        self.saved = 0  # multiplications that a step of one image saves, counted in the first pass
        self._rows: Sequence[int] = range(len(images))
        self._pending: list[tuple[Tensor, Tensor, Corners]] = []
        self._wide: set[int] = set()

    def first(self, tops: Starts, lefts: Starts, side: int) -> "PatchedImages":
        """The unchanged images: a plain pass that caches what later windows of this size will need."""
        shape = (*self.image.shape[:2], side, side)
        # A patch without values: only its shapes are used.
        return PatchedImages(self, self.image, torch.empty(shape, dtype=self.image.dtype, device="meta"), (tops, lefts))

    def then(self, rows: Sequence[int], patches: Tensor, tops: Starts, lefts: Starts) -> "PatchedImages":
        """Some of the images, each with another patch (N, C, h, w) pasted permanently."""
        self._update()
        self._rows = rows
        return self.changed(patches, tops, lefts)

    def rows(self, _count: int) -> Sequence[int]:
        """The index of the source image of each copy."""
        return self._rows

    def hold(self, target: Tensor, changed: "PatchedImages", padding: tuple[int, int] = (0, 0)) -> None:
        """Schedule an update of the map before the next step, when its old values are no longer needed."""
        if not changed.blank:
            tops, lefts = ([n + before for n in starts] for starts, before in zip(changed.at, padding, strict=True))
            self._pending.append((target, changed.patch, (tops, lefts)))

    def whole(self, clean: Tensor, share: float) -> bool:
        """Whether a change is computed on the whole map: from then on the cached map is out of date."""
        if share > MOST:
            self._wide.add(id(clean))
        return id(clean) in self._wide

    def _update(self) -> None:
        for target, patch, at in self._pending:
            height, width = patch.shape[-2:]
            for row, one, y, x in zip(self._rows, patch, *at, strict=True):
                target[row, :, y : y + height, x : x + width] = one
        self._pending.clear()


class PatchedImages(Tensor):
    """Copies (N, C, H, W) of one map, or of one map each, every copy changed only inside one window.

    Element-wise operations and those on small neighbourhoods are computed inside the windows, grown by their kernels;
    every other operation receives the whole copies. Gradients are not supported.
    """

    clean_pass: CleanPass
    clean: Tensor  # (1, C, H, W), or a map per image of the clean_pass
    patch: Tensor  # (N, C, h, w)
    at: Corners  # of the patches

    @staticmethod
    def __new__(cls, clean_pass: CleanPass, clean: Tensor, patch: Tensor, at: Corners) -> "PatchedImages":  # noqa: D102
        shape = (len(patch), *clean.shape[1:])
        # Operations must see the memory format that `whole` produces: some query it before they are called.
        strides = torch.empty(shape, device="meta", memory_format=clean_pass.order).stride()
        made = Tensor._make_wrapper_subclass(cls, shape, strides, dtype=clean.dtype, device=clean.device)
        made.clean_pass, made.clean, made.patch, made.at = clean_pass, clean, patch, at
        clean_pass.hold(clean, made)
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called by torch for every operation on such maps."""
        kwargs = kwargs or {}
        result = RULES[func](func, *args, **kwargs) if func in RULES else None
        if result is None:
            args, kwargs = tree_map_only(PatchedImages, PatchedImages.whole, (args, kwargs))
            return func(*args, **kwargs)
        return result

    def __repr__(self) -> str:  # type: ignore[override]
        return f"PatchedImages({tuple(self.shape)}, windows of {tuple(self.patch.shape[2:])})"

    @property
    def blank(self) -> bool:
        """Whether nothing has changed yet, and the patches are only shapes."""
        return self.patch.is_meta

    def whole(self) -> Tensor:
        """The copies as an ordinary tensor (N, C, H, W)."""
        if self.blank:
            return self.clean.clone(memory_format=self.clean_pass.order)
        copies = self.part(self.clean, origin(len(self)), self.clean.shape[-2:])
        return copies.contiguous(memory_format=self.clean_pass.order)

    def part(self, clean: Tensor, at: Corners, size: Sequence[int], padding: tuple[int, int] = (0, 0)) -> Tensor:
        """Windows (N, C, *size) of the copies, `at` corners of the map `clean` that has `padding` before each axis."""
        (height, width), (h, w) = size, self.patch.shape[-2:]
        if (h, w) == (height, width) and at == self.at and padding == (0, 0):
            return self.patch
        shape = (len(self), clean.shape[1], height, width)
        if self.blank:
            return self.patch.new_empty(shape)
        cut = torch.empty(shape, dtype=clean.dtype, device=clean.device, memory_format=self.clean_pass.order)
        rows = self.clean_pass.rows(len(self))
        for n, (row, top, left, patch_top, patch_left) in enumerate(zip(rows, *at, *self.at, strict=True)):
            cut[n] = clean[row, :, top : top + height, left : left + width]
            y, x = patch_top + padding[0] - top, patch_left + padding[1] - left  # of the patch in the window
            y0, y1, x0, x1 = max(y, 0), min(y + h, height), max(x, 0), min(x + w, width)
            if y0 < y1 and x0 < x1:
                cut[n, :, y0:y1, x0:x1] = self.patch[n, :, y0 - y : y1 - y, x0 - x : x1 - x]
        return cut


def origin(count: int) -> Corners:
    """The corners of `count` windows at the upper left of their map."""
    return [0] * count, [0] * count


@torch.no_grad()
def spared(
    net: nn.Module, shape: tuple[int, int, int], side: int, order: torch.memory_format = torch.contiguous_format
) -> int:
    """Multiplications that a step with a central window saves of a CPU pass of one image (C, H, W)."""
    steps = CumulativePass(torch.zeros(1, *shape), order)
    top, left = ([(length - side) // 2] for length in shape[1:])
    net(steps.first(top, left, side))
    return steps.saved
