"""Images as network inputs, read on other threads while the batch before is computed."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from core.data.masks.annotations import Size
from core.errors import BadImage, StoreError
from core.images import eight_bits, joined, read_picture, shown
from core.models.model import Model
from core.network.threads import ahead
from core.progress import Report
from core.review.source import Source

SIDE = 64  # of a thumbnail
_AHEAD = 2  # batches that are read while one is computed


@dataclass(frozen=True)
class Batch:
    """Some images of a source as a model takes them; those that cannot be read are left out."""

    rows: tuple[int, ...]  # that could be read
    inputs: Tensor | None  # (n, C, H, W), None without any
    sizes: tuple[Size, ...]  # height and width of the pictures
    thumbnails: NDArray[np.uint8]  # (n, SIDE, SIDE, 3) the model's views, reduced
    problems: dict[int, str]  # by row


@dataclass(frozen=True)
class _Read:
    """An image that was read, or why it cannot be."""

    problem: str
    inputs: Tensor | None = None  # (C, H, W)
    size: Size = (0, 0)
    thumbnail: NDArray[np.uint8] | None = None


def batches(source: Source, model: Model, rows: range, size: int, report: Report) -> Iterator[Batch]:
    """The images of these rows, `size` at a time, two batches ahead.

    A report that raises ends it within the time of one image. Raises StoreError for an image that is no longer the one
    of the source.
    """
    done = 0
    images = ahead(partial(_read, source, model), rows, _AHEAD * size, lambda: report(done / len(rows), "predictions"))
    for start in range(0, len(rows), size):
        span = rows[start : start + size]
        yield _batch(span, list(islice(images, len(span))))
        done = start + len(span)


def batch(source: Source, model: Model, rows: range) -> Batch:
    """The images of these rows, read on this thread. Raises StoreError as `batches`."""
    return _batch(rows, [_read(source, model, row) for row in rows])


def _batch(rows: range, images: list[_Read]) -> Batch:
    found = {row: one for row, one in zip(rows, images, strict=True) if not one.problem}
    inputs = [one.inputs for one in found.values() if one.inputs is not None]
    thumbnails = [one.thumbnail for one in found.values() if one.thumbnail is not None]
    return Batch(
        tuple(found),
        joined(inputs) if inputs else None,
        tuple(one.size for one in found.values()),
        np.stack(thumbnails) if thumbnails else np.zeros((0, SIDE, SIDE, 3), np.uint8),
        {row: one.problem for row, one in zip(rows, images, strict=True) if one.problem},
    )


def _read(source: Source, model: Model, row: int) -> _Read:
    try:
        picture = read_picture(source.root, source.paths[row], source.window)
        view = model.preprocess.seen(picture)
    except BadImage as error:
        return _Read(error.message)
    if not source.shas[row]:
        return _Read(f"{shown(source.paths[row])} could not be read before.")
    if not picture.sha.startswith(source.shas[row]):
        raise StoreError(f"{shown(source.paths[row])} has changed since its folder was read.", "Start again.")
    colours = view if view.dtype == np.uint8 else eight_bits(view)
    small = Image.fromarray(np.ascontiguousarray(colours[..., :3])).resize((SIDE, SIDE), Image.Resampling.BOX)
    return _Read("", model.preprocess.tensor(view), picture.pixels.shape[:2], np.asarray(small))
