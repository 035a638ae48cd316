"""The card of a method or measure: what it computes, formula, cost, settings, source, and caveats."""

import streamlit as st

from core.card import Card
from core.params import spelled
from pages.ui.widgets.text import plain


def card(shown: Card, side: int, *, unmet: str = "", result: str = "") -> None:
    """Show a card, with the cost for an image of `side` pixels.

    `unmet` says why it cannot work here, `result` explains its numbers.
    """
    with st.container(border=True, key=f"card-{shown.name}"):
        left, right = st.columns([3, 2], gap="large")
        with left:
            st.markdown(f"#### {plain(shown.title)}")
            st.markdown(plain(shown.summary))
            if shown.about:
                st.markdown(plain(shown.about))
            st.markdown(f"**Limitations.** {plain(shown.caution)}")
        with right:
            st.code(shown.formula, language=None, wrap_lines=True)
            if result:
                st.markdown(f"**Result** {plain(result)}")
            extent = f"{side} × {side} px".replace(" ", "\N{NO-BREAK SPACE}")  # stays on one line
            st.markdown(f"**Cost** {shown.passes(shown.defaults, side)} for an image of {extent}")
            for param in shown.params:
                st.markdown(f"`{param.name}` {plain(param.knob.help)} Default {plain(spelled(param.default))}.")
            st.markdown(f"**Source** {plain(shown.source)} · `{shown.name}`")
        if unmet:
            st.warning(plain(unmet))
