"""Writing of stores: shard by shard into a hidden folder, renamed when complete, resumed after a crash."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.environment import limit
from core.errors import StoreDamaged, StoreError
from core.files import atomic_write, file_sha256, read_bytes, read_json, sync_folder
from core.progress import Report, silent, subrange
from core.serialization import digest
from core.store.locking import clear, locked, translated
from core.store.manifest import dump
from core.store.npy import HEADER, header
from core.store.reader import Store, checked, removable
from core.store.schema import LOG, Schema


class Shard(NamedTuple):
    """The result of one shard: parts of tables and arrays, and facts that are JSON."""

    tables: Mapping[str, pd.DataFrame]
    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any]


class Draft:
    """A store being written: shards first, in any order, then the joined tables and arrays, the manifest last."""

    def __init__(self, schema: Schema[Any], path: Path, identity: Mapping[str, Any], last: Mapping[str, Any]) -> None:
        self.schema = schema
        self.path = path  # of the finished store
        self.digest = digest({"shards": identity, "last": last})
        self.folder = path.parent / f".{path.name}.draft"
        self.whole = self.folder / "whole"  # becomes the store by one rename
        self.finished = False  # True: the store with this identity is complete already
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
        """Store a finished shard atomically."""
        unfinished = self.folder / f"{shard:06d}.part"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        for name, frame in tables.items():
            with atomic_write(unfinished / f"{name}.parquet") as file:
                pq.write_table(_columns(frame), file, compression="zstd")
        for name, array in arrays.items():
            with atomic_write(unfinished / f"{name}.npy") as file:
                # numpy.save hides the OS error
                file.write(header(array.shape, array.dtype))
                file.write(np.ascontiguousarray(array).tobytes())
        with atomic_write(unfinished / "facts.json") as file:
            file.write(json.dumps(facts).encode())
        unfinished.rename(self._shard(shard))
        sync_folder(self.folder)

    def facts(self, count: int) -> list[dict[str, Any]]:
        """The facts of all shards in order."""
        return [read_json(self._shard(shard) / "facts.json", limit("manifest")) for shard in range(count)]

    def tables(self, name: str, count: int) -> Iterator[pd.DataFrame]:
        """The parts of a table, shard by shard."""
        for shard in range(count):
            yield pd.read_parquet(self._shard(shard) / f"{name}.parquet")

    def arrays(self, name: str, count: int) -> Iterator[NDArray[Any]]:
        """The parts of an array, shard by shard; read, not mapped, so that no more than one is in memory."""
        for shard in range(count):
            yield np.load(self._shard(shard) / f"{name}.npy", allow_pickle=False)

    def array_of(self, shard: int, name: str) -> NDArray[Any]:
        """An array of a finished shard, memory-mapped."""
        return np.load(self._shard(shard) / f"{name}.npy", mmap_mode="r", allow_pickle=False)

    def write_table(self, name: str, frames: Iterable[pd.DataFrame]) -> None:
        """Write a table of the store from its parts, one after the other."""
        rows, writer, schema = 0, None, None
        with atomic_write(self.whole / f"{name}.parquet") as file:
            for frame in frames:
                columns = _columns(frame)
                if writer is None:
                    schema = columns.schema
                    writer = pq.ParquetWriter(file, schema, compression="zstd")
                writer.write_table(columns.cast(schema))
                rows += len(frame)
            if writer is None or schema is None:
                raise ValueError(f"table {name} has no parts")
            writer.close()
        if self.schema.tables[name] and list(self.schema.tables[name]) != schema.names:
            raise ValueError(f"table {name} has the columns {schema.names}")
        self._facts["tables"][name] = {"rows": rows, "columns": schema.names}

    def write_array(self, name: str, parts: Iterable[NDArray[Any]]) -> None:
        """Write an array of the store from parts that are concatenated along the first dimension."""
        rows, shape, dtype = 0, None, None
        with atomic_write(self.whole / f"{name}.npy") as file:
            file.write(b"\0" * HEADER)
            for part in parts:
                shape, dtype = part.shape[1:], part.dtype
                file.write(np.ascontiguousarray(part).tobytes())
                rows += len(part)
            if shape is None or dtype is None:
                raise ValueError(f"array {name} has no parts")
            file.seek(0)
            file.write(header((rows, *shape), dtype))
        if dtype.name != self.schema.every_array[name].dtype:
            raise ValueError(f"array {name} is of {dtype.name}")
        self._facts["arrays"][name] = {"shape": [rows, *shape], "dtype": dtype.name}

    def table(self, name: str) -> pd.DataFrame:
        """A table already written."""
        return pd.read_parquet(self.whole / f"{name}.parquet")

    def array(self, name: str) -> NDArray[Any]:
        """An array already written, memory-mapped."""
        return np.load(self.whole / f"{name}.npy", mmap_mode="r", allow_pickle=False)

    def finish(self, fields: Mapping[str, Any], log: Mapping[str, Any], report: Report = silent) -> None:
        """Write manifest and log, then rename the store to its path, replacing a damaged one.

        `fields` are the schema's own fields of the manifest.
        """
        written = sorted(self.whole.iterdir())
        ranges = [subrange(report, k / len(written), (k + 1) / len(written)) for k in range(len(written))]
        files = {
            file.name: {"bytes": file.stat().st_size, "sha256": file_sha256(file, part, "finishing")}
            for file, part in zip(written, ranges, strict=True)
        }
        manifest = {
            "version": self.schema.version, "digest": self.digest, **dump(fields), **self._facts, "files": files,
        }  # fmt: skip
        checked(self.schema, manifest)
        write_log(self.whole, log)
        with atomic_write(self.whole / self.schema.file) as file:
            file.write((json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode())
        if removable(self.schema, self.path):
            shutil.rmtree(self.folder / "replaced", ignore_errors=True)
            self.path.rename(self.folder / "replaced")
        self.whole.rename(self.path)
        sync_folder(self.path.parent)
        self.finished = True

    def _shard(self, shard: int) -> Path:
        return self.folder / f"{shard:06d}"


@contextmanager
def writing(
    schema: Schema[Any], path: str | Path, identity: Mapping[str, Any], last: Mapping[str, Any] | None = None
) -> Iterator[Draft]:
    """A draft of the store at `path`, locked while open.

    `identity` is everything that determines the shards, `last` what else determines the joined results. Shards of an
    interrupted writing with the same identity are reused; those of another identity are deleted. If the same store is
    complete already, the draft is `finished` and there is nothing to do; a damaged one remains until the new one is
    complete. Raises the schema's error if something else is at `path`, no folder can be created there, another process
    is writing it, or the disk is full.
    """
    with translated(schema, Path(path)):
        path = _resolved(schema, path)
    draft = Draft(schema, path, identity, last or {})
    with translated(schema, path):
        draft.finished = _same(schema, path, draft.digest)
    if draft.finished and not draft.folder.exists():
        yield draft
        return
    with translated(schema, path), locked(schema, draft.folder, path):
        draft.finished = _same(schema, path, draft.digest)  # another process may have finished it meanwhile
        if not draft.finished:
            _begin(draft, identity)
        yield draft
        if draft.finished:
            clear(draft.folder)


def remove(schema: Schema[Any], path: str | Path) -> None:
    """Delete a store, also a damaged one, or the remains of an interrupted writing.

    Raises the schema's error if a process is writing it, and for a folder with other files, which is left unchanged.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - a link is deleted, not its target
    folder = path.parent / f".{path.name}.draft"
    with translated(schema, path):
        if path.exists() and not removable(schema, path):
            Store(schema, path)
            message = f"{path} contains files that do not belong to {schema.one}."
            raise schema.error(message, "Move them, or delete the folder manually.")
        with locked(schema, folder, path):
            if path.exists():
                shutil.rmtree(folder / "deleted", ignore_errors=True)
                path.rename(folder / "deleted")  # disappears at once, even if deleting fails later
            clear(folder)


