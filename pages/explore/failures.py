"""Failures: what a model gets wrong on a study or folder, case by case, with what reviewers say of it."""

import streamlit as st

from pages.ui.failures import exports, invitation, overview, queues, verdict
from pages.ui.failures.case import case
from pages.ui.failures.opened import Opened, evidence, opened
from pages.ui.widgets import messages

st.header("Failures", anchor=False)


def review(shown: Opened) -> None:
    """The overview, the queue, and the case that is looked at."""
    found = shown.predictions
    overview.overview(found)
    store = verdict.reviews_of(found)
    known, places = store.all(), evidence(shown)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.header("Cases", anchor=False)
        menus = st.container(horizontal=True, width="content", gap="small")
    rows = queues.queue(found, known, places)
    with menus:
        invitation.offer(found)
        exports.menu(found, rows, known, places)
    if not len(rows):
        return
    row = queues.current(found, rows, store.position(verdict.reviewer()))
    verdict.steps(found, rows, row, known)
    verdict.verdict(found, rows, row, store.get(found.images["path"].iloc[row]))
    case(shown, row, places.get(row))


with messages.error_boundary("Failures"):
    if chosen := opened():
        review(chosen)
