"""Finished stores, opened read-only: validated manifest, log and content, tables by hash, memory-mapped arrays."""

import hashlib
import os
import stat
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from core.environment import limit
from core.errors import BadParameter, StoreDamaged, UnknownName, brief
from core.files import file_sha256, read_bytes, read_json, regular_file
from core.registry import unknown
from core.store.content import array_bytes, check_array, check_values, read_table
from core.store.manifest import Misfit, parse
from core.store.npy import HEADER, header
from core.store.schema import LOG, M, Schema

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


_MOST_FILES = 1000  # in the folder of a store


class Store(Generic[M]):
    """A finished store, opened read-only.

    Raises the schema's errors if the folder is missing, damaged, of another kind or of a newer version. All tables are
    read once, so that a store that opens can be used: files may be lost or changed later, but nothing in them is wrong.
    """

    def __init__(self, schema: Schema[M], path: str | Path) -> None:
        self.schema = schema
        self.path = Path(path)
        self.manifest = read_manifest(schema, self.path)
        self.log = read_log(schema, self.path)  # seconds per stage and time of completion; empty if missing
        self._checked: set[str] = set()  # arrays whose values have been checked
        for name, facts in self.manifest.files.items():
            if _size(self.path / name) != facts.bytes:
                raise damage(schema, self.path, f"{name} is missing or incomplete")
        for name in self.manifest.arrays:
            self._check_header(name)
        tables = {name: self.table(name) for name in schema.tables}
        try:
            schema.check(self, tables)
        except Misfit as wrong:
            raise damage(schema, self.path, str(wrong)) from None

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.path.name

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """The numbers of what its tables and arrays refer to."""
        return self.schema.counts(self.manifest)

    def table(self, name: str) -> "pd.DataFrame":
        """One table, read anew so that a caller may change it.

        Raises UnknownName if there is none of that name, StoreDamaged if it is not the one that was written or does
        not fit the schema.
        """
        if name not in self.manifest.tables:
            raise unknown(f"table of this {self.schema.noun}", name, self.manifest.tables)
        import pyarrow as pa

        file, facts, most = f"{name}.parquet", self.manifest.tables[name], limit("table")
        try:
            content = read_bytes(self.path / file, min(most, self.manifest.files[file].bytes))
            if hashlib.sha256(content).hexdigest() != self.manifest.files[file].sha256:
                raise damage(self.schema, self.path, f"{file} is not the file that was written")
            return read_table(content, facts, self.schema.tables.get(name, {}), self.counts, most)
        except Misfit as wrong:
            raise damage(self.schema, self.path, f"{file} {wrong}") from None
        except (OSError, ValueError, KeyError, OverflowError, MemoryError, pa.ArrowException) as error:
            raise damage(self.schema, self.path, f"{file} cannot be read") from error

    def array(self, name: str) -> "NDArray[Any]":
        """One array, memory-mapped and read-only.

        Raises UnknownName if there is none of that name, StoreDamaged if it differs from the manifest or if its values
        do not fit the schema, which is checked the first time.
        """
        if name not in self.manifest.arrays:
            raise unknown(f"array of this {self.schema.noun}", name, self.manifest.arrays)
        self._check_header(name)
        import numpy as np

        file, facts, values = f"{name}.npy", self.manifest.arrays[name], self.schema.every_array.get(name)
        try:
            array = np.memmap(self.path / file, np.dtype(facts.dtype), "r", HEADER, facts.shape)
            if values and name not in self._checked:
                check_values(array, values, self.counts)
                self._checked.add(name)
            return array
        except Misfit as wrong:
            raise damage(self.schema, self.path, f"{file} {wrong}") from None
        except (OSError, ValueError, OverflowError) as error:
            raise damage(self.schema, self.path, f"{file} cannot be read") from error

    def _check_header(self, name: str) -> None:
        import numpy as np

        file, facts = f"{name}.npy", self.manifest.arrays[name]
        try:
            with regular_file(self.path / file, self.manifest.files[file].bytes) as opened:
                intact = opened.read(HEADER) == header(facts.shape, np.dtype(facts.dtype))
        except OSError as error:
            raise damage(self.schema, self.path, f"{file} cannot be read") from error
        if not intact:
            raise damage(self.schema, self.path, f"{file} is not the file that was written")

    def damaged(self) -> list[str]:
        """The files whose content is not the one that was written; slow, as it reads everything."""
        return [name for name, facts in self.manifest.files.items() if _sha256(self.path / name) != facts.sha256]


