"""A session's comparison: answered at once where it is cheap, in the background where it is not."""

from collections.abc import Sequence

import streamlit as st

from core.images import Picture
from core.workbench import Ask, Workbench
from pages.ui.explore import agreement
from pages.ui.session import state
from pages.ui.session.jobs import Comparison
from pages.ui.widgets import show

AT_ONCE = 10.0  # seconds of work that may start without being asked for


def current(bench: Workbench, picture: Picture, asks: Sequence[Ask]) -> Comparison:
    """The session's comparison of these asks; one of other asks is stopped and left.

    What is cheap begins at once, the cheapest first, as long as the estimate stays within `AT_ONCE` seconds.
    """
    desk, here = state.desk(), state.place()
    fresh = Comparison(bench, picture, asks, here.seed, here.layer)
    if fresh.same(desk.comparison) and desk.comparison:
        return desk.comparison
    if desk.comparison:
        desk.comparison.cancel()
    desk.comparison = fresh
    fresh.start(affordable(bench, fresh.open()))
    return fresh


def answered(bench: Workbench, picture: Picture, asks: Sequence[Ask]) -> Comparison:
    """The same, waited for: for a few cheap asks."""
    shown = current(bench, picture, asks)
    if shown.job:
        shown.job.wait(AT_ONCE)
    return shown


def drawn(shown: Comparison, key: str) -> None:
    """The comparison as a grid that fills as answers come, with what it will cost, costs and did cost above it."""

    # Streamlit keeps what a fragment or a button refers to a while after the tab has closed: they ask the desk.
    @st.fragment(run_every=0.6 if shown.running else None)
    @show.border("Compare")
    def live() -> None:
        shown = state.desk().comparison
        if shown is None:
            return
        before, busy = st.session_state.get("busy"), shown.running
        st.session_state["busy"] = busy
        if before and not busy:
            st.rerun()  # before anything is drawn: a click on a button that this run replaces would be lost
        _status(shown, busy)
        show.comparison(shown, key)
        agreement.matrix(shown)

    live()


def _status(shown: Comparison, busy: bool) -> None:
    with st.container(key="vitrine-status", horizontal=True, vertical_alignment="center", gap="medium"):
        if busy and shown.job:
            done = sum(1 for ask in shown.asks if ask.key in shown.answers)
            doing = "stopping after the current pass" if shown.stopping else shown.job.note
            # First, so that it does not move away from under the pointer while the rest of the line comes.
            st.button("Stop", key="stop-comparison", on_click=_stop, disabled=shown.stopping)
            st.progress(min(shown.job.fraction, 1.0), f"{done} of {len(shown.asks)} maps · {doing}")
            return
        seconds, passes = shown.spent()
        took = f"{_maps(len(shown.answers))} · {show.cost(seconds, passes)}" if shown.answers else "No maps yet"
        st.markdown(took)
        if rest := shown.open():
            cost = show.cost(shown.bench.estimate(rest), shown.bench.passes(rest))
            many = f"the other {_maps(len(rest)).removeprefix('1 ')}" if shown.answers else _maps(len(rest))
            if st.button(f"Run {many} · about {cost}", key="run-rest", type="primary"):
                shown.start(rest)
                st.rerun()


def _maps(count: int) -> str:
    return "1 map" if count == 1 else f"{count} maps"


def _stop() -> None:
    if shown := state.desk().comparison:
        shown.cancel()


def affordable(bench: Workbench, asks: Sequence[Ask]) -> list[Ask]:
    """The cheapest of these asks that together take no longer than `AT_ONCE`."""
    chosen: list[Ask] = []
    for ask in sorted(asks, key=lambda ask: bench.passes([ask])):
        if bench.estimate([*chosen, ask]) > AT_ONCE:
            break
        chosen.append(ask)
    return chosen
