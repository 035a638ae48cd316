"""Finished stores, opened read-only: validated manifest and log, tables checked by hash, memory-mapped arrays."""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from core.errors import StoreDamaged
from core.files import file_sha256
from core.registry import unknown
from core.store.manifest import Misfit, parse
from core.store.npy import HEADER, header
from core.store.schema import LOG, M, Schema

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


class Store(Generic[M]):
    """A finished store, opened read-only.

    Raises the schema's errors if the folder is missing, damaged, of another kind or of a newer version.
    """

    def __init__(self, schema: Schema[M], path: str | Path) -> None:
        self.schema = schema
        self.path = Path(path)
        self.manifest = read_manifest(schema, self.path)
        self.log = read_log(schema, self.path)  # seconds per stage and time of completion; empty if missing
        for name, facts in self.manifest.files.items():
            if _size(self.path / name) != facts.bytes:
                raise damage(schema, self.path, f"{name} is missing or incomplete")

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.path.name

    def table(self, name: str) -> "pd.DataFrame":
        """One table, read anew so that a caller may change it.

        Raises UnknownName if there is none of that name, StoreDamaged if it is not the one that was written.
        """
        if name not in self.manifest.tables:
            raise unknown(f"table of this {self.schema.noun}", name, self.manifest.tables)
        import pandas as pd
        import pyarrow as pa

        file, facts = f"{name}.parquet", self.manifest.tables[name]
        try:
            content = (self.path / file).read_bytes()
            if hashlib.sha256(content).hexdigest() == self.manifest.files[file].sha256:
                frame = pd.read_parquet(io.BytesIO(content))
                if tuple(frame.columns) == facts.columns and len(frame) == facts.rows:
                    return frame
        except (OSError, ValueError, pa.ArrowException) as error:
            raise damage(self.schema, self.path, f"{file} cannot be read") from error
        raise damage(self.schema, self.path, f"{file} is not the file that was written")

    def array(self, name: str) -> "NDArray[Any]":
        """One array, memory-mapped and read-only.

        Raises UnknownName if there is none of that name, StoreDamaged if it differs from the manifest; its values are
        not checked.
        """
        if name not in self.manifest.arrays:
            raise unknown(f"array of this {self.schema.noun}", name, self.manifest.arrays)
        file, facts = f"{name}.npy", self.manifest.arrays[name]
        import numpy as np

        dtype = np.dtype(facts.dtype)
        try:
            with (self.path / file).open("rb") as opened:
                intact = opened.read(HEADER) == header(facts.shape, dtype)
            if intact:
                return np.memmap(self.path / file, dtype, "r", HEADER, facts.shape)
        except (OSError, ValueError) as error:
            raise damage(self.schema, self.path, f"{file} cannot be read") from error
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
        if path.is_file():
            raise schema.error(f"{path} is a file, and {a} is a folder.", f"Give the folder that holds {schema.file}.")
        if not file.is_file() and removable(schema, path):
            raise damage(schema, path, f"{schema.file} is missing")
        if not file.is_file():
            way = f"Give a folder that holds {schema.file}, or build one there."
            raise schema.error(f"There is no {noun} in {path}.", way)
        content = _read(file)
    except OSError as error:
        raise schema.error(f"{path} cannot be opened ({error.strerror}).", "Check the folder.") from None
    except (ValueError, RecursionError):
        raise damage(schema, path, f"{schema.file} cannot be read") from None
    version = content.get("version") if isinstance(content, dict) else None
    if type(version) is not int or not (type(content.get("digest")) is str and isinstance(content.get("files"), dict)):
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
            if name not in facts or f"{name}{ending}" not in manifest.files or Path(name).name != name:
                raise Misfit(f"{group}.{name}")
    for name, array in manifest.arrays.items():
        if array.dtype not in schema.dtypes.values():
            raise Misfit(f"arrays.{name}")
    return manifest


def read_log(schema: Schema[M], path: Path) -> Mapping[str, Any]:
    """The log of the build, empty if missing; StoreDamaged if it is not a log."""
    try:
        log = _read(path / LOG)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        raise damage(schema, path, f"{LOG} cannot be read") from None
    seconds = log.get("seconds") if isinstance(log, dict) else None
    timed = isinstance(seconds, dict) and all(isinstance(one, int | float) for one in seconds.values())
    if not timed or type(log.get("finished")) is not str:
        raise damage(schema, path, f"{LOG} is not the log of a build")
    return dict(log)


def damage(schema: Schema[M], path: Path, problem: str) -> StoreDamaged:
    """The error about a damaged store."""
    return schema.damaged(f"The {schema.noun} {path.name} is damaged: {problem}.", "Delete it and build it again.")


def removable(schema: Schema[M], path: Path) -> bool:
    """Whether a folder is a store, or the remains of a damaged one, and nothing else, so that it may be deleted.

    It contains a manifest or a log, and no file that does not belong to such a store.
    """
    expected = set(schema.files)
    try:
        names = {entry.name for entry in path.iterdir()}
        if any(not (path / name).is_file() or (path / name).is_symlink() for name in names):
            return False
        expected |= set(_read(path / schema.file).get("files", {})) if schema.file in names else set()
    except OSError:
        return False
    except (ValueError, AttributeError, TypeError, RecursionError):
        pass  # a manifest that cannot be read adds no names
    return bool(names & {schema.file, LOG}) and names <= expected


def _read(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


def _size(file: Path) -> int:
    """The size of a file in bytes; -1 if there is none."""
    try:
        return file.stat().st_size if file.is_file() else -1
    except OSError:
        return -1


def _sha256(file: Path) -> str:
    """The sha256 of a file's bytes; "" if it cannot be read."""
    try:
        return file_sha256(file)
    except OSError:
        return ""
