"""Computing the maps of a whole folder: read, computed and written side by side, with bounded memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from core.errors import StoreError
from core.progress import Counted, Report
from core.stored_maps.batch import results
from core.stored_maps.images import Loaded, Read, blocks
from core.stored_maps.settings import Settings, agreed
from core.stored_maps.writer import Row, Writer
from core.workbench import Workbench

_LOCK = "lock"


class Image(NamedTuple):
    """An image of the folder."""

    read: Read
    path: str  # in the folder
    true: int | None  # class of the model


def explain_folder(bench: Workbench, images: Sequence[Image], settings: Settings, out: Path, report: Report) -> None:
    """Write the maps of all images into a folder; what is finished there is kept and not computed again.

    `report` may raise Cancelled: finished blocks are kept then, too. Raises StoreError for a folder of other maps, one
    that another process is writing, or one that cannot be written.
    """
    with _locked(out):
        batch = agreed(out, settings, bench.model).batch
        writer = Writer(out, bench.model)
        done = writer.first

        def alive(_fraction: float, _note: str) -> None:
            report(done / len(images), Counted("images", done, len(images)))

        try:
            for span, loaded in blocks(bench, [image.read for image in images], batch, done, alive):
                found = results(bench, loaded, settings, alive)
                rows = [
                    Row(number, images[number].path, _sha(one), images[number].true, result)
                    for number, one, result in zip(span, loaded, found, strict=True)
                ]
                writer.put(rows, alive)
                done = span.stop
                alive(0.0, "")
        finally:
            writer.close()
        report(1.0, Counted("images", len(images), len(images)))


def _sha(image: Loaded) -> str:
    return image.picture.sha if image.picture else ""


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder of maps for this process; StoreError if another one has the lock."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        message = f"Another process is writing the maps in {folder}."
        raise StoreError(message, "Wait for it, stop it, or choose another folder.") from None
    try:
        yield
    finally:
        lock.release()
