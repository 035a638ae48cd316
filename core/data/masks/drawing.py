"""Drawing of annotated objects into the view of a model."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.data.masks.annotations import Object, Points, Size
from core.data.masks.pictures import Mask
from core.images import Preprocess


def drawn(
    objects: Sequence[Object], own_size: Size, size: Size, preprocess: Preprocess
) -> tuple[Mask, NDArray[np.float64]]:
    """The union of objects (h, w), and their boxes (K, 4) as top, left, height and width, in the view of a picture.

    Coordinates are those of an image of `own_size`, the picture has `size` (H, W). A pixel belongs to an object if its
    centre does; boxes are cut at the border of the view, and left out beyond it.
    """
    scale = size[1] / own_size[1], size[0] / own_size[0]
    mask, boxes, union = np.zeros(preprocess.size, bool), [], dict[Size, Mask]()
    for one in objects:
        if one.mask is not None:
            whole = union.setdefault((one.mask.shape[0], one.mask.shape[1]), np.zeros(one.mask.shape, bool))
            whole |= one.mask
        elif one.outlines:
            for outline in one.outlines:
                fill(mask, preprocess.points(outline * scale, size))
        if one.box is None:
            continue
        corners = preprocess.points(one.box * scale, size)
        if one.mask is None and not one.outlines:
            (left, top), (right, bottom) = corners
            fill(mask, np.array([[left, top], [right, top], [right, bottom], [left, bottom]]))
        (left, top), (right, bottom) = corners.clip(0, preprocess.size[::-1])
        if left < right and top < bottom:
            boxes.append([top, left, bottom - top, right - left])
    for whole in union.values():
        mask |= preprocess.mask(resized_mask(whole, size))
    return mask, np.array(boxes, np.float64).reshape(-1, 4)


def resized_mask(mask: Mask, size: Size) -> Mask:
    """A mask resized to a size (H, W) by nearest neighbours."""
    if mask.shape == tuple(size):
        return mask
    return np.asarray(Image.fromarray(mask.astype(np.uint8)).resize(size[::-1], Image.Resampling.NEAREST)) > 0


def fill(mask: Mask, outline: Points) -> None:
    """Set the pixels of a mask whose centres lie inside a polygon: an odd number of its sides is left of them."""
    (x, y), (next_x, next_y) = outline.T, np.roll(outline, -1, 0).T
    centres = np.arange(mask.shape[1]) + 0.5
    first, last = (int(np.clip(np.ceil(end - 0.5), 0, len(mask))) for end in (y.min(), y.max()))
    for row in range(first, last):
        crossed = (y <= row + 0.5) != (next_y <= row + 0.5)
        share = (row + 0.5 - y[crossed]) / (next_y - y)[crossed]
        sides = np.sort(x[crossed] + share * (next_x - x)[crossed])
        mask[row] |= np.searchsorted(sides, centres, "right") % 2 == 1
