"""Compare: methods side by side on one image, for one class or several."""

import streamlit as st

from core.explain import EXPLAINERS
from core.workbench import Ask
from pages.ui import compared, forms, state

FIRST = ("grad_cam", "saliency", "guided_backprop", "occlusion", "rise")

bench, picture = state.bench(), state.subject()
usable = bench.usable()
names = state.place().methods or tuple(name for name in FIRST if name in EXPLAINERS)


def chosen(family: str) -> None:
    """Take over the choice made in one family, leaving the others and the registry's order."""
    now = set(st.session_state[f"family.{family}"])
    keep = {name for name in names if EXPLAINERS[name].family != family}
    state.go(methods=tuple(name for name in EXPLAINERS if name in keep | now))


def titled(name: str) -> str:
    """A method's title, marked where it cannot work on this model."""
    return EXPLAINERS[name].title + (" (not on this model)" if usable[name] else "")


with st.container(key="vitrine-controls", horizontal=True, vertical_alignment="bottom", gap="small"):
    with st.popover(f"Methods · {len(names)}", icon=":material/grid_view:"):
        for family in dict.fromkeys(method.family for method in EXPLAINERS.values()):
            members = [name for name, method in EXPLAINERS.items() if method.family == family]
            st.session_state[f"family.{family}"] = [name for name in members if name in names]
            st.pills(
                family.capitalize(), members, selection_mode="multi", format_func=titled,
                key=f"family.{family}", on_change=chosen, args=(family,),
            )  # fmt: skip
    with st.popover("Settings", icon=":material/tune:"):
        with_settings = [name for name in names if EXPLAINERS[name].params]
        for tab, name in zip(
            st.tabs([EXPLAINERS[n].title for n in with_settings] or ["-"]), with_settings, strict=False
        ):
            with tab:
                st.caption(EXPLAINERS[name].summary)
                forms.settings(EXPLAINERS[name].params, name)
    st.session_state["classes"] = list(state.targets(bench, picture))
    st.multiselect(
        "Classes explained", range(len(bench.model.labels)), key="classes", max_selections=4,
        format_func=lambda index: bench.model.labels[index],
        on_change=lambda: state.go(targets=tuple(st.session_state["classes"])),
    )  # fmt: skip
    st.session_state["seed"] = state.place().seed
    st.number_input(
        "Seed", 0, 10**9 - 1, key="seed", width=110, on_change=lambda: state.go(seed=st.session_state["seed"])
    )

asks = [Ask(name, target, dict(state.settings(name))) for target in state.targets(bench, picture) for name in names]
compared.drawn(compared.current(bench, picture, asks), "grid")
