"""Compare: methods side by side on one image, for one class or several."""

import streamlit as st

from core.environment import MOST_SEED
from core.explain import BUDGETS, EXPLAINERS
from core.workbench import Request
from pages.ui.explore import class_choice, comparison, method_sets
from pages.ui.session import location
from pages.ui.widgets import forms
from pages.ui.widgets.text import family_title

bench, picture = location.bench(), location.subject()
usable, layers = bench.usable(), bench.model.survey.usable
QUALITIES = {"quick": "Quick", "standard": "Standard", "paper": "As in paper"}  # of `BUDGETS`
PRESENTED = 6  # maps in a presentation
names = location.current().methods or method_sets.FIRST


def chosen(family: str) -> None:
    """Store the selection in one family, keeping the others and the registry's order."""
    now = set(st.session_state[f"family.{family}"])
    keep = {name for name in names if EXPLAINERS[name].family != family}
    location.go(methods=tuple(name for name in EXPLAINERS if name in keep | now))


def titled(name: str) -> str:
    """A method's title, marked if it does not work on this model."""
    return EXPLAINERS[name].title + (" (not on this model)" if usable[name] else "")


def sized(name: str) -> str:
    """A layer's name with the size of its output."""
    return forms.layer_title(next(layer for layer in layers if layer.name == name))


def methods() -> None:
    """The methods of every family for selection, and presets."""
    st.menu_button(
        "Presets", list(method_sets.SETS), key="set", on_click=lambda: method_sets.take(st.session_state["set"])
    )
    for family in dict.fromkeys(method.family for method in EXPLAINERS.values()):
        members = [name for name, method in EXPLAINERS.items() if method.family == family]
        st.session_state[f"family.{family}"] = [name for name in members if name in names]
        st.pills(
            family_title(family), members, selection_mode="multi", format_func=titled,
            key=f"family.{family}", on_change=chosen, args=(family,),
        )  # fmt: skip


def budget() -> None:
    """Apply the settings of the chosen budget to the current methods."""
    if chosen_budget := st.session_state["budget"]:
        for name in names:
            location.settings(name).clear()
            location.settings(name).update(EXPLAINERS[name].budget(chosen_budget))


def settings() -> None:
    """The settings common to all methods, then those of each."""
    left, right = st.columns(2)
    st.session_state["seed"] = location.current().seed
    left.number_input("Seed", 0, MOST_SEED, key="seed", on_change=lambda: location.go(seed=st.session_state["seed"]))
    st.session_state["layer"] = location.current().layer or bench.model.survey.default or None
    right.selectbox(
        "Layer", [layer.name for layer in layers], key="layer", format_func=sized,
        on_change=lambda: location.go(layer=st.session_state["layer"]),
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        now = next((b for b in BUDGETS if all(location.settings(n) == EXPLAINERS[n].budget(b) for n in names)), None)
        st.session_state["budget"] = now
        st.segmented_control("Quality", BUDGETS, key="budget", format_func=lambda one: QUALITIES[one], on_change=budget)
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


with st.container(key="vitrine-controls", horizontal=True, vertical_alignment="bottom", gap="small"):
    with st.popover(f"Methods · {len(names)}", icon=":material/grid_view:"):
        methods()
    with st.popover("Settings", icon=":material/tune:"):
        settings()
    class_choice.choice(bench, picture)
    class_choice.true_class(bench, picture)

here, targets = location.current(), location.targets(bench, picture)
shown = names[: max(1, PRESENTED // len(targets))] if here.present else names
requests = [Request(name, target, dict(location.settings(name)), here.settle) for target in targets for name in shown]
comparison.drawn(comparison.current(bench, picture, requests), "grid")
