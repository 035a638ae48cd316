"""One method at several layers: the choice of the method and of the layers."""

from collections.abc import Sequence

import streamlit as st

from core.explain import EXPLAINERS
from core.registry import unknown
from core.workbench import Workbench
from pages.ui.session import parameters
from pages.ui.widgets import forms

MOST = 8  # layers side by side


def method(bench: Workbench, first: str) -> str:
    """The choice of the method among those that work on the model and depend on the layer."""
    names = methods(bench)
    default = first if first in names else names[0]
    choice = parameters.choice("Method", names, "method", default=default)
    return choice.draw(st.selectbox, format_func=lambda name: EXPLAINERS[name].title, width=240)


def methods(bench: Workbench) -> list[str]:
    """The methods that work on the model and whose maps depend on the layer."""
    return [name for name, reason in bench.usable().items() if not reason and _follows(bench, name)]


def layers(bench: Workbench) -> list[str]:
    """The choice of the layers in the order of the network: by default the last one of each resolution."""
    usable = bench.model.survey.usable
    titles = {layer.name: forms.layer_title(layer) for layer in usable}

    def read(text: str) -> list[str]:
        given = list(filter(None, text.split(",")))
        for name in given:
            if name not in titles:
                raise unknown("layer", name, titles)
        return given

    def valid(values: list[str]) -> list[str]:
        return _ordered([name for name in values if name in titles], list(titles)) or default

    default = list(bench.model.survey.stages[-MOST:]) or [bench.model.survey.default]
    parameter = parameters.Parameter[list[str]](
        "Layers", "layers", default, read, ",".join, valid, {"options": list(titles), "max_selections": MOST}
    )
    with st.popover(f"Layers · {len(parameter.value())}", icon=":material/layers:"):
        chosen = parameter.draw(st.multiselect, format_func=lambda name: titles[name])
        st.caption(f"At most {MOST} layers. Early layers are finer, later ones closer to the class.")
    return _ordered(chosen, list(titles)) or default


def _ordered(names: Sequence[str], order: Sequence[str]) -> list[str]:
    return [name for name in order if name in names]


def _follows(bench: Workbench, name: str) -> bool:
    return EXPLAINERS[name].follows_layer(bench.model.survey)
