"""Long work that a button starts: its progress with a stop button, and its result, stored in the session."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import streamlit as st

from core.progress import Report
from pages.ui.session import state
from pages.ui.session.jobs import watch
from pages.ui.widgets import messages

T = TypeVar("T")


def done(name: str, key: Hashable) -> Any:
    """The result of earlier work under a name and key, None if there is none."""
    return _results(name).get(key)


def keep(name: str, key: Hashable, result: T) -> T:
    """Store a result and return it."""
    _results(name)[key] = result
    return result


def watched(
    name: str, key: Hashable, work: Callable[[Report], T], *, title: str, button: str, note: str = ""
) -> T | None:
    """The result of work that a button starts in the background, None while there is none.

    Work of the same name with another key is cancelled when it starts. An error of the work is shown above the button.
    """
    requested, job = st.session_state.get(f"{name}-job", (None, None))
    if requested == key:
        with messages.refused():
            watch(job, lambda ended: _results(name).update({key: ended.result}))
    if key not in _results(name) and (requested != key or not job.running):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(button, type="primary", on_click=_begin, args=(name, key, work, title))
            st.caption(note)
    found: T | None = done(name, key)
    return found


def _begin(name: str, key: Hashable, work: Callable[[Report], Any], title: str) -> None:
    _, earlier = st.session_state.get(f"{name}-job", (None, None))
    if earlier:
        earlier.cancel()
    st.session_state[f"{name}-job"] = (key, state.session().start(work, title))


def _results(name: str) -> dict[Hashable, Any]:
    results: dict[Hashable, Any] = st.session_state.setdefault(f"{name}-results", {})
    return results
