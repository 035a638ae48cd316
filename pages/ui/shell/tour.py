"""The tour of the page Start: hints for a first visitor, shown again on request."""

import streamlit as st

from pages.ui import components
from pages.ui.session import navigation

START = "explore/start"


def arrive(address: str) -> None:
    """Note, in the first run of a session, whether its visitor opened the app or something specific."""
    st.session_state.setdefault("welcome", not address and not st.query_params)


def tour(address: str) -> None:
    """A button in the sidebar that starts the tour, and on Start the tour itself.

    It starts by itself for a visitor who opened nothing specific, once per browser.
    """
    with st.sidebar.container(key="vitrine-tour"):
        again = st.button(
            "Tour", icon=":material/tour:", key="tour-again", width="stretch", help="Five hints on Start."
        )
    if again:
        st.session_state["tours"] = st.session_state.get("tours", 0) + 1
        if address:
            navigation.go(START)
    if not address:
        components.tour(welcome=bool(st.session_state["welcome"]), asked=st.session_state.get("tours", 0))
