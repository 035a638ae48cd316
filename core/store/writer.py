"""Writing a store: shard by shard into a hidden folder, whole or not at all, resumed after a crash."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.errors import StudyDamaged, StudyError
from core.progress import Report, silent, subrange
from core.serialization import digest
from core.store.locking import locked, replacing, settle, translated
from core.study import Study, file_sha
from core.study.schema import FORMAT, HEADER, LOG, MANIFEST, header, remains


class Draft:
    """A study being written: shards first, in any order, then what is joined from them, the manifest last."""

    def __init__(self, path: Path, identity: Mapping[str, Any], last: Mapping[str, Any]) -> None:
        self.path = path  # of the finished study
        self.digest = digest({"shards": identity, "last": last})
        self.folder = path.parent / f".{path.name}.draft"
        self.whole = self.folder / "whole"  # becomes the study by one rename
        self.finished = False  # True: the study is there already, made from the same identity
        self._facts: dict[str, dict[str, Any]] = {"tables": {}, "arrays": {}}

    def missing(self, count: int) -> list[int]:
        """The shards of 0 … count - 1 that are not finished."""
        return [shard for shard in range(count) if not self._shard(shard).is_dir()]

    def keep(
        self,
        shard: int,
        tables: Mapping[str, pd.DataFrame],
        arrays: Mapping[str, NDArray[Any]],
        facts: Mapping[str, Any],
    ) -> None:
        """Finish a shard: all of it, or after a crash nothing."""
        aside = self.folder / f"{shard:06d}.part"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        for name, frame in tables.items():
            with replacing(aside / f"{name}.parquet") as file:
                pq.write_table(_columns(frame), file, compression="zstd")
        for name, array in arrays.items():
            with replacing(aside / f"{name}.npy") as file:
                # numpy.save hides which error of the disk it met
                file.write(header(array.shape, array.dtype))
                file.write(np.ascontiguousarray(array).tobytes())
        with replacing(aside / "facts.json") as file:
            file.write(json.dumps(facts).encode())
        aside.rename(self._shard(shard))
        settle(self.folder)

    def facts(self, count: int) -> list[dict[str, Any]]:
        """The facts of all shards in order."""
        return [json.loads((self._shard(shard) / "facts.json").read_text("utf-8")) for shard in range(count)]

    def tables(self, name: str, count: int) -> Iterator[pd.DataFrame]:
        """The parts of a table, shard by shard."""
        for shard in range(count):
            yield pd.read_parquet(self._shard(shard) / f"{name}.parquet")

    def arrays(self, name: str, count: int) -> Iterator[NDArray[Any]]:
        """The parts of an array, shard by shard; read, not mapped, so that no more than one is in memory."""
        for shard in range(count):
            yield np.load(self._shard(shard) / f"{name}.npy", allow_pickle=False)

    def write_table(self, name: str, frames: Iterable[pd.DataFrame]) -> None:
        """Write a table of the study from its parts, one after the other."""
        rows, writer, schema = 0, None, None
        with replacing(self.whole / f"{name}.parquet") as file:
            for frame in frames:
                part = _columns(frame)
                if writer is None:
                    schema = part.schema
                    writer = pq.ParquetWriter(file, schema, compression="zstd")
                writer.write_table(part.cast(schema))
                rows += len(frame)
            if writer is None or schema is None:
                raise ValueError(f"table {name} has no parts")
            writer.close()
        self._facts["tables"][name] = {"rows": rows, "columns": schema.names}

    def write_array(self, name: str, parts: Iterable[NDArray[Any]]) -> None:
        """Write an array of the study from parts that follow each other along the first dimension."""
        rows, shape, dtype = 0, None, None
        with replacing(self.whole / f"{name}.npy") as file:
            file.write(b"\0" * HEADER)
            for part in parts:
                shape, dtype = part.shape[1:], part.dtype
                file.write(np.ascontiguousarray(part).tobytes())
                rows += len(part)
            if shape is None or dtype is None:
                raise ValueError(f"array {name} has no parts")
            file.seek(0)
            file.write(header((rows, *shape), dtype))
        self._facts["arrays"][name] = {"shape": [rows, *shape], "dtype": dtype.name}

    def table(self, name: str) -> pd.DataFrame:
        """A table already written."""
        return pd.read_parquet(self.whole / f"{name}.parquet")

    def array(self, name: str) -> NDArray[Any]:
        """An array already written, memory-mapped."""
        return np.load(self.whole / f"{name}.npy", mmap_mode="r", allow_pickle=False)

    def finish(self, manifest: Mapping[str, Any], log: Mapping[str, Any], report: Report = silent) -> None:
        """Write manifest and log, and let the study appear, in the place of what a damaged one left."""
        written = sorted(self.whole.iterdir())
        shares = [subrange(report, place / len(written), (place + 1) / len(written)) for place in range(len(written))]
        files = {
            file.name: {"bytes": file.stat().st_size, "sha256": file_sha(file, share, "finishing")}
            for file, share in zip(written, shares, strict=True)
        }
        whole = {"version": FORMAT, "digest": self.digest, **manifest, **self._facts, "files": files}
        with replacing(self.whole / LOG) as file:
            file.write((json.dumps(log, indent=1) + "\n").encode())
        with replacing(self.whole / MANIFEST) as file:
            file.write((json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode())
        if remains(self.path):
            shutil.rmtree(self.folder / "replaced", ignore_errors=True)
            self.path.rename(self.folder / "replaced")
        self.whole.rename(self.path)
        settle(self.path.parent)
        self.finished = True

    def _shard(self, shard: int) -> Path:
        return self.folder / f"{shard:06d}"


@contextmanager
def writing(path: str | Path, identity: Mapping[str, Any], last: Mapping[str, Any] | None = None) -> Iterator[Draft]:
    """A draft of the study at `path`, locked while open.

    `identity` is all that decides the shards, `last` what else decides that which is made of them. Shards that an
    earlier, interrupted writing of the same identity finished are still there; those of another one are thrown away. If
    the very study is there already, the draft is `finished` and nothing is to do; what a damaged one left stays until
    the new one is whole. Raises StudyError where something else is at `path`, where no folder can be put, where
    somebody else is writing it, or where the disk is full.
    """
    path = _place(path)
    draft = Draft(path, identity, last or {})
    with translated(path):
        draft.finished = _same(path, draft.digest)
    if draft.finished and not draft.folder.exists():
        yield draft
        return
    with translated(path), locked(draft.folder, path):
        draft.finished = _same(path, draft.digest)  # somebody may just have finished it
        if not draft.finished:
            _begin(draft, identity)
        yield draft
        if draft.finished:
            shutil.rmtree(draft.folder)


def remove(path: str | Path) -> None:
    """Delete a study, also a damaged one, or what an interrupted writing left of one.

    Raises StudyError where somebody is writing it, and for a folder that holds anything else: nothing else is deleted.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - a link is deleted, not what it leads to
    folder = path.parent / f".{path.name}.draft"
    with translated(path):
        if path.exists() and not remains(path):
            Study(path)
            raise StudyError(
                f"{path} contains files that do not belong to a study.", "Move them, or delete the folder manually."
            )
        with locked(folder, path):
            if path.exists():
                path.rename(folder / "deleted")  # gone at once, whatever happens to the rest
            shutil.rmtree(folder)


