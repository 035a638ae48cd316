"""Units: every unit of a layer as a grid, a table and a map, opened from a strip of the network's layers."""

import streamlit as st

from pages.ui.session import parameters
from pages.ui.units import analyses, dissection_report, inspected, layer_strip, selection, unit_facts
from pages.ui.units.inversions import inversions
from pages.ui.units.picked_units import picked
from pages.ui.units.unit_facts import UnitFacts
from pages.ui.units.unit_grid import grid
from pages.ui.units.unit_scatter import scatter
from pages.ui.units.unit_table import table
from pages.ui.widgets import messages
from pages.ui.widgets.text import plain

_VIEWS = {"grid": ("Grid", grid), "table": ("Table", table), "map": ("Map", scatter)}


@st.fragment
@messages.error_boundary("Units")
def overview() -> None:
    """The strip of layers, the filters, one of the views, what is selected in it, and what can be computed."""
    shown = inspected.current()
    layer_strip.titled(shown)
    analyses.watched()
    facts = unit_facts.of_layer(shown)
    view = parameters.choice("View", list(_VIEWS), "show").draw(
        st.segmented_control, required=True, format_func=lambda name: _VIEWS[name][0], label_visibility="collapsed"
    )
    units = unit_facts.chosen(facts)
    if units:
        selection.adopt(shown, units)
        _VIEWS[view][1](facts, units)
        if chosen := selection.units():
            picked(facts, chosen)
    else:
        st.info("No unit matches. Remove the search, or show dead units.")
        st.button("Remove the filters", key="units-clear", on_click=unit_facts.clear, icon=":material/close:")
    dissection_report.report(facts)
    inversions(shown)
    _offers(facts)


def _offers(facts: UnitFacts) -> None:
    """What is known of the layer, and forms for what is not."""
    if facts.inspected.problem or not facts.missing:
        st.caption(plain(facts.sources))
        return
    st.header("More about these units", anchor=False)
    if facts.sources:
        st.caption(plain(facts.sources))
    for name in facts.missing:
        analyses.offer(facts.inspected, name, f"units-{name}")


overview()
