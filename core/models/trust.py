"""Own code that may run: what was named on the command line or in a program, never by a study, a link or a form."""

import threading
from pathlib import Path

from core.environment import app_model
from core.models.name import ModelName, parsed
from core.params import expanded

_lock = threading.Lock()
_trusted: set[str] = set()


def trust(name: str) -> str:
    """Allow the code that a model's name refers to, if any, in this process; returns the name."""
    parts = parsed(name)
    if parts.source == "python":
        with _lock:
            _trusted.add(_code(parts))
    return name


def trusted(name: ModelName) -> bool:
    """Whether this code was allowed, or the app was started with it."""
    with _lock:
        if _code(name) in _trusted:
            return True
    started = parsed(app_model())
    return started.source == "python" and _code(started) == _code(name)


def _code(name: ModelName) -> str:
    """The same text for the same function, however its file is named."""
    place, _, function = name.architecture.rpartition(":")
    return f"{expanded(place).resolve()}:{function}" if place.endswith(".py") else name.architecture


def code_file(name: ModelName) -> Path | None:
    """The file of own code; None for a module that is imported by its name."""
    place = name.architecture.rpartition(":")[0]
    return expanded(place) if place.endswith(".py") else None
