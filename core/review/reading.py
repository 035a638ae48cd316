"""Images as network inputs, read on another thread while the batch before is computed."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from core.data.masks.annotations import Size
from core.errors import BadImage, Cancelled, StoreError
from core.images import eight_bits, read_picture, shown
from core.models.model import Model
from core.progress import Report
from core.review.source import Source

SIDE = 64  # of a thumbnail
_POLL = 0.2  # seconds between reports while a batch is read


@dataclass(frozen=True)
class Batch:
    """Some images of a source as a model takes them; those that cannot be read are left out."""

    rows: tuple[int, ...]  # that could be read
    inputs: Tensor | None  # (n, C, H, W), None without any
    sizes: tuple[Size, ...]  # height and width of the pictures
    thumbnails: NDArray[np.uint8]  # (n, SIDE, SIDE, 3) the model's views, reduced
    problems: dict[int, str]  # by row


def batches(source: Source, model: Model, rows: range, size: int, report: Report) -> Iterator[Batch]:
    """The images of these rows, `size` at a time, one batch ahead.

    A report that raises ends it within the time of one image. Raises StoreError for an image that is no longer the one
    of the source.
    """
    spans = [rows[start : start + size] for start in range(0, len(rows), size)]
    stopped = Event()
    with ThreadPoolExecutor(1) as pool:
        try:
            ahead = pool.submit(_read, source, model, spans[0], stopped)
            for number, _ in enumerate(spans):
                batch = _waited(ahead, report, number / len(spans))
                if number + 1 < len(spans):
                    ahead = pool.submit(_read, source, model, spans[number + 1], stopped)
                yield batch
        finally:
            stopped.set()


def _waited(batch: "Future[Batch]", report: Report, fraction: float) -> Batch:
    while True:
        report(fraction, "predictions")
        try:
            return batch.result(_POLL)
        except TimeoutError:
            continue


def _read(source: Source, model: Model, rows: Sequence[int], stopped: Event) -> Batch:
    read, inputs, sizes, thumbnails, problems = list[int](), list[Tensor](), list[Size](), [], dict[int, str]()
    for row in rows:
        if stopped.is_set():
            raise Cancelled
        try:
            picture = read_picture(source.root, source.paths[row], source.window)
            view = model.preprocess.seen(picture)
        except BadImage as error:
            problems[row] = error.message
            continue
        if not source.shas[row]:
            problems[row] = f"{shown(source.paths[row])} could not be read before."
            continue
        if not picture.sha.startswith(source.shas[row]):
            raise StoreError(f"{shown(source.paths[row])} has changed since its folder was read.", "Start again.")
        colours = view if view.dtype == np.uint8 else eight_bits(view)
        small = Image.fromarray(np.ascontiguousarray(colours[..., :3])).resize((SIDE, SIDE), Image.Resampling.BOX)
        read.append(row)
        inputs.append(model.preprocess.tensor(view))
        sizes.append(picture.pixels.shape[:2])
        thumbnails.append(np.asarray(small))
    stacked = torch.stack(inputs) if inputs else None
    small_ones = np.stack(thumbnails) if thumbnails else np.zeros((0, SIDE, SIDE, 3), np.uint8)
    return Batch(tuple(read), stacked, tuple(sizes), small_ones, problems)
