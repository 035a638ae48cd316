"""Long work on a page: seconds with a progress bar in place, minutes in a job of the session.

Work of minutes is started with `state.session().start`, so that it ends with the session, and shown by `watch`.
"""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import streamlit as st

from core.jobs import Job
from core.progress import Report

K = TypeVar("K")
T = TypeVar("T")


def working(title: str, work: Callable[[Report], T], bar: Any = None) -> T:
    """Run `work(report)` now, with a progress bar; any click elsewhere cancels it. Raises what the work raises.

    The bar stands in the place `bar`, or in a new one. Work that is not done in every run is given a place that is
    there in every run: where an element is missing, all below it are built anew, and what was opened or typed is lost.
    """
    job = Job(work, title)
    wait_for(job, job.cancel, bar)
    return job.result  # type: ignore[return-value]  # it ended without an error and without a click


def wait_for(job: Job[Any], leave: Callable[[], None], bar: Any = None) -> None:
    """Wait for the end of a job with a progress bar; any click elsewhere calls `leave`. Raises what the work raised.

    For `bar` see `working`.
    """
    try:
        while not job.wait(0.1):
            if job.seconds > 0.4:  # short work shows no bar
                bar = bar or st.empty()
                bar.progress(min(job.fraction, 1.0), job.state_line)
    finally:
        if job.running:
            leave()
    if bar:
        bar.empty()
    if job.error:
        raise copy.copy(job.error)  # a raised error would keep the variables of the page alive


def once(cached: Callable[[K, T | None], T], key: K, title: str, work: Callable[[Report], T]) -> T:
    """The value under a key of a cache shared by all sessions, computed with a progress bar if missing.

    `cached(key, None)` raises LookupError for a missing key; `cached(key, value)` stores a value. Raises what the work
    raises.
    """
    try:
        return cached(key, None)
    except LookupError:
        return cached(key, working(title, work))


def watch(
    job: Job[T],
    done: Callable[[Job[T]], None],
    stopped: str = "Stopped.",
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Show a job's progress while it runs, refreshed twice a second; at its end call `done(job)`, or show `stopped`.

    `meanwhile` draws what the work has so far. Raises what the work raised.
    """

    @st.fragment(run_every=0.5)
    def live() -> None:
        if job.running:
            with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
                progress(job, job.cancel, f"stop-{job.title}")
            meanwhile()
        else:
            from pages.ui.session import state

            state.repeat_notices()  # of the run that this one follows at once
            st.rerun()

    if job.running:
        live()
    elif job.state == "done":
        done(job)
    elif job.error:
        raise copy.copy(job.error)  # a raised error would keep the variables of the page alive
    else:
        st.info(stopped)


def progress(job: Job[Any], stop: Callable[[], None], key: str) -> None:
    """A running job's stop button and progress bar, for a horizontal container."""
    # The button first, so that it does not move while the rest of the line appears.
    st.button("Stop", key=key, on_click=stop, disabled=job.stopping)
    st.progress(min(job.fraction, 1.0), job.state_line)
