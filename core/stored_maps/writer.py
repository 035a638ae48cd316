"""Writing of a folder of maps on a thread of its own: files of a block first, then its rows, then a line of the log."""

import csv
import io
import json
import os
import queue
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import StoreError
from core.explain import Explanation
from core.export import key, npz
from core.export.spreadsheet import cell
from core.files import atomic_write
from core.models.model import Model
from core.progress import Report
from core.stored_maps.batch import Result

TABLE, LOG = "results.csv", "finished.log"
COLUMNS = (
    "number", "image", "sha256", "predicted", "predicted_label", "probability", "true", "true_label", "right", "method",
    "target", "target_label", "layer", "score", "min", "max", "file", "array", "blank", "error",
)  # fmt: skip
_PER_FOLDER = 1000  # files
_BLOCKS = 2  # that wait to be written
_POLL = 0.1  # seconds


@dataclass(frozen=True)
class Row:
    """An image with what was computed for it."""

    number: int
    path: str
    sha: str
    true: int | None
    result: Result


class Writer:
    """Writes blocks in their order; a block counts as finished when its line is in the log.

    A crash loses at most the blocks that are not in the log: their rows are cut off and their files written again.
    """

    def __init__(self, folder: Path, model: Model) -> None:
        self.folder = folder
        self._model = model
        self._waiting: queue.Queue[list[Row] | None] = queue.Queue(_BLOCKS)
        self._error: Exception | None = None
        self.first = _resumed(folder)  # number of the first image that is not finished
        self._thread = threading.Thread(target=self._work, name="maps", daemon=True)
        self._thread.start()

    def put(self, rows: list[Row], report: Report) -> None:
        """Queue a block; waits while _BLOCKS are queued, calling `report`. Raises StoreError if one was not written."""
        while True:
            report(0.0, "")
            self._check()
            with suppress(queue.Full):
                self._waiting.put(rows, timeout=_POLL)
                return

    def close(self) -> None:
        """Write what is queued and end. Raises StoreError if a block could not be written."""
        while self._thread.is_alive():
            with suppress(queue.Full):
                self._waiting.put(None, timeout=_POLL)
                break
        self._thread.join()
        self._check()

    def _check(self) -> None:
        if self._error is not None:
            reason = getattr(self._error, "strerror", None) or str(self._error)
            message = f"{self.folder} cannot be written ({reason})."
            raise StoreError(message, "Free some space, then repeat the command to continue.") from self._error

    def _work(self) -> None:
        try:
            while (rows := self._waiting.get()) is not None:
                self._write(rows)
        except Exception as error:  # noqa: BLE001 - raised on the thread that queues blocks
            self._error = error

    def _write(self, rows: Sequence[Row]) -> None:
        lines = io.StringIO()
        table = csv.DictWriter(lines, COLUMNS, restval="")
        for row in rows:
            table.writerows({name: cell(value) for name, value in line.items()} for line in self._lines(row))
        with (self.folder / TABLE).open("ab") as file:
            file.write(lines.getvalue().encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
            end = file.tell()
        _log(self.folder, rows[-1].number + 1, end)

    def _lines(self, row: Row) -> list[dict[str, Any]]:
        """The rows of the table for one image, whose file of maps is written."""
        model, result = self._model, row.result
        name = os.fsencode(row.path).decode("utf-8", "replace")
        line: dict[str, Any] = {"number": row.number, "image": name, "sha256": row.sha}
        if row.true is not None:
            line |= {"true": row.true, "true_label": model.labels[row.true]}
        if result.logits is None:
            return [line | {"error": result.problem}]
        best = int(model.predicted(result.logits))
        line |= {
            "predicted": best,
            "predicted_label": model.labels[best],
            "probability": float(model.probabilities(result.logits)[best]),
        }
        if row.true is not None and (right := model.right(result.logits, row.true)) is not None:
            line["right"] = right
        maps = {key(request): one for request, one in result.answers if isinstance(one, Explanation)}
        file = maps_file(row.number) if maps else ""
        if maps:
            path = self.folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as stream:
                stream.write(_content(maps))
        lines = []
        for request, answer in result.answers:
            about: dict[str, Any] = {
                "method": request.name, "target": str(request.target),
                "target_label": request.target.title(model.labels),
            }  # fmt: skip
            if isinstance(answer, Explanation):
                values = answer.maps[0]
                about |= {
                    "layer": answer.layer, "score": float(answer.scores[0]), "min": float(values.min()),
                    "max": float(values.max()), "file": file, "array": key(request), "blank": answer.note(),
                }  # fmt: skip
            else:
                about["error"] = str(answer)
            lines.append(line | about)
        return lines


def maps_file(number: int) -> str:
    """Where the maps of an image lie in the folder, by its number."""
    return f"maps/{number // _PER_FOLDER:03d}/{number:06d}.npz"


def _content(maps: Mapping[str, Explanation]) -> bytes:
    """The maps of one image at the methods' own resolution, and what else is known of them as JSON in `facts`."""
    facts = {
        name: {
            "score": float(one.scores[0]), "layer": one.layer, "signed": one.signed, "offset": one.offset,
            "behind": one.behind, "remarks": dict(one.remarks), "size": list(one.maps.shape[1:]),
        }
        for name, one in maps.items()
    }  # fmt: skip
    arrays = {name: (one.maps if one.grid is None else one.grid)[0].numpy() for name, one in maps.items()}
    return npz({**arrays, "facts": np.array(json.dumps(facts, ensure_ascii=False))})


def _resumed(folder: Path) -> int:
    """The number of finished images; what a crash left in the table beyond them is cut off."""
    table, log = folder / TABLE, folder / LOG
    size = table.stat().st_size if table.exists() else 0
    first, end, kept = 0, 0, 0
    for line in log.read_bytes().splitlines(keepends=True) if log.exists() else ():
        words = line.split()
        if not (line.endswith(b"\n") and len(words) == 2 and all(word.isdigit() for word in words)):
            break
        if int(words[1]) > size:
            break
        first, end, kept = int(words[0]), int(words[1]), kept + len(line)
    if not end:
        with atomic_write(table) as file:
            file.write((",".join(COLUMNS) + "\r\n").encode())
            end = file.tell()
        log.write_bytes(b"")
        _log(folder, 0, end)
        return 0
    os.truncate(table, end)
    os.truncate(log, kept)
    return first


def _log(folder: Path, images: int, end: int) -> None:
    """Add a line: so many images are finished, whose rows end at this byte of the table."""
    with (folder / LOG).open("ab") as file:
        file.write(f"{images} {end}\n".encode())
        file.flush()
        os.fsync(file.fileno())


def finished(folder: Path) -> int:
    """The number of finished images of a folder of maps, as its log says; 0 without one."""
    with suppress(OSError, ValueError, IndexError):
        return int((folder / LOG).read_bytes().rpartition(b"\n")[0].splitlines()[-1].split()[0])
    return 0


def rows(folder: Path) -> Iterable[dict[str, str]]:
    """The rows of the table, without those of a block that is being written."""
    with (folder / TABLE).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
