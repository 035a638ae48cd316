"""Declared settings as widgets: one form for a method, a measure, a study or anything else that declares `Knob`s."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from core.params import Param
from pages.ui.session import location


def settings(params: Sequence[Param], owner: str) -> None:
    """A widget for every setting of `owner`; what differs from the defaults stands in `location.settings(owner)`."""
    for param in params:
        key = f"set.{owner}.{param.name}"
        st.session_state[key] = location.settings(owner).get(param.name, param.default)
        _widget(param, key, owner)
    if location.settings(owner):
        st.button("Reset to defaults", key=f"reset.{owner}", on_click=location.settings(owner).clear, type="tertiary")


def title(param: Param) -> str:
    """A setting's name as a form shows it."""
    return param.name.replace("_", " ").capitalize()


def _widget(param: Param, key: str, owner: str) -> None:
    label, text = title(param), param.knob.help
    common: dict[str, Any] = {"key": key, "help": text, "on_change": _keep, "args": (param, key, owner)}
    if param.kind == "bool":
        st.toggle(label, **common)
    elif param.kind == "choice":
        st.selectbox(label, param.choices, format_func=lambda choice: choice.replace("_", " "), **common)
    elif param.kind == "text":
        st.text_input(label, **common)
    else:
        _number(param, label, common)


def _number(param: Param, label: str, common: dict[str, Any]) -> None:
    kind = int if param.kind == "int" else float
    low, high, step = (
        None if value is None else kind(value) for value in (param.knob.low, param.knob.high, param.knob.step)
    )
    step = step or (1 if kind is int else None)
    st.session_state[common["key"]] = kind(st.session_state[common["key"]])
    if low is not None and high is not None and kind is float:
        st.slider(label, low, high, step=step or (high - low) / 20, **common)
    else:
        st.number_input(label, low, high, step=step, **common)


def _keep(param: Param, key: str, owner: str) -> None:
    value = st.session_state[key]
    if value is None or value == param.default:
        location.settings(owner).pop(param.name, None)
    else:
        location.settings(owner)[param.name] = value
