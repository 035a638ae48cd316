"""Settings, declared once in a signature and read by forms, command line, validation and cards."""

import inspect
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short
from typing import Annotated, Any, Literal, Protocol, get_args, get_origin, get_type_hints

from core.errors import BadParameter
from core.registry import unknown

ParamKind = Literal["int", "float", "numbers", "sides", "bool", "choice", "text", "path", "layer", "unit"]


@dataclass(frozen=True)
class _Names:
    """Marks a text that names something."""

    kind: ParamKind


# Types of settings besides int, float, bool, Literal and str; like those, they are annotated with a `Knob`.
Numbers = tuple[float, ...]  # at least one, unless the default is none; written with commas between them
Sides = int | tuple[int, int]  # of a square, or HEIGHT,WIDTH
FilePath = Annotated[str, _Names("path")]  # ~ stands for the user's folder
LayerName = Annotated[str, _Names("layer")]  # "" is the model's default layer
UnitName = Annotated[str, _Names("unit")]  # LAYER:NUMBER; "" is none


class HasLayers(Protocol):
    """A model, as far as settings that name its layers and units need it."""

    def resolve_layer(self, layer: str = "") -> str:
        """The layer of this name. Raises VitrineError for one that cannot be read as maps."""

    def resolve_unit(self, unit: str) -> tuple[str, int]:
        """The layer and index in LAYER:NUMBER. Raises VitrineError if there is no such unit."""


@dataclass(frozen=True)
class Knob:
    """The facts of a setting besides its type: help text, range (of each number), step, and names."""

    help: str
    low: float | None = None
    high: float | None = None
    step: float | None = None
    title: str = ""  # of the setting; "" is its name in the signature
    names: tuple[str, ...] = ()  # of its choices, in their order; none are the choices themselves


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

    An annotated argument without a default, or of an unsupported type, is a TypeError at registration.
    """
    hints = get_type_hints(source, include_extras=True)
    params = []
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
        kind, choices = _kind(base, extras, name)
        params.append(Param(name, kind, argument.default, knob, choices))
    return tuple(params)


def checked(
    params: Sequence[Param],
    given: Mapping[str, object],
    owner: str,
    called: Callable[[str], str] | None = None,
    model: HasLayers | None = None,
) -> dict[str, Any]:
    """All settings of `owner`: the given ones validated, the others at their defaults, in declared order.

    `called` gives the name of a setting in messages; `owner.name` by default. Layers and units are looked up in
    `model`, if given. Raises UnknownName for a setting that does not exist, BadParameter for a value of the wrong kind
    or out of range, and what `model` raises.
    """
    called = called or (lambda name: f"{owner}.{name}")
    known = {param.name: param for param in params}
    for name in given:
        if name not in known:
            raise unknown(f"setting of {owner}", name, known)
    return {p.name: _valid(p, given[p.name], called(p.name), model) if p.name in given else p.default for p in params}


def spelled(value: object) -> str:
    """A setting's value as text for command line, address and form; `checked` reads it back."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def one_or_two(height: int, width: int) -> Sides:
    """Height and width as one number if they are equal."""
    return height if height == width else (height, width)


def whole(text: str) -> int | None:
    """The non-negative integer in a text of plain digits; None for any other text, and for too many digits."""
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None


def finite(value: object) -> float | None:
    """A number, or the number in a text; None for anything else, for nan and for infinities."""
    try:
        number = float(value)  # type: ignore[arg-type]  # other types raise, see below
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def expanded(path: str | Path) -> Path:
    """The path with ~ replaced by the user's folder; unchanged if ~ names an unknown user.

    Raises BadParameter for one with a zero byte, on which functions of the system fail in many ways.
    """
    if "\0" in str(path):
        raise BadParameter(f"{short(str(path))} contains a zero byte, which no path can.", "Check how it was written.")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def absolute(path: str | Path) -> Path:
    """The expanded path from the root of the file system; links in it stay as they are."""
    return Path(os.path.abspath(expanded(path)))  # noqa: PTH100 - `resolve` would follow links


def _kind(base: object, extras: Sequence[object], name: str) -> tuple[ParamKind, tuple[str, ...]]:
    """The kind of form field for a type and its annotations, and the choices of a Literal."""
    simple: dict[object, ParamKind] = {
        bool: "bool",
        int: "int",
        float: "float",
        Numbers: "numbers",
        Sides: "sides",
        str: "text",
    }
    if base in simple:
        names = next((extra for extra in extras if isinstance(extra, _Names)), None)
        return names.kind if names else simple[base], ()
    if get_origin(base) is Literal:
        return "choice", tuple(str(choice) for choice in get_args(base))
    raise TypeError(f"setting '{name}' has a type that no form can show: {base!r}")