def _place(path: str | Path) -> Path:
    """Where a study is put, links followed; StudyError where no folder can be renamed to."""
    place = Path(os.path.realpath(path))
    if place.is_symlink():
        raise StudyError(f"{path} is a circular link.", "Choose another name.")
    if place == Path.cwd() or place.is_mount():
        what = "the folder you are in" if place == Path.cwd() else "a disk of its own"
        raise StudyError(f"{path} is {what}, and a study becomes a new folder.", "Name a folder in it.")
    return place


def _same(path: Path, wanted: str) -> bool:
    """Whether the wanted study is at `path` already, and not damaged; StudyError if something else is."""
    if not path.exists():
        return False
    if not path.is_dir():
        raise StudyError(f"{path} is a file, and a study becomes a folder.", "Choose another name.")
    if not any(path.iterdir()):
        return False
    try:
        found = Study(path)
    except StudyError as error:
        if isinstance(error, StudyDamaged) and remains(path):
            return False
        message = f"{path} is a folder that contains something other than a finished study."
        raise StudyError(message, "Choose another name, or empty it.") from None
    if found.manifest["version"] < FORMAT:
        message = f"{path} holds a study of format {found.manifest['version']}, made by an earlier version of Vitrine."
        raise StudyError(message, "It can still be opened; to rebuild it, choose another name or delete it.")
    if found.manifest["digest"] != wanted:
        message = f"{path} contains a study with other settings, images or weights."
        raise StudyError(message, "Choose another name, or delete it.")
    return True


def _begin(draft: Draft, identity: Mapping[str, Any]) -> None:
    """Clear what cannot be continued, and say in the draft what it is a draft of."""
    told = draft.folder / "identity.json"
    text = json.dumps(identity, indent=1, sort_keys=True)
    if not told.is_file() or told.read_text("utf-8") != text:
        for item in draft.folder.iterdir():
            if item.is_dir():
                shutil.rmtree(item)
        with replacing(told) as file:
            file.write(text.encode())
    shutil.rmtree(draft.whole, ignore_errors=True)
    draft.whole.mkdir()


def _columns(frame: pd.DataFrame) -> pa.Table:
    """A frame as parquet columns, without the remarks pandas would add."""
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
