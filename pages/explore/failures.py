"""Failures: what a model gets wrong on a study or folder, case by case, with what reviewers say of it."""

import streamlit as st

from pages.ui.failures import exports, invitation, overview, places, queues, verdict
from pages.ui.failures.case import case
from pages.ui.failures.opened import Opened, opened
from pages.ui.widgets import messages

st.header("Failures", anchor=False)


def review(shown: Opened) -> None:
    """The overview, the queue, and the case that is looked at."""
    found = shown.predictions
    overview.overview(found)
    store = verdict.reviews_of(found)
    known = store.all()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.header("Cases", anchor=False)
        menus = st.container(horizontal=True, width="content", gap="small")
    evidence, masks = places.places(shown)
    rows = queues.queue(found, known, evidence)
    with menus:
        invitation.offer(found)
        exports.menu(found, rows, known, evidence, masks)
    if not len(rows):
        return
    row = queues.current(found, rows, store.position(verdict.reviewer()))
    verdict.steps(found, rows, row, known)
    verdict.verdict(found, rows, row, store.get(found.images["path"].iloc[row]))
    case(shown, row, evidence.get(row))


with messages.error_boundary("Failures"):
    if chosen := opened():
        review(chosen)
