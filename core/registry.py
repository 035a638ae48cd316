"""Registries: mappings whose failed lookups suggest close names, for models, explainers and measures."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import TypeVar

from core.errors import UnknownName

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """Named entries in the order they were added; a failed lookup names the nearest entries.

    `more` returns entries that are costly to list; it is called once, when the added ones are not enough.
    """

    def __init__(self, kind: str, more: Callable[[], Mapping[str, T]] | None = None) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}
        self._more = more
        self._lock = threading.Lock()

    def add(self, name: str, entry: T) -> T:
        """Register `entry` under a new name and return it; an existing name is a ValueError."""
        if name in self._entries:
            raise ValueError(f"{self.kind} '{name}' is registered twice")
        self._entries[name] = entry
        return entry

    def __getitem__(self, name: str) -> T:
        if name not in self:
            raise unknown(self.kind, name, self._entries)
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._complete()

    def __iter__(self) -> Iterator[str]:
        return iter(self._complete())

    def __len__(self) -> int:
        return len(self._complete())

    def _complete(self) -> dict[str, T]:
        with self._lock:
            if self._more is not None:
                for name, entry in self._more().items():
                    self.add(name, entry)
                self._more = None
        return self._entries


def unknown(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    """The error for a `kind` called `name` that is not among the `known` ones, with the nearest of them as hint."""
    names = list(known)
    name = name if len(name) <= 60 else f"{name[:59]}…"
    spelled = {known.lower(): known for known in names}
    near = get_close_matches(name.lower(), spelled, n=3, cutoff=0.5)
    if near:
        hint = f"Did you mean {' or '.join(repr(spelled[n]) for n in near)}?"
    else:
        hint = f"Known: {', '.join(names[:12])}{', …' if len(names) > 12 else '.'}" if names else ""
    return UnknownName(f"There is no {kind} called {name!r}.", hint)
