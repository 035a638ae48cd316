"""A page's own parameters: widgets whose value stands in the address and is kept for the session.

Streamlit's own binding writes the text an option is shown with into the address; options here show counts, which change,
so the address gets the option's name instead.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import streamlit as st

from core.errors import VitrineError
from core.registry import unknown
from pages.ui import state

T = TypeVar("T")


def choice(
    make: Callable[..., T],
    label: str,
    options: Sequence[T],
    key: str,
    *,
    default: T | None = None,
    named: Callable[[T], str] = str,
    **look: Any,
) -> T:
    """A widget that picks one of `options`, the first by default; `named` is what the address calls an option."""
    first = options[0] if default is None else default
    known = {named(option): option for option in options}

    def read(text: str) -> T:
        if text in known:
            return known[text]
        raise unknown(label.lower(), text, known)

    _begin(key, first, read)
    if st.session_state[key] not in options:
        st.session_state[key] = first
    return _keep(key, make(label, options, key=key, **look), first, named)


def several(make: Callable[..., list[T]], label: str, options: Sequence[T], key: str, **look: Any) -> list[T]:
    """A widget that picks any number of `options`; the address lists them with commas."""
    known = {str(option): option for option in options}

    def read(text: str) -> list[T]:
        wanted = [part for part in text.split(",") if part]
        for part in wanted:
            if part not in known:
                raise unknown(label.lower(), part, known)
        return [known[part] for part in wanted]

    _begin(key, [], read)
    st.session_state[key] = [option for option in st.session_state[key] if option in options]
    return _keep(key, make(label, options, key=key, **look), [], lambda found: ",".join(map(str, found)))


def slider(label: str, low: T, high: T, key: str, *, default: T, step: T, **look: Any) -> T:
    """A slider over a range; a value of the address outside it is moved to its nearest end."""
    kind: Any = type(default)

    def read(text: str) -> T:
        try:
            value = kind(text)
        except ValueError:
            raise VitrineError(f"{label} cannot be {text!r}.", f"Give {low} to {high}.") from None
        return min(max(value, low), high)  # type: ignore[type-var]  # numbers

    _begin(key, default, read)
    st.session_state[key] = min(max(kind(st.session_state[key]), low), high)
    return _keep(key, st.slider(label, low, high, step=step, key=key, **look), default)


def toggle(label: str, key: str, *, default: bool = False, **look: Any) -> bool:
    """A switch; the address says 1 or 0 where it is not at its default."""
    _begin(key, default, lambda text: text not in {"0", "false"})
    return _keep(key, st.toggle(label, key=key, **look), default, lambda on: str(int(on)))


def put(key: str, value: Any) -> None:
    """Set a parameter from elsewhere, before its widget is drawn: in a callback."""
    st.session_state[key] = value


def text(key: str, default: str = "") -> str:
    """A parameter without a widget: what the address says, else what was kept."""
    found = st.query_params.get(key)
    return found if found is not None else _kept().get(key, default)


def write(key: str, value: str, default: str = "") -> None:
    """Keep a parameter without a widget, and make the address say it."""
    _keep(key, value, default)


def _kept() -> dict[str, Any]:
    return st.session_state.setdefault("own", {})


def _begin(key: str, default: Any, read: Callable[[str], Any]) -> None:
    """The value a widget starts with: the address, else what this session had, else the default."""
    if key in st.session_state:
        return
    st.session_state[key] = _kept().get(key, default)
    given = st.query_params.get(key)
    if given is None:
        return
    try:
        st.session_state[key] = read(given)
    except VitrineError as error:
        state.tell("warning", f"The address: {error} The rest is kept.")


def _keep(key: str, value: Any, default: Any, named: Callable[[Any], str] = str) -> Any:
    _kept()[key] = value
    if value is None or value == default:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != named(value):
        st.query_params[key] = named(value)
    return value
