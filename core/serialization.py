"""Frozen dataclasses to JSON and back, and a hash of their content."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from reprlib import repr as short
from typing import Any, TypeVar, get_type_hints

from core.errors import BadParameter
from core.registry import unknown

T = TypeVar("T")

_PLAIN: Mapping[Any, str] = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def dump(config: object) -> Any:
    """The JSON form of a dataclass: nested dataclasses as objects, tuples as lists."""
    if is_dataclass(config) and not isinstance(config, type):
        return {field.name: dump(getattr(config, field.name)) for field in fields(config)}
    if isinstance(config, Mapping):
        return {str(key): dump(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [dump(value) for value in config]
    return config


def load(kind: type[T], data: object) -> T:
    """The dataclass `kind` from its JSON form.

    Raises UnknownName for a field it does not have, BadParameter for one that is missing or of the wrong kind.
    """
    if not isinstance(data, Mapping):
        raise BadParameter(f"{kind.__name__} cannot be read from {short(data)}.", "Give an object with its fields.")
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # kind is a dataclass by contract
    for key in data:
        if key not in known:
            raise unknown(f"field of {kind.__name__}", str(key), known)
    for name, field in known.items():
        if name not in data and field.default is MISSING and field.default_factory is MISSING:
            raise BadParameter(f"{kind.__name__} lacks '{name}'.", "Give all fields that have no default.")
    return kind(**{key: _read(hints[key], value, f"{kind.__name__}.{key}") for key, value in data.items()})


def _read(hint: Any, value: Any, label: str) -> Any:
    """A field's value converted to its type; checks plain types only, `params` checks ranges."""
    if is_dataclass(hint):
        return load(hint, value)  # type: ignore[arg-type]  # hints are types, never instances
    fitting = isinstance(value, (int, float) if hint is float else hint) if hint in _PLAIN else True
    if not fitting or (isinstance(value, bool) and hint in {int, float}):
        raise BadParameter(f"{label} cannot be {short(value)}.", f"Give {_PLAIN[hint]}.")
    return tuple(value) if isinstance(value, list) else value


def digest(config: object) -> str:
    """A sha256 that is equal exactly for equal configurations (their JSON with sorted keys)."""
    text = json.dumps(dump(config), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
