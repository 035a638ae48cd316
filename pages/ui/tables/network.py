"""The model of the page: a network that is trained in seconds, or the user's own that the app was started with."""

from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.environment import app_table_model
from core.params import checked
from core.progress import Report
from core.serialization import digest
from core.tables.network import Network
from core.tables.own_model import own_model
from core.tables.table import Predict, Table
from core.tables.training import NETWORK, Trained, score, split, train
from pages.ui.session import location, parameters
from pages.ui.tables.opened import Opened
from pages.ui.widgets import forms
from pages.ui.widgets.on_demand import computed
from pages.ui.widgets.text import plain

OWNER = "network"
_KINDS = {"network": "a network trained here", "own": "your own, of the command line"}  # in the address, never a path


@dataclass(frozen=True, eq=False)
class Model:
    """What the page explains, with the rows it is trained on and those held out."""

    predict: Predict
    training: Table
    held_out: Table
    network: Network | None  # none for the user's own model
    sentence: str


def modelled(opened: Opened) -> tuple[Model, str]:
    """The model for the table, trained if it is not there yet, and what identifies it."""
    own = app_table_model()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        kind = "network"
        if own:
            kind = parameters.choice("Model", list(_KINDS), "of").draw(
                st.segmented_control, required=True, format_func=_KINDS.__getitem__
            )
        with st.popover("Network", icon=":material/tune:"):
            forms.settings(NETWORK.params, OWNER)
    settings = checked(NETWORK.params, location.settings(OWNER), OWNER)
    NETWORK.validate(settings)
    key = digest([opened.key, settings, own if kind == "own" else ""])

    def work(report: Report) -> Model:
        return _own(own, opened.table, settings) if kind == "own" else _trained(opened.table, settings, report)

    found = computed("table-network", key, "Predicting" if kind == "own" else "Training", work)
    st.markdown(plain(found.sentence))
    return found, key


def _trained(table: Table, settings: dict[str, Any], report: Report) -> Model:
    one: Trained = train(table, **settings, report=report)
    return Model(one.network, one.training, one.held_out, one.network, one.sentence)


def _own(name: str, table: Table, settings: dict[str, Any]) -> Model:
    """The user's model with its score on the rows that a network would be held out from."""
    predict = own_model(name, table)
    training, held_out = split(table, settings["held_out"], settings["seed"])
    value = score(predict(held_out.values), held_out, training)
    shown = f"accuracy of your model is {value:.1%}" if table.classes else f"R² of your model is {value:.2f}"
    sentence = f"The {shown} on {len(held_out):,} rows, on some of which it may have been trained."
    return Model(predict, training, held_out, None, sentence)
