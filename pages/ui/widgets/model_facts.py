"""The layers and operations of a model, and what each method reads and costs on it."""

import streamlit as st

from core.explain import EXPLAINERS
from core.models.description import described
from core.workbench import Workbench
from pages.ui.widgets.text import cost_text, plain


def model(bench: Workbench) -> None:
    """The layers that maps can be read from, the model's operations, and each method with its cost."""
    survey = bench.model.survey
    if note := bench.model.facts.get("note"):
        st.markdown(plain(str(note)))
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Layers with spatial positions**")
        rows = [
            {"layer": layer.name, "kind": layer.kind, "units": layer.units, "positions": "{} × {}".format(*layer.cells)}
            for layer in survey.usable
        ]
        st.dataframe(rows, hide_index=True, height=320, alt="Layers with spatial positions")
        st.markdown(f"Default layer: `{survey.default or 'none'}`")
    with right:
        for heading, text in described(bench.model).items():
            st.markdown(f"**{heading}** {plain(text)}")
    st.markdown("**What each method computes and costs by itself.** Methods that need the same pass share it.")
    rows = [
        {
            "method": EXPLAINERS[name].title,
            "layer read, or why not supported": plan.reason or plan.layers_read or "the image",
            **{budget: cost_text(plan.seconds[budget], passes) for budget, passes in plan.passes.items()},
        }
        for name, plan in bench.plans().items()
    ]
    st.dataframe(rows, hide_index=True, alt="What each method computes and costs on this model")
