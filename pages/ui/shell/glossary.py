"""The glossary in the sidebar of every page."""

import streamlit as st

from core.glossary import TERMS
from pages.ui.widgets.text import plain


def glossary() -> None:
    """A button in the sidebar that opens all terms."""
    with (
        st.sidebar.container(key="vitrine-glossary"),
        st.popover("Glossary", icon=":material/dictionary:", width="stretch"),
    ):
        st.markdown("\n\n".join(f"**{plain(term)}** {plain(sentence)}" for term, sentence in TERMS.items()))
