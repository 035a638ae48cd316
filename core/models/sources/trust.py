"""Own code that may run: what was named on the command line or in a program, never by a study, a link or a form."""

import threading

from core.environment import app_model, app_table_model
from core.errors import Unavailable, brief
from core.models.name import ModelName, parsed

_lock = threading.Lock()
_trusted: set[str] = set()


def trust(name: str) -> str:
    """Allow the code that a model's name refers to, if any, in this process; returns the name."""
    parts = parsed(name)
    if parts.source == "python":
        with _lock:
            _trusted.add(_code(parts))
    return name


def refuse_untrusted(name: ModelName) -> None:
    """Raise Unavailable for own code that was not allowed, and that the app was not started with."""
    if name.source != "python":
        return
    with _lock:
        if _code(name) in _trusted:
            return
    for offered in map(parsed, (app_model(), app_table_model())):
        if offered.source == "python" and _code(offered) == _code(name):
            return
    shown = brief(name.display, 80)
    message = f"{shown} is code, which is run only when the command line names it."
    raise Unavailable(message, f"Give it with --model, or start the app with `vitrine app --model {shown}`.")


def _code(name: ModelName) -> str:
    """The same text for the same function, however its file is named."""
    return f"{name.code_file.resolve()}:{name.function}" if name.code_file else name.architecture
