"""A session's comparison: computed immediately if that is cheap, else in the background."""

from collections.abc import Callable, Sequence

import streamlit as st

from core.comparison import Comparison, Tile, about, facts
from core.images import Picture
from core.workbench import Request, Workbench
from pages.ui.explore import agreement, trust, trust_dialog
from pages.ui.session import jobs, location, state
from pages.ui.widgets import comparison_grid, messages
from pages.ui.widgets.text import cost_text

AT_ONCE = 10.0  # seconds of work that start without a click
MANY_AT_ONCE = 60.0  # the same for many pictures, whose maps are shown one by one


def current(
    bench: Workbench, tiles: Sequence[Tile], *, predicted: bool = False, seconds: float | None = None
) -> Comparison:
    """The session's comparison of these tiles; a comparison of others is cancelled and replaced.

    Cheap tiles start at once, the cheapest first, as long as the estimate stays within `seconds`, by default `AT_ONCE`,
    or `MANY_AT_ONCE` for several pictures; in a presentation all do. `predicted` says that every picture is explained
    for its own predicted class.
    """
    session, here = state.session(), location.current()
    if session.comparison and session.comparison.facts() == facts(bench, tiles, here.seed):
        if here.present and not session.comparison.running and (rest := session.comparison.open()):
            session.comparison.start(rest)
        session.comparison.predicted = predicted
        return session.comparison
    if session.maps:
        session.maps.fill(bench, tiles, here.seed)
    fresh = Comparison(bench, tiles, here.seed, predicted=predicted)
    session.compare(fresh)
    at_once = seconds or (MANY_AT_ONCE if len(fresh.pictures) > 1 else AT_ONCE)
    fresh.start(fresh.open() if here.present else fresh.affordable(at_once))
    return fresh


def answered(bench: Workbench, picture: Picture, requests: Sequence[Request]) -> Comparison:
    """The same, after waiting for its results; for a few cheap requests."""
    shown = current(bench, about(picture, requests))
    if shown.job:
        shown.job.wait(AT_ONCE)
    return shown


def drawn(shown: Comparison, key: str, grid: Callable[[Comparison], None] | None = None) -> None:
    """The comparison as a grid that fills as results arrive, with its cost above.

    `grid` draws it in place of the grid of methods with their agreement.
    """

    before = _busy(shown)

    # Streamlit keeps what fragments and buttons refer to for a while after the tab is closed, so they read the session.
    @st.fragment(run_every=0.6 if any(before) else None)
    @messages.error_boundary("Compare")
    def live() -> None:
        shown = state.session().comparison
        if shown is None:
            return
        now = _busy(shown)
        if now != before or trust.asked():
            state.repeat_notices()
            st.rerun()  # before drawing: a click on a button that this run replaces would be lost
        _status(shown, busy=now[0])
        if grid:
            grid(shown)
            return
        comparison_grid.comparison(shown, key, below=trust.strips(shown), clicked=trust.clicked)
        agreement.matrix(shown)

    live()
    trust_dialog.dialog(shown)


def _busy(shown: Comparison) -> tuple[bool, bool]:
    """Whether maps, and whether measures of them, are being computed."""
    return shown.running, trust.running()


def _status(shown: Comparison, *, busy: bool) -> None:
    with st.container(key="vitrine-status", horizontal=True, vertical_alignment="center", gap="medium"):
        if busy and shown.job:
            jobs.progress(shown.job, _stop, "stop-comparison")
            return
        seconds, passes = shown.spent()
        took = f"{_maps(len(shown.answers))} · {cost_text(seconds, passes)}" if shown.answers else "No maps yet"
        st.markdown(took)
        if rest := shown.open():
            cost = cost_text(shown.estimate(rest), shown.passes(rest))
            many = f"the remaining {_maps(len(rest)).removeprefix('1 ')}" if shown.answers else _maps(len(rest))
            if st.button(f"Compute {many} · about {cost}", key="run-rest", type="primary"):
                shown.start(rest)
                st.rerun()
        trust.control(shown)


def _maps(count: int) -> str:
    return "1 map" if count == 1 else f"{count} maps"


def _stop() -> None:
    if shown := state.session().comparison:
        shown.cancel()
