"""One row explained: LIME's weights, beside those of networks that were trained on shuffled targets."""

from typing import Any

import numpy as np
import streamlit as st

from core.figures.tables.local import weights_figure
from core.params import checked
from core.progress import Report
from core.serialization import digest
from core.tables.lime import LIME, LocalExplanation, lime_table
from core.tables.null import Null, shuffled_null
from core.tables.representatives import Representatives, representative_rows
from core.tables.table import Table
from core.tables.training import NETWORK, train
from pages.ui.session import location, parameters
from pages.ui.tables import network
from pages.ui.tables.files import offered
from pages.ui.tables.network import Model
from pages.ui.widgets import forms
from pages.ui.widgets.on_demand import computed, on_demand
from pages.ui.widgets.text import plain

_OWNER = "lime"
_SHUFFLES = 20
_EXPLAINED, _CHOSEN, _FEWER, _CONDITIONS = 100, 5, 1000, 4  # rows, rows chosen, rows drawn for each, conditions told
_MOST_VALUES = 20_000_000  # drawn at once unless more samples are asked for: wide tables get fewer rows


def section(table: Table, found: Model, key: str) -> int:
    """The row, its prediction, the weights and their null; returns the number of the row."""
    st.header("Why this row?", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        row = parameters.number("Row", 0, len(table) - 1, "row", default=0, step=1).draw(st.number_input, width=140)
        with st.popover("LIME", icon=":material/tune:", key="tables-lime"):
            forms.settings(LIME.params, _OWNER)
    given = dict(location.settings(_OWNER))
    usual = next(one.default for one in LIME.params if one.name == "samples")
    given.setdefault("samples", max(200, min(usual, _MOST_VALUES // max(len(table.encoded_names), 1))))
    settings = checked(LIME.params, given, _OWNER)
    features, values = table.frame.columns[:-1], table.frame.iloc[row]
    shown = ", ".join(f"{name} {_short(values[name])}" for name in features[:12])
    more = f" and {len(features) - 12:,} more" if len(features) > 12 else ""
    st.caption(plain(f"{table.target.name} is {_short(values.iloc[-1])}; {shown}{more}."))
    own = digest([key, row, settings])

    def work(report: Report) -> LocalExplanation:
        return lime_table(table, found.predict, table.values[row], **settings, report=report)

    one = computed("table-lime", own, "Drawing rows", work)
    null = _null(table, row, settings, own, found) if found.network else None
    st.markdown(plain(one.sentence))
    frame = one.frame.head(one.shown or len(one.frame))
    st.plotly_chart(
        weights_figure(
            frame["condition"].tolist(), frame["weight"].tolist(), explained=one.explained,
            quantile=null.quantile if null else None,
        ),
        key="tables-weights", config={"displayModeBar": False}, alt=f"Weights of row {row} for the {one.explained}",
    )  # fmt: skip
    if null:
        st.markdown(plain(null.sentence))
    weights = {f"Weight: change of {one.explained}": [float(weight) for weight in frame["weight"]]}
    offered(f"{table.name}: row {row}", "lime", one.frame, frame["condition"].tolist(), weights)
    _representatives(table, settings, found, key)
    return int(row)


def _representatives(table: Table, settings: dict[str, Any], found: Model, key: str) -> None:
    """A few rows that together show the features that matter (SP-LIME), on demand."""
    count = min(len(table), _EXPLAINED)
    rows = [int(number) for number in np.linspace(0, len(table) - 1, count)]

    def work(report: Report) -> Representatives:
        few = {**settings, "samples": min(settings["samples"], _FEWER)}
        return representative_rows(table, found.predict, rows, _CHOSEN, report=report, **few)

    with st.expander("Rows that stand for all", icon=":material/filter_list:"):
        chosen = on_demand(
            "table-representatives", digest([key, settings]), "Explaining rows", work, button="Choose rows",
            note=f"Explains {count:,} rows and chooses {_CHOSEN} that cover most of what matters (SP-LIME).",
        )  # fmt: skip
        if chosen is None:
            return
        for number, one, covered in zip(chosen.rows, chosen.explanations, chosen.covered, strict=True):
            some = "; ".join(one.frame["condition"].head(_CONDITIONS))
            st.markdown(plain(f"Row {number:,}: {some}. So far {covered:.0%} of the importance of all features."))


def _null(table: Table, row: int, settings: dict[str, Any], key: str, found: Model) -> Null | None:
    """The comparison with networks of shuffled targets, on demand."""
    training = checked(NETWORK.params, location.settings(network.OWNER), network.OWNER)
    same = {name: value for name, value in settings.items() if name != "features"}

    def work(report: Report) -> Null:
        *_, last = shuffled_null(
            table, lambda some: train(some, **training).network, table.values[row], **same, predict=found.predict,
            shuffles=_SHUFFLES, report=report,
        )  # fmt: skip
        return last

    return on_demand(
        "table-null", key, "Training on shuffled targets", work, button="Compare with shuffled targets",
        note=f"Would networks trained on noise give weights as large? Trains {_SHUFFLES} of them.",
    )  # fmt: skip


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
