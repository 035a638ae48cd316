"""The schema of a study: its tables and arrays, and its part of the manifest."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import StudyDamaged, StudyError

# Of the folder that `core.study` describes; a newer one is refused. In format 1 a folder of images that is not absolute
# was meant from wherever the build was started.
FORMAT = 2
MANIFEST, LOG = "study.json", "build.json"
TABLES = (
    "images", "windows", "patches", "classes", "itemsets", "rules", "shared", "nodes", "edges", "filters", "averages",
)  # fmt: skip
ARRAYS = ("thumbnails", "maps", "crops", "items", "responses", "averages")
OPTIONAL = ("pooled", "matrix")  # arrays that only some studies have
_REBUILD = "Delete it and build it again."
_KINDS = frozenset({"uint8", "int32", "float16", "float32"})  # of arrays
_TABLE, _ARRAY, _FILE = {"rows": int, "columns": [str]}, {"shape": [int], "dtype": str}, {"bytes": int, "sha256": str}
_LAYOUT: Mapping[str, Any] = {
    "config": {"model": str, "data": str, "explainer": str},
    "seed": int,
    "model": {"name": str, "sha": str, "layer": str, "filters": int, "cells": [int], "size": int, "head": str},
    "data": {"folder": str, "images": int, "skipped": int, "labelled": int, "strange": [str]},
    "window": int,
    "passes": {"forwards": int, "backwards": int, "perturbed": int},
    "tables": dict.fromkeys(TABLES, _TABLE),
    "arrays": dict.fromkeys(ARRAYS, _ARRAY),
    "files": {f"{name}.parquet": _FILE for name in TABLES} | {f"{name}.npy": _FILE for name in ARRAYS},
}


def read_manifest(path: Path) -> Mapping[str, Any]:
    """The manifest of the study at `path`, once it is clear that everything in it is as it must be.

    Raises StudyError where there is none, or one of a newer version, and StudyDamaged where anything in it is wrong.
    """
    file = path / MANIFEST
    try:
        if path.is_file():
            raise StudyError(f"{path} is a file, and a study is a folder.", "Give the folder that holds study.json.")
        if not file.is_file() and remains(path):
            raise damage(path, f"{MANIFEST} is missing")
        if not file.is_file():
            way = "Give a folder that holds study.json, or build one there."
            raise StudyError(f"There is no study in {path}.", way)
        manifest = _read(file)
    except OSError as error:
        raise StudyError(f"{path} cannot be opened ({error.strerror}).", "Check the folder.") from None
    except (ValueError, RecursionError):
        raise damage(path, f"{MANIFEST} cannot be read") from None
    if not isinstance(manifest, dict) or _misfit(manifest, {"version": int, "digest": str, "files": dict}):
        raise StudyError(f"{file} is not the manifest of a study.", "Give the folder of a study.")
    version = manifest["version"]
    if version > FORMAT:
        message = f"The study {path.name} has format {version}, and this version of Vitrine reads up to {FORMAT}."
        raise StudyError(message, "Update Vitrine, or build the study again.")
    if wrong := _misfit(manifest, _LAYOUT) or _odd(manifest):
        raise damage(path, f"{wrong} in {MANIFEST} is missing or wrong")
    return manifest


def read_log(path: Path) -> Mapping[str, Any]:
    """The log of the build, empty where it is gone; StudyDamaged where it is none."""
    try:
        log = _read(path / LOG)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        raise damage(path, f"{LOG} cannot be read") from None
    if _misfit(log, {"seconds": dict, "finished": str}) or not all(
        isinstance(seconds, int | float) for seconds in log["seconds"].values()
    ):
        raise damage(path, f"{LOG} is not the log of a build")
    return dict(log)


def _read(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


def _misfit(value: Any, kind: Any, place: str = "") -> str:
    """The first part that is missing or of another kind, as a dotted name; "" where all fits. Numbers count things."""
    if isinstance(kind, Mapping) and isinstance(value, dict):
        return next(filter(None, (_misfit(value.get(key), one, f"{place}.{key}") for key, one in kind.items())), "")
    if isinstance(kind, list) and isinstance(value, list):
        return place if any(_misfit(one, kind[0], place) for one in value) else ""
    fits = type(value) is kind and not (kind is int and value < 0)  # true is no number here
    return "" if fits else place.lstrip(".") or "all"


def _odd(manifest: Mapping[str, Any]) -> str:
    """The first further table, array or file that is not as all are; "" where none is."""
    for group, kind, ending in (("tables", _TABLE, ".parquet"), ("arrays", _ARRAY, ".npy"), ("files", _FILE, "")):
        for name, facts in manifest[group].items():
            wrong = _misfit(facts, kind) or name + ending not in manifest["files"] or Path(name).name != name
            if wrong or (group == "arrays" and facts["dtype"] not in _KINDS):
                return f"{group}.{name}"
    return ""


def damage(path: Path, what: str) -> StudyDamaged:
    """The error about a study of which something is damaged."""
    return StudyDamaged(f"The study {path.name} is damaged: {what}.", _REBUILD)


def remains(path: Path) -> bool:
    """Whether a folder is a study, or what is left of a damaged one, and nothing else: it may be deleted.

    It holds a manifest or a log, and no file that a study has not.
    """
    known = {MANIFEST, LOG, *(f"{name}.parquet" for name in TABLES), *(f"{name}.npy" for name in (*ARRAYS, *OPTIONAL))}
    try:
        held = {entry.name for entry in path.iterdir()}
        if any(not (path / name).is_file() or (path / name).is_symlink() for name in held):
            return False
        known |= set(_read(path / MANIFEST).get("files", {})) if MANIFEST in held else set()
    except OSError:
        return False
    except (ValueError, AttributeError, TypeError, RecursionError):
        pass  # a manifest that cannot be read adds no names
    return bool(held & {MANIFEST, LOG}) and held <= known


HEADER = 128  # bytes of every array's head, enough for every shape a study has


def header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """The head of a `.npy` file, version 1.0, padded to a length known before the shape is."""
    text = repr({"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})
    body = text.ljust(HEADER - 11).encode("latin1") + b"\n"
    return np.lib.format.magic(1, 0) + (len(body)).to_bytes(2, "little") + body
