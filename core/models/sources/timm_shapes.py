"""Shapes of timm's architectures: the forms of their names and their numbers of values, to find one for a file.

An architecture is built on the device "meta" for that, which takes a tenth of a second. What was found out is stored in
the user's folder for this version of timm.
"""

import json
import re
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from core.environment import home, limit
from core.errors import VitrineError
from core.files import atomic_write, read_json
from core.models.matching import COUNTER
from core.models.source import package
from core.models.sources import timm

SECONDS = 30.0  # for all that is built in one call
_WORTH_STORING = 1.0  # seconds

Shape = tuple[int, tuple[str, ...]]  # number of values, and forms of names


def form(name: str) -> str:
    """A name with all numbers alike: "blocks.11.norm1.weight" is "blocks.#.norm#.weight"."""
    return re.sub(r"\d+", "#", name)


def counts(places: Sequence[Collection[str]]) -> Generator[tuple[float, Callable[[], dict[str, int]]]]:
    """How much a file is like each family, the most similar first, and its architectures' numbers of values by name.

    `places` are the forms of the names below each node of the file. The likeness is that of one architecture of the
    family: the share of its forms in the file; the others are built only when the numbers are asked for. When the time
    is up, what is not known yet is left to the next call. Raises Unavailable without timm.
    """
    path = home() / "timm" / f"{package('timm', 'timm').__version__}.json"
    known, started = _read(path), time.monotonic()
    before = len(known)

    def shape(name: str) -> Shape:
        if name not in known:
            if time.monotonic() - started > SECONDS:
                return 0, ()
            known[name] = _shape(name)
        return known[name]

    def likeness(forms: set[str]) -> float:
        return max((len(forms.intersection(place)) / len(forms) for place in places), default=0.0) if forms else 0.0

    def counted(names: Sequence[str]) -> dict[str, int]:
        return {name: count for name in names if (count := shape(name)[0])}

    try:
        alike = {names: likeness(set(shape(names[0])[1])) for names in timm.families()}
        for names in sorted(alike, key=lambda one: -alike[one]):
            yield alike[names], partial(counted, names)
    finally:
        if len(known) > before and time.monotonic() - started > _WORTH_STORING:
            _write(path, known)


def _shape(name: str) -> Shape:
    """The shape of an architecture; empty for one that timm cannot build alone."""
    try:
        state = timm.empty(name).state_dict()
    except Exception:  # noqa: BLE001 - one that needs another package, or more than its name
        return 0, ()
    values = {key: value for key, value in state.items() if not key.endswith(COUNTER)}
    return sum(value.numel() for value in values.values()), tuple(sorted(set(map(form, values))))


def _read(path: Path) -> dict[str, Shape]:
    """The shapes in a file; none if it is missing or damaged."""
    try:
        stored: Any = read_json(path, limit("text"))
        return {str(name): (int(count), tuple(map(str, forms))) for name, (count, forms) in stored.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write(path: Path, shapes: Mapping[str, Shape]) -> None:
    """Store shapes; a folder that cannot be written stores none."""
    with suppress(OSError, VitrineError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(json.dumps(shapes).encode())
