"""Regions of a picture, and what replaces their pixels."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from core.edits.arrays import Array, as_type, white
from core.edits.edit import IMAGE, Box, Region, Segments, Stroke
from core.errors import BadParameter, UnknownName
from core.explain.baselines import SIDE, blurred
from core.explain.segments import slic_cells
from core.images import Picture, Pixels, shown

Images = Callable[[str], Picture]  # the picture of a name. Raises VitrineError
Cells = NDArray[np.int64]  # (H, W) the superpixel of each pixel

_SEGMENTED = 512  # pixels of the longer side on which superpixels are cut
_SHARP = 16  # pixels: above this deviation a region is reduced before it is blurred


def no_images(name: str) -> Picture:
    """Raise UnknownName: there are no other images."""
    raise UnknownName(f"There is no image called {shown(name)!r} to fill with.", "Use zero, mean or blur.")


def replaced(array: Array, edit: Region, decoded: Pixels, images: Images) -> Array:
    """The array with a region replaced by its fill, opaque there; superpixels are those of the `decoded` image."""
    cells = _region(decoded, edit)
    rows, columns = _extent(cells)
    window = cells[rows, columns]
    fill = _fill(array, edit.fill, cells, (rows, columns), images)  # type: ignore[attr-defined]  # all have one
    result = array.copy()
    inside = window >= 0
    result[rows, columns][inside] = fill[inside]
    return result


def superpixels(pixels: Pixels, count: int) -> Cells:
    """The superpixel of each pixel (H, W) of an image (H, W, 3), about `count` by SLIC, numbered from 0.

    One of more than 512 pixels on a side is reduced to that for the cutting.
    """
    height, width = pixels.shape[:2]
    reduction = max(height, width) / _SEGMENTED
    image = Image.fromarray(pixels)
    if reduction > 1:
        image = image.resize(
            (max(1, round(width / reduction)), max(1, round(height / reduction))), Image.Resampling.BOX
        )
    cells = slic_cells(np.asarray(image, np.float32) / np.float32(255), count)
    if reduction > 1:
        rows, columns = (np.arange(side) * few // side for side, few in zip((height, width), cells.shape, strict=True))
        cells = cells[rows][:, columns]
    return cells


def _region(decoded: Pixels, edit: Region) -> Cells:
    """The part (H, W) of the region that each pixel belongs to; −1 outside the region."""
    height, width = decoded.shape[:2]
    cells = np.full((height, width), -1, np.int64)
    if isinstance(edit, Box):
        _inside(edit.x < width and edit.y < height, edit, (width, height))
        cells[edit.y : edit.y + edit.height, edit.x : edit.x + edit.width] = 0
    elif isinstance(edit, Stroke):
        image = Image.new("L", (width, height))
        draw = ImageDraw.Draw(image)
        for x, y in edit.points:
            draw.ellipse((x - edit.radius, y - edit.radius, x + edit.radius, y + edit.radius), fill=1)
        for start, end in pairwise(edit.points):
            draw.line((*start, *end), fill=1, width=2 * edit.radius + 1)
        cells[np.asarray(image) > 0] = 0
        _inside(bool((cells == 0).any()), edit, (width, height))
    elif isinstance(edit, Segments):
        found = superpixels(decoded, edit.count)
        count = int(found.max()) + 1
        if max(edit.chosen) >= count:
            message = f"The image has no superpixel {max(edit.chosen)}."
            raise UnknownName(message, f"Cut for {edit.count}, its superpixels are 0 to {count - 1}.")
        cells = np.where(np.isin(found, edit.chosen), found, -1)
    return cells


def _inside(overlaps: bool, edit: Region, size: tuple[int, int]) -> None:
    if not overlaps:
        message = f"The {edit.kind} lies outside the image, which has {size[0]:,} × {size[1]:,} pixels."
        raise BadParameter(message, f"Write {edit.form}.")


def _extent(cells: Cells) -> tuple[slice, slice]:
    """The rows and columns of the smallest window around a region."""
    chosen = cells >= 0
    rows, columns = (np.flatnonzero(chosen.any(axis)).tolist() for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _fill(array: Array, fill: str, cells: Cells, window: tuple[slice, slice], images: Images) -> Array:
    """What replaces the window of a region, opaque."""
    inside = array[window]
    if fill == "zero":
        result = np.zeros_like(inside)
    elif fill == "mean":
        result = _means(inside, cells[window])
    elif fill == "blur":
        result = as_type(array.dtype, _blurred(array, window))
    else:
        result = _other(array, images(fill.removeprefix(IMAGE)))[window]
    if result.shape[2] == 4:
        result[..., 3] = 255 if result.dtype == np.uint8 else 1
    return result


def _means(array: Array, cells: Cells) -> Array:
    """The mean colour of each part of a region."""
    inside = cells >= 0
    _, owner = np.unique(cells[inside], return_inverse=True)
    values = array[inside].astype(np.float64)
    sums = np.stack([np.bincount(owner, values[:, channel]) for channel in range(values.shape[1])], 1)
    result = np.zeros(array.shape, np.float64)
    result[inside] = (sums / np.bincount(owner)[:, None])[owner]
    return as_type(array.dtype, result / white(array))


def _blurred(array: Array, window: tuple[slice, slice]) -> NDArray[np.float32]:
    """The window of the blurred array, in [0, 1]: the same for a pixel whatever the window."""
    height, width = array.shape[:2]
    sigma = 10 * min(height, width) / SIDE
    step = max(1, int(sigma / (_SHARP / 2))) if sigma > _SHARP else 1
    margin = int(4 * sigma) + 2 * step
    tops, lefts = (
        slice(max(0, part.start - margin) // step * step, min(side, -(-(part.stop + margin) // step) * step))
        for part, side in zip(window, (height, width), strict=True)
    )
    near = torch.from_numpy(array[tops, lefts].astype(np.float32) / white(array)).permute(2, 0, 1)[None]
    if step > 1:
        near = F.avg_pool2d(near, step, ceil_mode=True)
    near = blurred(near, sigma / step)
    if step > 1:
        near = F.interpolate(near, scale_factor=step, mode="bilinear")
    rows, columns = (
        slice(part.start - around.start, part.stop - around.start)
        for part, around in zip(window, (tops, lefts), strict=True)
    )
    soft: NDArray[np.float32] = near[0, :, rows, columns].permute(1, 2, 0).numpy()
    return soft


def _other(array: Array, other: Picture) -> Array:
    """Another picture at the size and depth of the array."""
    height, width = array.shape[:2]
    source = np.atleast_3d(other.source)
    channels = [
        Image.fromarray(source[..., channel].astype(np.float32) / white(source)) for channel in range(source.shape[2])
    ]
    sized = [np.asarray(channel.resize((width, height), Image.Resampling.BILINEAR)) for channel in channels]
    count = min(array.shape[2], 3)
    if count == 1:
        sized = [np.mean(sized, 0)]
    colours = sized * count if len(sized) < count else sized
    alpha = [np.ones((height, width), np.float32)] * (array.shape[2] - count)
    return as_type(array.dtype, np.stack([*colours, *alpha], 2))
