"""Tables: a small network beside simple models, one row explained, and rules out of the network."""

import streamlit as st

from pages.ui.tables import importances, network, pixels, row, rules
from pages.ui.tables.opened import opened
from pages.ui.widgets import messages

_WHAT = (
    "Song and Zhang's review explains networks for tables before it turns to images: simple models beside the network, "
    "a linear model around one row, and rules out of its layers. All of it is computed here in seconds."
)

st.header("Tables", anchor=False)
st.markdown(_WHAT)
with messages.error_boundary("Tables"):
    if chosen := opened():
        found, key = network.modelled(chosen)
        importances.section(found, key)
        number = row.section(chosen.table, found, key)
        rules.section(chosen.table, found, key, number)
        pixels.section(chosen.table, found, key, number)
