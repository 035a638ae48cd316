"""The facts of a model: what it sees, its layers and operations, and what each method reads and costs on it."""

import streamlit as st

from core.explain import EXPLAINERS
from core.figures.encoding import PHOTO
from core.images import Picture
from core.models.description import described, prepared
from core.workbench import Workbench
from pages.ui.widgets.text import cost_text, plain


def seen(bench: Workbench, picture: Picture) -> None:
    """What the network sees of a picture, at its own resolution, and the preparation in words."""
    left, right = st.columns([1, 2], gap="large")
    for name, pixels in bench.seen(picture).items():
        times = max(1, PHOTO // max(pixels.shape[:2]))
        left.image(
            pixels.repeat(times, 0).repeat(times, 1), caption=name, alt=f"{name} of {picture.name}", width="stretch"
        )
    height, width = picture.pixels.shape[:2]
    right.markdown(f"**Image** {height:,} × {width:,} pixels (height × width). {plain(picture.note)}")
    right.markdown(f"**Input** {plain(prepared(bench.model))}.")
    if bench.model.notes:
        right.markdown(f"**Assumed** {plain(' '.join(bench.model.notes))}")
    right.caption("The picture shows the values before mean and standard deviation are applied.")


def model(bench: Workbench) -> None:
    """The layers with positions, the model's operations, and each method with its cost."""
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
