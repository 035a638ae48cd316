"""Settings, declared once in a signature: forms, the command line, validation and cards read them here."""

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from core.errors import BadParameter
from core.registry import unknown

ParamKind = Literal["int", "float", "bool", "choice", "text"]


@dataclass(frozen=True)
class Knob:
    """What a form must know about a setting beside its type: help text, range and step."""

    help: str
    low: float | None = None
    high: float | None = None
    step: float | None = None


@dataclass(frozen=True)
class Param:
    """One setting of a function or of a configuration dataclass."""

    name: str
    kind: ParamKind
    default: Any
    knob: Knob
    choices: tuple[str, ...] = ()


def params_of(source: Callable[..., object]) -> tuple[Param, ...]:
    """The settings of a function (or of a dataclass: its constructor): every argument annotated with a `Knob`.

    An annotated argument without a default, or of a type no form can show, is a TypeError at registration.
    """
    hints = get_type_hints(source, include_extras=True)
    found = []
    for name, argument in inspect.signature(source).parameters.items():
        hint = hints.get(name)
        if get_origin(hint) is not Annotated:
            continue
        base, *extras = get_args(hint)
        knob = next((extra for extra in extras if isinstance(extra, Knob)), None)
        if knob is None:
            continue
        if argument.default is inspect.Parameter.empty:
            raise TypeError(f"setting '{name}' of {source!r} needs a default")
        kind, choices = _kind(base, name)
        found.append(Param(name, kind, argument.default, knob, choices))
    return tuple(found)


def checked(
    params: Sequence[Param], given: Mapping[str, object], owner: str, called: Callable[[str], str] | None = None
) -> dict[str, Any]:
    """All settings of `owner`: the given ones validated, the others at their defaults, in declared order.

    `called` tells what messages call a setting; `owner.name` if left out. Raises UnknownName for a setting that does
    not exist and BadParameter for a value of the wrong kind or out of range.
    """
    called = called or (lambda name: f"{owner}.{name}")
    known = {param.name: param for param in params}
    for name in given:
        if name not in known:
            raise unknown(f"setting of {owner}", name, known)
    return {p.name: _valid(p, given[p.name], called(p.name)) if p.name in given else p.default for p in params}


def whole(text: str) -> int | None:
    """The number that plain digits spell; None for any other text, and for more digits than anything here counts."""
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None


def finite(value: object) -> float | None:
    """A number, or the one that a text spells; None for anything else, for nan and for infinities."""
    try:
        number = float(value)  # type: ignore[arg-type]  # anything else lands in the except
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def expanded(path: str | Path) -> Path:
    """The path with the user's folder in place of ~; one whose ~ names nobody stays as it is."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _kind(base: object, name: str) -> tuple[ParamKind, tuple[str, ...]]:
    """The kind of form field for a type, and the choices of a Literal."""
    simple: dict[object, ParamKind] = {bool: "bool", int: "int", float: "float", str: "text"}
    if base in simple:
        return simple[base], ()
    if get_origin(base) is Literal:
        return "choice", tuple(str(choice) for choice in get_args(base))
    raise TypeError(f"setting '{name}' has a type that no form can show: {base!r}")


def _valid(param: Param, value: object, label: str) -> Any:
    """`value` as the type of `param`; texts (from a command line or an address) are read as that type."""
    if param.kind == "text":
        return str(value)
    if param.kind == "choice":
        if str(value) not in param.choices:
            hint = f"Choose one of {', '.join(param.choices)}."
            raise BadParameter(f"{label} cannot be {short(value)}.", hint)
        return str(value)
    if param.kind == "bool":
        return _as_bool(label, value)
    return _as_number(param, label, value)


def _as_bool(label: str, value: object) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if isinstance(value, bool):
        return value
    if str(value).lower() not in words:
        raise BadParameter(f"{label} cannot be {short(value)}.", "Use true or false.")
    return words[str(value).lower()]


def _as_number(param: Param, label: str, value: object) -> int | float:
    word = "a whole number" if param.kind == "int" else "a number"
    number = None if isinstance(value, bool) else finite(value)
    if number is None or (param.kind == "int" and number != int(number)):
        raise BadParameter(f"{label} cannot be {short(value)}.", f"Give {word}.")
    low, high = param.knob.low, param.knob.high
    if (low is not None and number < low) or (high is not None and number > high):
        raise BadParameter(f"{label} cannot be {short(value)}.", f"It {_range(low, high)}.")
    if param.kind == "float":
        return number
    # Beyond 2 ** 53 a float would round what int() reads exactly.
    return int(value) if isinstance(value, int) or str(value).strip().lstrip("+-").isdecimal() else int(number)  # type: ignore[call-overload]


def _range(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"must be at least {low:,}" if low is not None else f"must be at most {high:,}"
    return f"must lie between {low:,} and {high:,}"
