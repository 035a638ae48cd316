"""Images of a folder as network inputs, decoded on other threads a few blocks ahead."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from torch import Tensor

from core.errors import BadImage
from core.images import DeferredPicture, Picture
from core.progress import Report
from core.workbench import Workbench

AHEAD = 2  # blocks that are decoded while one is computed
_WORKERS = 4  # threads at most
_POLL = 0.1  # seconds between reports while images are read

Read = Callable[[], Picture]


@dataclass(frozen=True)
class Loaded:
    """An image that was read: a picture without its pixels and the network's input, or why it cannot be read."""

    picture: DeferredPicture | None = None
    inputs: Tensor | None = None  # (1, C, H, W)
    problem: str = ""


def blocks(
    bench: Workbench, images: Sequence[Read], size: int, first: int, report: Report
) -> Iterator[tuple[range, list[Loaded]]]:
    """The images from number `first` on, `size` at a time; no more than AHEAD blocks wait in memory.

    `report` is called while the caller waits; if it raises, nothing more is read.
    """
    spans = [range(start, min(start + size, len(images))) for start in range(first, len(images), size)]
    waiting: deque[tuple[range, list[Future[Loaded]]]] = deque()
    pool = ThreadPoolExecutor(min(_WORKERS, os.cpu_count() or 1), "images")
    try:
        for span in spans:
            waiting.append((span, [pool.submit(_loaded, bench, images[number]) for number in span]))
            if len(waiting) > AHEAD:
                yield _waited(*waiting.popleft(), report, len(images))
        while waiting:
            yield _waited(*waiting.popleft(), report, len(images))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _waited(span: range, futures: Sequence[Future[Loaded]], report: Report, total: int) -> tuple[range, list[Loaded]]:
    def one(future: Future[Loaded]) -> Loaded:
        while True:
            report(span.start / total, "")
            try:
                return future.result(_POLL)
            except TimeoutError:
                if future.done():
                    raise

    return span, [one(future) for future in futures]


def _loaded(bench: Workbench, read: Read) -> Loaded:
    try:
        picture = read()
        return Loaded(DeferredPicture(picture, read, picture.name), bench.inputs(picture))
    except BadImage as error:
        return Loaded(problem=str(error))
