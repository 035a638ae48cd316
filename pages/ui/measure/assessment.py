"""A session's assessment: measures of the comparison's maps, computed immediately if that is cheap."""

from collections.abc import Callable, Sequence
from itertools import accumulate

import streamlit as st

from core.comparison import Assessment, Comparison, MeasureRequest, Pair, needs_mask
from core.comparison.ranking import Cell, ranking
from pages.ui.explore import trust
from pages.ui.explore.comparison import AT_ONCE
from pages.ui.measure import mask_drawing
from pages.ui.session import jobs, state
from pages.ui.widgets import messages
from pages.ui.widgets.text import cost_text

Columns = Sequence[Sequence[Cell]]  # of a ranking


def current(shown: Comparison) -> Assessment:
    """The session's assessment of this comparison, which Compare shares: work on its measures goes on."""
    found = trust.current(shown)
    if st.session_state.get("measure.of") != id(found):
        st.session_state["measure.of"] = id(found)
        st.session_state["measure.tried"] = dict[str, str]()  # measures of pairs that were started, by their key
        st.session_state["measure.wanted"] = False  # all maps and measures, whatever they cost
        st.session_state["measure.stopped"] = False  # until the next click
    marks = {key: id(mask) for key, mask in found.annotations.items()}
    if st.session_state.get("measure.marks") != marks:  # with other masks, what compares with them is started again
        st.session_state["measure.marks"] = marks
        tried: dict[str, str] = st.session_state["measure.tried"]
        st.session_state["measure.tried"] = {key: name for key, name in tried.items() if not needs_mask(name)}
    return found


def drawn(measures: Sequence[MeasureRequest], view: Callable[[Assessment, Columns], None]) -> None:
    """The progress and cost of these measures, then `view` of their ranking so far."""
    assessment = state.session().assessment
    if assessment:
        _proceed(assessment, measures)

    @st.fragment(run_every=0.6 if assessment and _busy(assessment) else None)
    @messages.error_boundary("Measure")
    def live() -> None:
        found = state.session().assessment
        if found is None:
            return
        _proceed(found, measures)
        before, busy = st.session_state.get("measure.busy"), _busy(found)
        st.session_state["measure.busy"] = busy
        if before and not busy and not mask_drawing.is_open():  # a run of the page would interrupt the drawing
            state.repeat_notices()
            st.rerun()  # before drawing: a click on a button that this run replaces would be lost
        columns = ranking(found, measures)
        _status(found, measures, columns)
        view(found, columns)

    live()


def _busy(found: Assessment) -> bool:
    return found.comparison.running or found.running


def _proceed(found: Assessment, measures: Sequence[MeasureRequest]) -> None:
    """Start the measures of maps that are finished: all if they are wanted, else the cheapest; none once stopped."""
    if _busy(found) or st.session_state["measure.stopped"]:
        return
    tried: dict[str, str] = st.session_state["measure.tried"]
    fresh = [pair for pair in found.open(measures) if pair.key not in tried]
    if not st.session_state["measure.wanted"]:
        fresh = _affordable(found, fresh)
    if fresh:
        tried.update({pair.key: pair.measure.name for pair in fresh})
        found.start(fresh)


def _affordable(found: Assessment, pairs: Sequence[Pair]) -> list[Pair]:
    """The cheapest of these pairs that together are estimated to take no longer than `AT_ONCE`."""
    priced = sorted(((found.estimate([pair]), pair) for pair in pairs), key=lambda one: one[0])
    totals = accumulate(seconds for seconds, _ in priced)
    return [pair for (_, pair), total in zip(priced, totals, strict=True) if total <= AT_ONCE]


def _status(found: Assessment, measures: Sequence[MeasureRequest], columns: Columns) -> None:
    shown = found.comparison
    with st.container(key="vitrine-status", horizontal=True, vertical_alignment="center", gap="medium"):
        job = shown.job if shown.running else found.job
        if job and _busy(found):
            jobs.progress(job, _stop, "stop-measures")
            return
        maps = shown.open()
        pending = sum(cell.pending for cells in columns for cell in cells)
        total = len(shown.tiles) * len(measures)
        st.markdown(f"{shown.count()} · measures {total - pending:,} of {total:,}".capitalize())
        if pending:
            known = [*found.open(measures), *(Pair(tile, measure) for tile in maps for measure in measures)]
            seconds, passes = found.estimate(known), found.passes(known)
            cost = cost_text(seconds + shown.estimate(maps), passes + shown.passes(maps))
            what = " and ".join(filter(None, (_many(len(maps), "map"), _many(pending, "measure"))))
            if st.button(f"Compute {what} · about {cost}", key="run-measures", type="primary"):
                st.session_state.update({"measure.wanted": True, "measure.stopped": False, "measure.tried": {}})
                shown.start(maps)
                st.rerun()


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}" if count else ""


def _stop() -> None:
    """Stop maps and measures; what is finished stays, and the rest can be computed later."""
    st.session_state.update({"measure.wanted": False, "measure.stopped": True})
    if found := state.session().assessment:
        found.comparison.cancel()
        found.cancel()
