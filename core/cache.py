"""A cache of tensors with a byte budget, one per session."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

from torch import Tensor

T = TypeVar("T")


class TensorCache:
    """Values computed once and cached within a byte budget; least recently used ones are evicted first.

    A key must contain everything that determines the value (content hashes, layer, settings, seed), never an `id()`.
    Values are detached tensors, or dataclasses, tuples and mappings of them. Thread-safe: a value may be computed twice
    when two threads request it at once, but is never returned incomplete.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget  # bytes
        self.used = 0  # bytes
        self._entries: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._closed = False

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value under `key`, computed if missing; one larger than the whole budget is not cached."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key][0]  # type: ignore[return-value]  # the key determines the type
        value = make()
        self.put(key, value)
        return value

    def peek(self, key: Hashable) -> object | None:
        """The value under `key`, or None; computes nothing."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][0]

    def put(self, key: Hashable, value: object) -> None:
        """Cache `value` under `key`, evicting least recently used values until it fits."""
        size = size_of(value)
        with self._lock:
            if self._closed or size > self.budget:
                return
            self._drop(key)
            self._entries[key] = (value, size)
            self.used += size
            while self.used > self.budget:
                self._drop(next(iter(self._entries)))

    def discard(self, key: Hashable) -> None:
        """Remove the value under `key`, if any."""
        with self._lock:
            self._drop(key)

    def clear(self) -> None:
        """Remove everything."""
        with self._lock:
            self._entries.clear()
            self.used = 0

    def close(self) -> None:
        """Remove everything and cache nothing any more: the session is over, though a last run may still finish."""
        with self._lock:
            self._closed = True
        self.clear()

    def __len__(self) -> int:
        return len(self._entries)

    def _drop(self, key: Hashable) -> None:
        if key in self._entries:
            self.used -= self._entries.pop(key)[1]


def size_of(value: object) -> int:
    """The bytes of all tensors and arrays inside a value, plus 256 for the entry itself."""
    return 256 + _bytes(value)


def _bytes(value: object) -> int:  # noqa: PLR0911 - one line per kind of value
    if isinstance(value, Tensor):
        return value.untyped_storage().nbytes()
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, Mapping):
        return sum(_bytes(item) for item in value.values())
    if isinstance(value, list | tuple):
        return sum(_bytes(item) for item in value)
    if hasattr(value, "nbytes"):
        return int(value.nbytes)
    if hasattr(value, "__dataclass_fields__"):
        return sum(_bytes(getattr(value, name)) for name in value.__dataclass_fields__)
    return 0
