"""Frozen dataclasses to JSON and back, and a hash of their content."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

from core.errors import BadParameter
from core.registry import unknown

T = TypeVar("T")


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
    """The dataclass `kind` from its JSON form; unknown keys are refused with the nearest known ones."""
    if not isinstance(data, Mapping):
        raise BadParameter(f"{kind.__name__} cannot be read from {data!r}.", "Give an object with its fields.")
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # kind is a dataclass by contract
    given: dict[str, Any] = {}
    for key, value in data.items():
        if key not in known:
            raise unknown(f"field of {kind.__name__}", str(key), known)
        hint = hints[key]
        if is_dataclass(hint):
            given[key] = load(hint, value)  # type: ignore[arg-type]
        else:
            given[key] = tuple(value) if isinstance(value, list) else value
    return kind(**given)


def digest(config: object) -> str:
    """A sha256 that is equal exactly for equal configurations (their JSON with sorted keys)."""
    text = json.dumps(dump(config), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
