"""The network of the page: its settings, and its training in seconds."""

import streamlit as st

from core.params import checked
from core.progress import Report
from core.serialization import digest
from core.tables.training import NETWORK, Trained, train
from pages.ui.session import location
from pages.ui.session.jobs import working
from pages.ui.tables.opened import Opened
from pages.ui.widgets import forms
from pages.ui.widgets.on_demand import done, keep
from pages.ui.widgets.text import plain

OWNER = "network"


def trained(opened: Opened) -> tuple[Trained, str]:
    """The network for the table, trained if it is not there yet, and what identifies it."""
    with st.popover("Network", icon=":material/tune:"):
        forms.settings(NETWORK.params, OWNER)
    settings = checked(NETWORK.params, location.settings(OWNER), OWNER)
    NETWORK.validate(settings)
    key = digest([opened.key, settings])
    found: Trained | None = done("table-network", key)
    if found is None:

        def work(report: Report) -> Trained:
            return train(opened.table, **settings, report=report)

        found = keep("table-network", key, working("Training", work))
    st.markdown(plain(found.sentence))
    return found, key
