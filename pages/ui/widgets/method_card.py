"""The card of a method or measure: what it computes, its formula, cost, settings, source, and when it misleads."""

import streamlit as st

from core.explain import Explainer
from core.workbench import Workbench
from pages.ui.widgets.text import plain


def card(name: str, method: Explainer, unmet: str, bench: Workbench) -> None:
    """A method's card: what it does, its formula, cost, settings, source, and when it misleads."""
    with st.container(border=True, key=f"card-{name}"):
        left, right = st.columns([3, 2], gap="large")
        with left:
            st.markdown(f"#### {plain(method.title)}")
            st.markdown(plain(method.summary))
            if method.about:
                st.markdown(plain(method.about))
            st.markdown(f"**Limitations.** {plain(method.caution)}")
        with right:
            st.code(method.formula, language=None, wrap_lines=True)
            side = bench.model.preprocess.crop
            passes = method.cost({param.name: param.default for param in method.params}, side)
            st.markdown(f"**Cost** {passes:,.0f} model passes for an image of {side} × {side} px")
            for param in method.params:
                st.markdown(f"`{param.name}` {plain(param.knob.help)} Default {plain(str(param.default))}.")
            st.markdown(f"**Source** {plain(method.paper)} · `{name}`")
        if unmet:
            st.warning(plain(unmet))
