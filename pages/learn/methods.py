"""Methods: a card for each explainer, written from the registry."""

from importlib.metadata import version

import streamlit as st

from core.explain import EXPLAINERS
from pages.ui.session import location
from pages.ui.widgets import method_card
from pages.ui.widgets.text import family_title

bench = location.bench()
usable = bench.usable()
families = list(dict.fromkeys(method.family for method in EXPLAINERS.values()))

st.header("Methods")
wanted = st.pills(
    "Family",
    ["all", *families],
    default="all",
    required=True,
    format_func=family_title,
    bind="query-params",
    key="family",
)
for family in [wanted] if wanted in families else families:  # an empty parameter of the address is no family
    st.subheader(family_title(family), anchor=False)
    for name, method in EXPLAINERS.items():
        if method.family == family:
            method_card.card(name, method, usable[name], bench)

parts = ", ".join(f"{name} {version(name)}" for name in ("vitrine", "torch", "torchvision", "numpy", "streamlit"))
st.caption(f"All chance comes from the seed, now {location.current().seed}: the same seed gives the same map. {parts}.")
