"""Manifests of stores: typed dataclasses from JSON, which may have been edited, and back."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import lru_cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")

LONGEST = 10_000  # characters of a text
_LAST = ("tables", "arrays", "files")  # after a schema's own fields


class Misfit(ValueError):
    """A part of a manifest that is missing or of another kind, by its dotted name."""


def stored_as(key: str, **default: Any) -> Any:
    """A dataclass field with another key in the JSON form."""
    return field(metadata={"key": key}, **default)


@dataclass(frozen=True)
class TableFacts:
    """The facts of a table in a manifest."""

    rows: int
    columns: tuple[str, ...]


@dataclass(frozen=True)
class ArrayFacts:
    """The facts of an array in a manifest."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class FileFacts:
    """The facts of a file in a manifest."""

    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The manifest fields common to all stores; a schema adds its own in a subclass."""

    version: int  # of the format
    digest: str  # hash of everything that determines the content
    tables: Mapping[str, TableFacts]
    arrays: Mapping[str, ArrayFacts]
    files: Mapping[str, FileFacts]


def dump(value: object) -> Any:
    """The JSON form of a manifest or a part of one; a schema's own fields come before tables, arrays and files."""
    if is_dataclass(value) and not isinstance(value, type):
        names = {one.name: one.metadata.get("key", one.name) for one in fields(value)}
        if isinstance(value, Manifest):
            names = {name: names[name] for name in names if name not in _LAST} | {name: name for name in _LAST}
        return {key: dump(getattr(value, name)) for name, key in names.items()}
    if isinstance(value, Mapping):
        return {key: dump(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [dump(one) for one in value]
    return value


def parse(kind: type[T], data: object, name: str = "") -> T:
    """The dataclass `kind` from its JSON form; unknown keys are ignored.

    Raises Misfit with the dotted name of the first part that is missing or wrong. Integers are counts, so negative
    ones are rejected.
    """
    if not isinstance(data, dict):
        raise Misfit(name or "all")
    hints, values = _hints(kind), {}  # type: ignore[arg-type]
    for one in fields(kind):  # type: ignore[arg-type]  # kind is a dataclass by contract
        key = one.metadata.get("key", one.name)
        if key in data:
            values[one.name] = _value(hints[one.name], data[key], f"{name}.{key}".lstrip("."))
        elif one.default is MISSING and one.default_factory is MISSING:
            raise Misfit(f"{name}.{key}".lstrip("."))
    return kind(**values)


@lru_cache(maxsize=64)
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _value(hint: Any, value: Any, name: str) -> Any:
    if hint is Any:
        return value
    if is_dataclass(hint):
        return parse(hint, value, name)  # type: ignore[arg-type]  # hints are types, never instances
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_value(get_args(hint)[0], one, name) for one in value)
    if get_origin(hint) is Mapping and isinstance(value, dict):
        if any(len(key) > LONGEST for key in value):
            raise Misfit(name)
        return {key: _value(get_args(hint)[1], one, f"{name}.{key}") for key, one in value.items()}
    if type(value) is not hint or (hint is int and value < 0) or (hint is str and len(value) > LONGEST):
        raise Misfit(name)  # true is not accepted as a number
    return value
