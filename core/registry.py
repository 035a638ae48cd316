"""One mapping with good lookups, used for models, explainers and measures."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import TypeVar

from core.errors import UnknownName

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """Named entries in the order they were added; a failed lookup names the nearest entries."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def add(self, name: str, entry: T) -> T:
        """Register `entry` under a new name and return it; a name taken twice is a ValueError."""
        if name in self._entries:
            raise ValueError(f"{self.kind} '{name}' is registered twice")
        self._entries[name] = entry
        return entry

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise unknown(self.kind, name, self._entries)
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def unknown(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    """The error for a `kind` called `name` that is not among the `known` ones, with the nearest of them as hint."""
    names = list(known)
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        hint = f"Did you mean {' or '.join(repr(n) for n in near)}?"
    else:
        hint = f"Known: {', '.join(names[:12])}{', …' if len(names) > 12 else ''}." if names else ""
    return UnknownName(f"There is no {kind} called {name!r}.", hint)
