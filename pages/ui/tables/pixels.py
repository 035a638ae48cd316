"""Pixels of digits as features, where importances fail, beside what the network sees in one of them."""

from functools import partial
from typing import Any

import streamlit as st

from core.errors import Unsupported
from core.figures.sheet import png
from core.figures.tables.pixels import enlarged
from core.progress import Report, subrange
from core.tables.pixels import REASON, forest_weights, gini, inversion, saliency, side
from core.tables.table import Table
from core.tables.tree import tree
from pages.ui.tables.network import Model
from pages.ui.widgets.on_demand import computed
from pages.ui.widgets.text import plain


def section(table: Table, found: Model, key: str, row: int) -> None:
    """The row as a picture beside importances, LIME on a forest, saliency, and an input that maximises its class."""
    try:
        width = side(table)
    except Unsupported:
        return
    if not table.classes or found.network is None:
        return
    net = found.network
    st.header("Where importances fail", anchor=False)
    label = table.classes[int(table.answers[row])]

    def work(report: Report) -> tuple[Any, Any, Any]:
        weights = forest_weights(found.training, table.values[row], label, report=subrange(report, 0, 0.5))
        made = inversion(net, label, report=subrange(report, 0.5, 1))
        return gini(tree(found.training)), weights, made

    shares, weights, input_of_class = computed("table-pixels", (key, row), "Explaining pixels", work)
    pictures = {
        f"Row {row:,}: {label}": table.values[row].reshape(width, -1),
        "Gini importance of each pixel": shares,
        "LIME on a random forest": weights,
        "Saliency of this row": saliency(net, table.values[[row]], label),
        f"Input that maximises {label}": input_of_class,
    }
    for column, (name, values) in zip(st.columns(len(pictures)), pictures.items(), strict=True):
        with column:
            picture = enlarged(values)
            st.image(picture, caption=plain(name), alt=f"{name}: brighter is more", width="stretch")
            st.download_button(
                "PNG", partial(png, picture), f"{name.partition(':')[0].lower()}.png", "image/png",
                key=f"tables-pixels-{name.split(maxsplit=1)[0]}", on_click="ignore", icon=":material/download:",
            )  # fmt: skip
    st.caption(REASON)
