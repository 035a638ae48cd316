"""A session's comparison: answered at once where it is cheap, in the background where it is not."""

from collections.abc import Sequence

import streamlit as st

from core.images import Picture
from core.workbench import Request, Workbench
from pages.ui.explore import agreement
from pages.ui.session import state
from pages.ui.session.jobs import Comparison
from pages.ui.widgets import comparison_grid, messages
from pages.ui.widgets.text import cost_text

AT_ONCE = 10.0  # seconds of work that may start without being asked for


def current(bench: Workbench, picture: Picture, requests: Sequence[Request]) -> Comparison:
    """The session's comparison of these asks; one of other asks is stopped and left.

    What is cheap begins at once, the cheapest first, as long as the estimate stays within `AT_ONCE` seconds.
    """
    session, here = state.session(), state.location()
    fresh = Comparison(bench, picture, requests, here.seed, here.layer)
    if fresh.same(session.comparison) and session.comparison:
        return session.comparison
    if session.comparison:
        session.comparison.cancel()
    session.comparison = fresh
    fresh.start(affordable(bench, fresh.open()))
    return fresh


def answered(bench: Workbench, picture: Picture, requests: Sequence[Request]) -> Comparison:
    """The same, waited for: for a few cheap asks."""
    shown = current(bench, picture, requests)
    if shown.job:
        shown.job.wait(AT_ONCE)
    return shown


def drawn(shown: Comparison, key: str) -> None:
    """The comparison as a grid that fills as answers come, with what it will cost, costs and did cost above it."""

    # Streamlit keeps what a fragment or a button refers to a while after the tab has closed: they ask the desk.
    @st.fragment(run_every=0.6 if shown.running else None)
    @messages.error_boundary("Compare")
    def live() -> None:
        shown = state.session().comparison
        if shown is None:
            return
        before, busy = st.session_state.get("busy"), shown.running
        st.session_state["busy"] = busy
        if before and not busy:
            st.rerun()  # before anything is drawn: a click on a button that this run replaces would be lost
        _status(shown, busy)
        comparison_grid.comparison(shown, key)
        agreement.matrix(shown)

    live()


def _status(shown: Comparison, busy: bool) -> None:
    with st.container(key="vitrine-status", horizontal=True, vertical_alignment="center", gap="medium"):
        if busy and shown.job:
            done = sum(1 for request in shown.requests if request.key in shown.answers)
            doing = "stopping after the current pass" if shown.stopping else shown.job.note
            # First, so that it does not move away from under the pointer while the rest of the line comes.
            st.button("Stop", key="stop-comparison", on_click=_stop, disabled=shown.stopping)
            st.progress(min(shown.job.fraction, 1.0), f"{done} of {len(shown.requests)} maps · {doing}")
            return
        seconds, passes = shown.spent()
        took = f"{_maps(len(shown.answers))} · {cost_text(seconds, passes)}" if shown.answers else "No maps yet"
        st.markdown(took)
        if rest := shown.open():
            cost = cost_text(shown.bench.estimate(rest), shown.bench.passes(rest))
            many = f"the other {_maps(len(rest)).removeprefix('1 ')}" if shown.answers else _maps(len(rest))
            if st.button(f"Run {many} · about {cost}", key="run-rest", type="primary"):
                shown.start(rest)
                st.rerun()


def _maps(count: int) -> str:
    return "1 map" if count == 1 else f"{count} maps"


def _stop() -> None:
    if shown := state.session().comparison:
        shown.cancel()


def affordable(bench: Workbench, requests: Sequence[Request]) -> list[Request]:
    """The cheapest of these asks that together take no longer than `AT_ONCE`."""
    chosen: list[Request] = []
    for request in sorted(requests, key=lambda request: bench.passes([request])):
        if bench.estimate([*chosen, request]) > AT_ONCE:
            break
        chosen.append(request)
    return chosen
