"""The choice of measures, and their settings."""

from collections.abc import Iterable, Sequence

import streamlit as st

from core.comparison import MeasureRequest, needs_mask
from core.explain import BUDGETS
from core.measure import MEASURES
from core.registry import unknown
from pages.ui.explore.method_choice import QUALITIES
from pages.ui.session import location, parameters, state
from pages.ui.widgets import forms
from pages.ui.widgets.text import family_title

FIRST = ("deletion_curve", "insertion_curve", "agreement", "sparseness")  # in the order of the page
CURVES = "curves"  # shown as a family of their own, before the others


def requests() -> list[MeasureRequest]:
    """The chosen measures with their settings."""
    return [MeasureRequest(name, dict(location.settings(name))) for name in _names()]


def masked(measures: Iterable[MeasureRequest]) -> bool:
    """Whether one of these measures compares maps with a mask."""
    return any(needs_mask(measure.name) for measure in measures)


def measures() -> None:
    """A button that opens the measures for selection: curves, then the numbers of every family."""
    names = _names()
    with st.popover(f"Measures · {len(names)}", icon=":material/straighten:"):
        for family, members in _families().items():
            st.session_state[f"measures.{family}"] = [name for name in members if name in names]
            st.pills(
                family_title(family), members, selection_mode="multi", format_func=lambda name: MEASURES[name].title,
                key=f"measures.{family}", on_change=_chosen, args=(family,),
            )  # fmt: skip
            if any(map(needs_mask, members)):
                st.caption("These compare a map with a mask of the object, which you can give under Mask.")
    parameters.keep("metrics", ",".join(names), ",".join(FIRST))


def settings() -> None:
    """A button that opens the settings of each measure."""
    names = [name for name in _names() if MEASURES[name].params]
    if not names:
        return
    with st.popover("Measure settings", icon=":material/tune:"):
        at = {b: all(location.settings(name) == MEASURES[name].budget(b) for name in names) for b in BUDGETS}
        st.session_state["measures.budget"] = next((budget for budget in BUDGETS if at[budget]), None)
        st.segmented_control(
            "Quality", BUDGETS, key="measures.budget", format_func=QUALITIES.__getitem__, on_change=_budget,
            args=(names,),
        )  # fmt: skip
        for tab, name in zip(st.tabs([MEASURES[name].title for name in names]), names, strict=True):
            with tab:
                forms.settings(MEASURES[name].params, name, location.bench().model)


def _names() -> list[str]:
    """The chosen measures in the order of the registry, curves first."""
    if "measures" not in st.session_state or "metrics" in st.query_params:
        text = parameters.text("metrics", ",".join(FIRST))
        if text != st.session_state.get("measures.text"):
            st.session_state["measures.text"] = text
            st.session_state["measures"] = _read(text)
    found: list[str] = st.session_state["measures"]
    return found


def _read(text: str) -> list[str]:
    names = list(dict.fromkeys(filter(None, text.split(","))))
    for name in names:
        if name not in MEASURES:
            state.add_problem(f"This link: {unknown('measure', name, MEASURES)} The other settings are kept.")
    return _ordered(name for name in names if name in MEASURES) or list(FIRST)


def _ordered(names: Iterable[str]) -> list[str]:
    wanted = set(names)
    return [name for members in _families().values() for name in members if name in wanted]


def _families() -> dict[str, list[str]]:
    """The measures by family."""
    found: dict[str, list[str]] = {CURVES: []}
    for name, card in MEASURES.items():
        found.setdefault(CURVES if card.is_curve else card.family, []).append(name)
    return found


def _chosen(family: str) -> None:
    """Store the selection in one family, keeping the others; without any, the first measures are chosen."""
    keep = set(st.session_state["measures"]) - set(_families()[family])
    names = _ordered(keep | set(st.session_state[f"measures.{family}"])) or list(FIRST)
    st.session_state["measures"] = names
    st.session_state["measures.text"] = ",".join(names)
    parameters.keep("metrics", ",".join(names), ",".join(FIRST))


def _budget(names: Sequence[str]) -> None:
    """Apply the settings of the chosen budget to these measures."""
    if budget := st.session_state["measures.budget"]:
        for name in names:
            location.settings(name).clear()
            location.settings(name).update(MEASURES[name].budget(budget))