def _valid(param: Param, value: object, label: str, model: HasLayers | None) -> Any:
    """`value` as the type of `param`; texts (from a command line or an address) are read as that type."""
    valid = _READERS[param.kind](param, label, value)
    if model and valid and param.kind == "layer":
        model.resolve_layer(valid)
    if model and valid and param.kind == "unit":
        model.resolve_unit(valid)
    return valid


def _as_choice(param: Param, label: str, value: object) -> str:
    if str(value) not in param.choices:
        raise BadParameter(f"{label} cannot be {short(value)}.", f"Choose one of {', '.join(param.choices)}.")
    return str(value)


def _as_bool(_param: Param, label: str, value: object) -> bool:
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
    if _outside(param.knob, number):
        raise BadParameter(f"{label} cannot be {short(value)}.", f"It {_range(param.knob)}.")
    if param.kind == "float":
        return number
    # Beyond 2 ** 53 a float would round what int() reads exactly.
    return int(value) if isinstance(value, int) or str(value).strip().lstrip("+-").isdecimal() else int(number)  # type: ignore[call-overload]


def _as_numbers(param: Param, label: str, value: object) -> Numbers:
    if not param.default and value in ("", (), []):  # a list that may be left out
        return ()
    words = value if isinstance(value, list | tuple) else str(value).split(",")
    candidates = [None if isinstance(word, bool) else finite(word) for word in words]
    numbers = tuple(number for number in candidates if number is not None)
    if not numbers or len(numbers) < len(candidates):
        hint = "Give one number or several, separated by commas."
        raise BadParameter(f"{label} cannot be {short(value)}.", hint)
    if any(_outside(param.knob, number) for number in numbers):
        raise BadParameter(f"{label} cannot be {short(value)}.", f"Each number {_range(param.knob)}.")
    return numbers


def _as_sides(param: Param, label: str, value: object) -> Sides:
    words = value if isinstance(value, list | tuple) else str(value).split(",")
    numbers = [None if isinstance(word, bool) else finite(word) for word in words]
    sides = [int(number) for number in numbers if number is not None and number == int(number)]
    if len(sides) < len(numbers) or len(sides) not in {1, 2}:
        hint = "Give a whole number, or two as HEIGHT,WIDTH."
        raise BadParameter(f"{label} cannot be {short(value)}.", hint)
    if any(_outside(param.knob, side) for side in sides) or (len(sides) > 1 and 0 in sides):
        each = "It" if len(sides) == 1 else "Each side"
        raise BadParameter(f"{label} cannot be {short(value)}.", f"{each} {_range(param.knob)}.")
    return one_or_two(sides[0], sides[-1])


def _as_path(_param: Param, label: str, value: object) -> str:
    if not isinstance(value, str | Path) or "\0" in str(value):
        raise BadParameter(f"{label} cannot be {short(value)}.", "Give the path of a file or folder.")
    return str(expanded(value)) if value else ""  # the path of an empty text would be the current folder


def _as_layer(_param: Param, label: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadParameter(f"{label} cannot be {short(value)}.", "Give the name of a layer.")
    return value


def _as_unit(_param: Param, label: str, value: object) -> str:
    layer, colon, number = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if value != "" and not (layer and colon and whole(number) is not None):
        raise BadParameter(f"{label} cannot be {short(value)}.", "Give LAYER:NUMBER, such as layer4:17.")
    return str(value)


def _outside(knob: Knob, number: float) -> bool:
    return (knob.low is not None and number < knob.low) or (knob.high is not None and number > knob.high)


def _range(knob: Knob) -> str:
    low, high = knob.low, knob.high
    if low is None or high is None:
        return f"must be at least {low:,}" if low is not None else f"must be at most {high:,}"
    return f"must lie between {low:,} and {high:,}"


_READERS: Mapping[ParamKind, Callable[[Param, str, object], Any]] = {
    "int": _as_number,
    "float": _as_number,
    "numbers": _as_numbers,
    "sides": _as_sides,
    "bool": _as_bool,
    "choice": _as_choice,
    "text": lambda param, label, value: str(value),
    "path": _as_path,
    "layer": _as_layer,
    "unit": _as_unit,
}
