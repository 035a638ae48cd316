"""JSON: of others, read safely; frozen dataclasses as JSON and back, and a hash of their content."""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from reprlib import repr as short
from typing import Any, TypeVar, get_origin, get_type_hints

from core.errors import BadParameter
from core.registry import unknown

T = TypeVar("T")

_PLAIN: Mapping[Any, str] = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}

_DEEPEST = 50  # levels of nesting: more than any file of ours has, and far from Python's limit
_LARGEST = 2**63  # numbers beyond it fit no table
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse_json(content: bytes) -> Any:
    """The value in the bytes of a JSON file of others; ValueError with the reason if they hold none.

    Stricter than `json.loads`, so that code that gets the value cannot fail on it: no value that JSON lacks (NaN), no
    key that occurs twice, no number that overflows, no half of a character, and limited nesting.
    """
    try:
        text = content.decode("utf-8-sig")
        value = json.loads(
            text, parse_int=_integer, parse_float=_number, parse_constant=_number, object_pairs_hook=_object
        )
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno} is not JSON") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    level = [value]
    for _ in range(_DEEPEST):
        level = [one for part in level for one in _parts(part)]
    if level:
        raise ValueError("it is nested too deeply")
    if _SURROGATE.search(content):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("a text in it has half of a character") from None
    return value


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        ((key, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {short(key)} occurs twice")
    return result


def _integer(digits: str) -> int:
    if len(digits) > 20 or abs(int(digits)) >= _LARGEST:
        raise ValueError(f"the number {short(digits)} is too large")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"the number {short(digits)} is not finite")
    return number


def dump(config: object) -> Any:
    """The JSON form of a dataclass: nested dataclasses as objects, tuples as lists."""
    if is_dataclass(config) and not isinstance(config, type):
        return {field.name: dump(getattr(config, field.name)) for field in fields(config)}
    if isinstance(config, Mapping):
        return {str(key): dump(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [dump(value) for value in config]
    return config


def flattened(config: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """Nested settings as texts under dotted names."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= flattened(value, f"{above}{key}.")
        else:
            flat[f"{above}{key}"] = str(value)
    return flat


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
    for kind, accepted, wanted in ((Mapping, Mapping, "an object"), (tuple, (list, tuple), "a list")):
        if get_origin(hint) is kind and not isinstance(value, accepted):
            raise BadParameter(f"{label} cannot be {short(value)}.", f"Give {wanted}.")
    if not fitting or (isinstance(value, bool) and hint in {int, float}):
        raise BadParameter(f"{label} cannot be {short(value)}.", f"Give {_PLAIN[hint]}.")
    return tuple(value) if isinstance(value, list) else value


def digest(config: object) -> str:
    """A sha256 that is equal exactly for equal configurations (their JSON with sorted keys)."""
    text = json.dumps(dump(config), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    content = text.encode("utf-8", "surrogatepass")  # names of files need not be UTF-8
    return hashlib.sha256(content).hexdigest()
