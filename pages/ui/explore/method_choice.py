"""The choice of methods, and their settings."""

from collections.abc import Sequence

import streamlit as st

from core.environment import MOST_SEED
from core.explain import BUDGETS, EXPLAINERS
from core.workbench import Workbench
from pages.ui.explore import method_sets
from pages.ui.session import location
from pages.ui.widgets import forms
from pages.ui.widgets.text import family_title

QUALITIES = {"quick": "Quick", "standard": "Standard", "paper": "As in paper"}  # of `BUDGETS`


def chosen() -> tuple[str, ...]:
    """The current methods."""
    return location.current().methods or method_sets.FIRST


def methods(bench: Workbench) -> None:
    """A button that opens the methods of every family for selection, and presets."""
    names, usable = chosen(), bench.usable()

    def titled(name: str) -> str:
        return EXPLAINERS[name].title + (" (not on this model)" if usable[name] else "")

    with st.popover(f"Methods · {len(names)}", icon=":material/grid_view:"):
        st.menu_button(
            "Presets", list(method_sets.SETS), key="set", on_click=lambda: method_sets.take(st.session_state["set"])
        )
        for family in dict.fromkeys(method.family for method in EXPLAINERS.values()):
            members = [name for name, method in EXPLAINERS.items() if method.family == family]
            st.session_state[f"family.{family}"] = [name for name in members if name in names]
            st.pills(
                family_title(family), members, selection_mode="multi", format_func=titled,
                key=f"family.{family}", on_change=_chosen, args=(family,),
            )  # fmt: skip


def _chosen(family: str) -> None:
    """Store the selection in one family, keeping the others and the registry's order."""
    now = set(st.session_state[f"family.{family}"])
    keep = {name for name in chosen() if EXPLAINERS[name].family != family}
    location.go(methods=tuple(name for name in EXPLAINERS if name in keep | now))


def settings(bench: Workbench, names: Sequence[str]) -> None:
    """A button that opens the settings common to all methods, then those of each."""
    layers = bench.model.survey.usable

    def sized(name: str) -> str:
        return forms.layer_title(next(layer for layer in layers if layer.name == name))

    with st.popover("Settings", icon=":material/tune:"):
        left, right = st.columns(2)
        st.session_state["seed"] = location.current().seed
        left.number_input(
            "Seed", 0, MOST_SEED, key="seed", on_change=lambda: location.go(seed=st.session_state["seed"])
        )
        st.session_state["layer"] = location.current().layer or bench.model.survey.default or None
        right.selectbox(
            "Layer", [layer.name for layer in layers], key="layer", format_func=sized,
            on_change=lambda: location.go(layer=st.session_state["layer"]),
        )  # fmt: skip
        with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
            at = {b: all(location.settings(name) == EXPLAINERS[name].budget(b) for name in names) for b in BUDGETS}
            st.session_state["budget"] = next((budget for budget in BUDGETS if at[budget]), None)
            st.segmented_control(
                "Quality", BUDGETS, key="budget", format_func=QUALITIES.__getitem__, on_change=_budget, args=(names,)
            )
            st.session_state["settle"] = location.current().settle
            st.toggle(
                "Stop early when the map converges", key="settle",
                on_change=lambda: location.go(settle=st.session_state["settle"]),
                help="Iterative methods end as soon as their map no longer changes.",
            )  # fmt: skip
        adjustable = [name for name in names if EXPLAINERS[name].params]
        if adjustable:
            for tab, name in zip(st.tabs([EXPLAINERS[name].title for name in adjustable]), adjustable, strict=True):
                with tab:
                    forms.settings(EXPLAINERS[name].params, name, bench.model)


def _budget(names: Sequence[str]) -> None:
    """Apply the settings of the chosen budget to these methods."""
    if chosen_budget := st.session_state["budget"]:
        for name in names:
            location.settings(name).clear()
            location.settings(name).update(EXPLAINERS[name].budget(chosen_budget))
