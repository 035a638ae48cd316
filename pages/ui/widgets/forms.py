"""Forms for declared settings: of a method, a measure, a study or anything else that declares `Knob`s."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from core.errors import VitrineError
from core.models import Model
from core.network.inspection import Layer
from core.params import Param, checked, spelled
from pages.ui.session import location, state
from pages.ui.widgets.text import plain


def settings(params: Sequence[Param], owner: str, model: Model | None = None, *, explained: bool = False) -> None:
    """A widget for every setting of `owner`; values that differ from the defaults go to `location.settings(owner)`.

    With a model its layers can be selected, and units are looked up in it. If `explained`, what a setting does stands
    below it, else in a tooltip.
    """
    for param in params:
        key = f"set.{owner}.{param.name}"
        st.session_state[key] = location.settings(owner).get(param.name, param.default)
        _widget(param, key, owner, model, "" if explained else param.knob.help)
        if explained:
            st.caption(plain(param.knob.help))
    if count := len(location.settings(owner)):
        text = f"Reset {count} changed setting{'s' * (count != 1)}"
        st.button(text, key=f"reset.{owner}", on_click=location.settings(owner).clear, type="tertiary")


def title(param: Param) -> str:
    """A setting's name in a form."""
    return param.knob.title or param.name.replace("_", " ").capitalize()


def layer_title(layer: Layer) -> str:
    """A layer's name with the size of its output."""
    return f"{layer.name} · {layer.units} × {layer.cells[0]} × {layer.cells[1]}"


def _widget(param: Param, key: str, owner: str, model: Model | None, text: str) -> None:
    label = title(param)
    common: dict[str, Any] = {"key": key, "help": text, "on_change": _keep, "args": (param, key, owner, model)}
    if param.kind == "bool":
        st.toggle(label, **common)
    elif param.kind == "choice":
        names = dict(zip(param.choices, param.knob.names, strict=False))
        st.selectbox(label, param.choices, format_func=lambda one: names.get(one, one.replace("_", " ")), **common)
    elif param.kind in ("int", "float"):
        _number(param, label, common)
    elif param.kind == "layer" and model:
        _layer(label, common, model)
    else:
        st.session_state[key] = spelled(st.session_state[key])
        st.text_input(label, **common)


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


def _layer(label: str, common: dict[str, Any], model: Model) -> None:
    """A selection of the layers with positions; none, or one that this model lacks, is the model's default."""
    titles = {layer.name: layer_title(layer) for layer in model.survey.usable}
    if st.session_state[common["key"]] not in titles:
        st.session_state[common["key"]] = model.survey.default or None
    st.selectbox(label, list(titles), format_func=titles.__getitem__, **common)


def _keep(param: Param, key: str, owner: str, model: Model | None) -> None:
    """Store the value of a widget; an invalid one adds a notice and leaves the setting unchanged."""
    value = st.session_state[key]
    if value is None or (value == "" and param.kind == "numbers"):
        value = param.default
    try:
        value = checked([param], {param.name: value}, owner, lambda _: title(param), model)[param.name]
    except VitrineError as error:
        state.add_notice("warning", str(error))
        return
    if value == param.default:
        location.settings(owner).pop(param.name, None)
    else:
        location.settings(owner)[param.name] = value
