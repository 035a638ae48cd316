"""Work that a part of a page does when it is asked: started by a button, stopped, and kept by the session."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

import streamlit as st

from core.jobs import Job
from core.progress import Report
from core.workbench import Workbench, pass_seconds
from pages.ui.session import state
from pages.ui.session.jobs import watch, working
from pages.ui.widgets import messages
from pages.ui.widgets.text import duration, plain

T = TypeVar("T")


def on_demand(
    part: str,
    key: Hashable,
    title: str,
    work: Callable[[Report], T],
    *,
    button: str,
    note: str = "",
    meanwhile: Callable[[], None] = lambda: None,
    at_once: bool = False,
) -> T | None:
    """The result under a key once it was asked for; until then a button, and while it is computed its progress.

    Work that takes seconds may be done `at_once`, without a button; then its error is raised.

    One job per part runs at a time: another one stops it. An error is shown above the button. Results stay while the
    session's cache has room.
    """
    if at_once:
        return computed(part, key, title, work)
    cache, place = state.session().cache, _place(part, key)

    def kept(report: Report) -> T:
        result = work(report)
        cache.put(place, result)  # also if the page has gone on to another key
        return result

    asked, job = _jobs().get(part, (None, None))
    if asked == key and job and (job.running or job.state != "done"):
        with messages.refused():
            watch(job, lambda _: None, meanwhile=meanwhile)
    found = done(part, key)
    if found is None and not (asked == key and job and job.running):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(button, key=f"{part}-start", on_click=_begin, args=(part, key, title, kept))
            if note:
                st.caption(plain(note))
    return cast("T | None", found)


def computed(part: str, key: Hashable, title: str, work: Callable[[Report], T]) -> T:
    """The result under a key, computed now with a progress bar unless it was before. Raises what the work raises."""
    bar = st.empty()
    found: T | None = done(part, key)
    return keep(part, key, working(title, work, bar)) if found is None else found


def done(part: str, key: Hashable) -> Any:
    """The result of earlier work under a key, None if there is none."""
    return state.session().cache.peek(_place(part, key))


def keep(part: str, key: Hashable, result: T) -> T:
    """Store a result and return it."""
    state.session().cache.put(_place(part, key), result)
    return result


def again(part: str, key: Hashable) -> None:
    """Forget a result, in a callback, so that it can be computed anew."""
    state.session().cache.discard(_place(part, key))


def takes(bench: Workbench, passes: float) -> str:
    """How long this many forward passes take, in words."""
    return f"About {duration(passes * pass_seconds(bench.model))}."


def _begin(part: str, key: Hashable, title: str, work: Callable[[Report], Any]) -> None:
    _, earlier = _jobs().get(part, (None, None))
    if earlier:
        earlier.cancel()
    _jobs()[part] = (key, state.session().start(work, title))


def _place(part: str, key: Hashable) -> tuple[str, str, Hashable]:
    """The key of the session's cache."""
    return "on demand", part, key


def _jobs() -> dict[str, tuple[Hashable, Job[Any]]]:
    """The last job of every part, with its key."""
    jobs: dict[str, tuple[Hashable, Job[Any]]] = st.session_state.setdefault("on demand", {})
    return jobs
