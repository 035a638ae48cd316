"""Methods: a card for each explainer and each measure, written from the registries."""

from importlib.metadata import version

import streamlit as st

from core.explain import EXPLAINERS
from core.measure import MEASURES
from pages.ui.session import location
from pages.ui.widgets import method_card
from pages.ui.widgets.text import family_title

bench = location.bench()
side = min(bench.model.preprocess.size)


def methods() -> None:
    """The cards of the explainers, of one family or of all."""
    usable = bench.usable()
    families = list(dict.fromkeys(method.family for method in EXPLAINERS.values()))
    wanted = st.pills(
        "Family",
        ["all", *families],
        default="all",
        required=True,
        format_func=family_title,
        bind="query-params",
        key="family",
    )
    for family in [wanted] if wanted in families else families:  # an empty parameter in the address is no family
        st.subheader(family_title(family), anchor=False)
        for name, method in EXPLAINERS.items():
            if method.family == family:
                method_card.card(method, side, unmet=usable[name])


def measures() -> None:
    """The cards of the measures."""
    st.markdown("A measure says in numbers how much a map, or a method, can be trusted.")
    for measure in MEASURES.values():
        method_card.card(measure, side, result=measure.scale)


st.header("Methods and measures")
KINDS = {"methods": methods, "measures": measures}
kind = st.segmented_control(
    "Show", list(KINDS), default="methods", required=True, format_func=str.capitalize, bind="query-params", key="kind",
    label_visibility="collapsed",
)  # fmt: skip
KINDS.get(kind or "", methods)()

parts = ", ".join(f"{name} {version(name)}" for name in ("vitrine", "torch", "torchvision", "numpy", "streamlit"))
st.caption(
    f"All random draws depend on the seed (now {location.current().seed}): the same seed gives the same map. {parts}."
)
