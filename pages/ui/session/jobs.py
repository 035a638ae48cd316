"""Long work on a page: seconds with a bar in place, minutes in a job of the session that the page watches.

Work of minutes is begun with `state.session().start`, so that it ends with the session, and drawn with `watch`.
"""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import streamlit as st

from core.jobs import Job
from core.progress import Report

K = TypeVar("K")
T = TypeVar("T")


def working(title: str, work: Callable[[Report], T]) -> T:
    """Do `work(report)` now, with a bar on the page; any click elsewhere cancels it. Raises what the work raises."""
    job = Job(work, title)
    bar = None
    try:
        while not job.wait(0.1):
            if job.seconds > 0.4:  # quick work shows no bar at all
                bar = bar or st.empty()
                bar.progress(min(job.fraction, 1.0), described(job))
    finally:
        job.cancel()
    if bar:
        bar.empty()
    if job.error:
        raise job.error
    return job.result  # type: ignore[return-value]  # it ended with neither an error nor a click


def once(cached: Callable[[K, T | None], T], key: K, title: str, work: Callable[[Report], T]) -> T:
    """What a cache that all sessions share holds under a key, worked out with a bar where it is not there yet.

    `cached(key, None)` raises LookupError for what it does not hold and takes what it is given. Raises what the work
    raises.
    """
    try:
        return cached(key, None)
    except LookupError:
        return cached(key, working(title, work))


def watch(job: Job[T], done: Callable[[Job[T]], None], stopped: str = "Stopped.") -> None:
    """A job's progress while it runs, refreshed twice a second; at its end `done(job)`, or `stopped` as a sentence.

    Raises what the work raised.
    """

    @st.fragment(run_every=0.5)
    def live() -> None:
        if job.running:
            with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
                progress(job, job.cancel, f"stop-{job.title}")
        else:
            st.rerun()

    if job.running:
        live()
    elif job.state == "done":
        done(job)
    elif job.error:
        raise copy.copy(job.error)  # one that is raised keeps the variables of the page
    else:
        st.info(stopped)


def progress(job: Job[Any], stop: Callable[[], None], key: str) -> None:
    """The button that stops a running job and its bar, for a container in which they stand side by side."""
    # First the button, so that it does not move away from under the pointer while the rest of the line comes.
    st.button("Stop", key=key, on_click=stop, disabled=job.stopping)
    st.progress(min(job.fraction, 1.0), described(job))


def described(job: Job[Any]) -> str:
    """What a running job does: its title, how much is done, its note and the time left, as far as they are known."""
    count, left = job.count, job.seconds_left
    parts = (
        job.title,
        f"{count.done} of {count.total} {count.unit}" if count else "",
        "stopping after the current pass" if job.stopping else job.note,
        "" if left is None or job.stopping else _about(left),
    )
    return " · ".join(filter(None, parts))


def _about(seconds: float) -> str:
    """Time left, no more exactly than anyone can tell it: it does not change with every look."""
    if seconds < 10:
        return "a few seconds left"
    if seconds < 90:
        return f"about {round(seconds, -1):.0f} s left"
    minutes = seconds / 60
    return f"about {minutes:.0f} min left" if minutes < 90 else f"about {minutes / 60:.1f} h left"
