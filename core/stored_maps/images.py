"""Images of a folder as network inputs, decoded on other threads a few blocks ahead."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from torch import Tensor

from core.errors import BadImage
from core.images import DeferredPicture, Picture
from core.network.threads import ahead
from core.progress import Report
from core.workbench import Workbench

AHEAD = 2  # blocks that are decoded while one is computed

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
    done = first
    loaded = ahead(
        partial(_loaded, bench), islice(images, first, None), AHEAD * size, lambda: report(done / len(images), "")
    )
    for start in range(first, len(images), size):
        span = range(start, min(start + size, len(images)))
        yield span, list(islice(loaded, len(span)))
        done = span.stop


def _loaded(bench: Workbench, read: Read) -> Loaded:
    try:
        picture = read()
        return Loaded(DeferredPicture(picture, read, picture.name), bench.inputs(picture))
    except BadImage as error:
        return Loaded(problem=str(error))