def write_log(folder: Path, log: Mapping[str, Any]) -> None:
    """Write the log of a store's folder. Raises OSError."""
    with atomic_write(folder / LOG) as file:
        file.write((json.dumps(log, indent=1) + "\n").encode())


def _resolved(schema: Schema[Any], path: str | Path) -> Path:
    """The final folder of a store, links resolved; the schema's error if no folder can be renamed to it."""
    if "\0" in str(path):
        raise schema.error(f"{path} cannot be a path.", "Choose another name.")
    folder = Path(os.path.realpath(path))
    if folder.is_symlink():
        raise schema.error(f"{path} is a circular link.", "Choose another name.")
    if folder == Path.cwd() or folder.is_mount():
        problem = "the folder you are in" if folder == Path.cwd() else "a disk of its own"
        message = f"{path} is {problem}, and {schema.one} becomes a new folder."
        raise schema.error(message, "Name a folder in it.")
    return folder


def _same(schema: Schema[Any], path: Path, identity: str) -> bool:
    """Whether the store is at `path` already, undamaged; the schema's error if something else is there."""
    if not path.exists():
        return False
    if not path.is_dir():
        raise schema.error(f"{path} is a file, and {schema.one} becomes a folder.", "Choose another name.")
    if not any(path.iterdir()):
        return False
    try:
        manifest = Store(schema, path).manifest
    except StoreError as error:
        if isinstance(error, StoreDamaged) and removable(schema, path):
            return False
        message = f"{path} is a folder that contains something other than a finished {schema.noun}."
        raise schema.error(message, "Choose another name, or empty it.") from None
    if manifest.version < schema.version:
        origin = "made by an earlier version of Vitrine"
        message = f"{path} holds {schema.one} of format {manifest.version}, {origin}."
        way = "It can still be opened; to rebuild it, choose another name or delete it."
        raise schema.error(message, way)
    if manifest.digest != identity:
        message = f"{path} contains {schema.one} with other settings, images or weights."
        raise schema.error(message, "Choose another name, or delete it.")
    return True


def _begin(draft: Draft, identity: Mapping[str, Any]) -> None:
    """Delete shards that cannot be resumed, and store the identity in the draft."""
    note = draft.folder / "identity.json"
    text = json.dumps(identity, indent=1, sort_keys=True)
    if not note.is_file() or read_bytes(note, limit("manifest")).decode("utf-8", "replace") != text:
        for item in draft.folder.iterdir():
            if item.is_dir():
                shutil.rmtree(item)
        with atomic_write(note) as file:
            file.write(text.encode())
    shutil.rmtree(draft.whole, ignore_errors=True)
    draft.whole.mkdir()


def _columns(frame: pd.DataFrame) -> pa.Table:
    """A frame as parquet columns, without pandas' metadata."""
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