def read_manifest(schema: Schema[M], path: Path) -> M:
    """The manifest of the store at `path`.

    Raises the schema's error if there is none, or one of a newer version, and StoreDamaged if anything is wrong.
    """
    file, a, noun = path / schema.file, schema.one, schema.noun
    try:
        if path.exists() and not path.is_dir():
            raise schema.error(f"{path} is a file, and {a} is a folder.", f"Give the folder that holds {schema.file}.")
        if not os.path.lexists(file) and removable(schema, path):
            raise damage(schema, path, f"{schema.file} is missing")
        if not os.path.lexists(file):
            way = f"Give a folder that holds {schema.file}, or build one there."
            raise schema.error(f"There is no {noun} in {path}.", way)
    except OSError as error:
        raise schema.error(f"{path} cannot be opened ({error.strerror}).", "Check the folder.") from None
    except ValueError:
        raise schema.error(f"{brief(str(path), 60)} cannot be a path.", f"Give the folder of {a}.") from None
    try:
        content = read_json(file, limit("manifest"))
    except OSError as error:
        raise damage(schema, path, f"{schema.file} cannot be read, {error.strerror}") from None
    except ValueError as error:
        raise damage(schema, path, f"{schema.file} cannot be read, {error}") from None
    version = content.get("version") if isinstance(content, dict) else None
    if (
        type(version) is not int
        or version < 1
        or not (type(content.get("digest")) is str and isinstance(content.get("files"), dict))
    ):
        raise schema.error(f"{file} is not the manifest of {a}.", f"Give the folder of {a}.")
    if version > schema.version:
        message = (
            f"The {noun} {path.name} has format {version}, and this version of Vitrine reads up to {schema.version}."
        )
        raise schema.error(message, f"Update Vitrine, or build the {noun} again.")
    try:
        return checked(schema, content)
    except Misfit as wrong:
        raise damage(schema, path, f"{wrong} in {schema.file} is missing or wrong") from None
    except (BadParameter, UnknownName) as error:
        raise damage(schema, path, f"its settings do not belong to this version ({error.message})") from None


def checked(schema: Schema[M], content: object) -> M:
    """The manifest in a JSON object, validated against the schema; Misfit names the first part that does not fit."""
    manifest = parse(schema.manifest, content)
    for group, needed, ending in (
        ("tables", schema.tables, ".parquet"),
        ("arrays", schema.arrays, ".npy"),
        ("files", (), ""),
    ):
        facts = getattr(manifest, group)
        for name in (*needed, *facts):
            if name not in facts or f"{name}{ending}" not in manifest.files or Path(name).name != name or "\0" in name:
                raise Misfit(f"{group}.{name}")
    for name, columns in schema.tables.items():
        if columns and manifest.tables[name].columns != tuple(columns):
            raise Misfit(f"tables.{name}.columns")
    counts, lengths, dtypes = schema.counts(manifest), dict[str, int](), {v.dtype for v in schema.every_array.values()}
    for name, array in manifest.arrays.items():
        if array.dtype not in dtypes or manifest.files[f"{name}.npy"].bytes != HEADER + array_bytes(array):
            raise Misfit(f"arrays.{name}")
        if name in schema.every_array:
            check_array(name, array, schema.every_array[name], counts, lengths)
    return manifest


def read_log(schema: Schema[M], path: Path) -> Mapping[str, Any]:
    """The log of the build, empty if missing; StoreDamaged if it is not a log."""
    try:
        log = read_json(path / LOG, limit("manifest"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise damage(schema, path, f"{LOG} cannot be read, {error.strerror}") from None
    except ValueError as error:
        raise damage(schema, path, f"{LOG} cannot be read, {error}") from None
    seconds = log.get("seconds") if isinstance(log, dict) else None
    timed = isinstance(seconds, dict) and all(type(one) in (int, float) for one in seconds.values())
    if not timed or type(log.get("finished")) is not str or len(log["finished"]) > 100:
        raise damage(schema, path, f"{LOG} is not the log of a build")
    return dict(log)


def damage(schema: Schema[M], path: Path, problem: str) -> StoreDamaged:
    """The error about a damaged store."""
    name, problem = brief(path.name, 60), brief(problem, 160)
    return schema.damaged(f"The {schema.noun} {name} is damaged: {problem}.", "Delete it and build it again.")


def removable(schema: Schema[M], path: Path) -> bool:
    """Whether a folder is a store, or the remains of a damaged one, and nothing else, so that it may be deleted.

    It contains a manifest or a log, and no file that does not belong to such a store.
    """
    expected = set(schema.files)
    try:
        with os.scandir(path) as entries:
            names = set()
            for entry in entries:
                names.add(entry.name)
                if not entry.is_file(follow_symlinks=False) or len(names) > _MOST_FILES:
                    return False
        content = read_json(path / schema.file, limit("manifest")) if schema.file in names else {}
        expected |= set(content.get("files", {}))
    except OSError:
        return False
    except (ValueError, AttributeError, TypeError):
        pass  # a manifest that cannot be read adds no names
    return bool(names & {schema.file, LOG}) and names <= expected


def _size(file: Path) -> int:
    """The size of a regular file in bytes; -1 if there is none."""
    try:
        facts = file.stat()
    except (OSError, ValueError):
        return -1
    return facts.st_size if stat.S_ISREG(facts.st_mode) else -1


def _sha256(file: Path) -> str:
    """The sha256 of a file's bytes; "" if it cannot be read."""
    try:
        return file_sha256(file)
    except OSError:
        return ""
