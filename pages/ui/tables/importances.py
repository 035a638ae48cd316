"""Three views of a table: a linear regression, a decision tree and the network, and whether they agree."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from core.figures.tables.importances import MOST, importances, tree
from core.measure.intervals import Interval
from core.params import checked
from core.progress import Report, subrange
from core.serialization import digest
from core.tables.importance import LINEAR, NETWORK, TREE, VIEWS, Views, dropped, views
from core.tables.tree import Node
from pages.ui.session import location
from pages.ui.tables.files import offered
from pages.ui.tables.network import Model
from pages.ui.widgets import forms
from pages.ui.widgets.on_demand import computed, on_demand
from pages.ui.widgets.text import plain

_OWNER, _PART = "importance", "table-views"
_WIDE = 300  # features from which shuffling each takes more than a moment
_RETRAINED = "Regression: trained again", "Tree: trained again"
_TITLES = {LINEAR: "Linear regression: |t|", TREE: "Tree: Gini", NETWORK: "Network: loss if shuffled"}


def section(found: Model, key: str) -> None:
    """The three side by side, one sentence, the regression and the tree."""
    st.header("What does the network rely on?", anchor=False)
    with st.popover("Settings", icon=":material/tune:", key="tables-importance"):
        forms.settings([one for one in VIEWS.params if one.name != "label" or found.training.classes], _OWNER)
    settings = checked(VIEWS.params, location.settings(_OWNER), _OWNER)

    def work(report: Report) -> Views:
        return views(found.predict, found.training, found.held_out, **settings, report=report)

    seen = _computed(found, digest([key, settings]), work)
    if seen is None:
        return
    st.markdown(f"**{plain(seen.agreement.sentence)}**")
    table = seen.agreement.importances
    methods = {_TITLES[name]: table[name].to_numpy() for name in _TITLES if name in table}
    st.plotly_chart(
        importances(found.training.names, methods, {_TITLES[NETWORK]: list(seen.intervals.values())}),
        key="tables-importances", config={"displayModeBar": False}, alt=f"Importances: {seen.agreement.sentence}",
    )  # fmt: skip
    for note in seen.notes:
        st.caption(plain(note))
    best = np.argsort(-table[NETWORK].to_numpy(), kind="stable")[:MOST]
    panels: dict[str, list[Interval | float | None]] = {
        name: [float(values[n]) for n in best] for name, values in methods.items()
    }
    panels[_TITLES[NETWORK]] = [list(seen.intervals.values())[number] for number in best]
    offered(
        f"{found.training.name}: importances",
        "importances-chart",
        table,
        [found.training.names[number] for number in best],
        panels,
    )
    _without(found, seen, settings, key)
    with st.expander("The numbers", icon=":material/table:"):
        _tables(seen)
    with st.expander("The decision tree", icon=":material/account_tree:"):
        event = st.plotly_chart(
            tree(seen.tree.root), key="tables-tree", config={"displayModeBar": False}, on_select="rerun",
            selection_mode="points", alt="Decision tree: a click on a node tells which rows it has",
        )  # fmt: skip
        points = event["selection"]["points"]
        number = points[0].get("customdata", 0) if points else 0
        st.markdown(plain(_path(seen.tree.root, int(number[0] if isinstance(number, list) else number))))


def _without(found: Model, seen: Views, settings: dict[str, Any], key: str) -> None:
    """The increase of the error with the mean in place of a feature, and of simple models trained without it."""
    names = found.training.names
    with st.expander("What is lost without a feature?", icon=":material/backspace:"):
        if not 1 < len(names) <= _WIDE:
            st.caption(
                f"Models are trained again without each feature of tables with 2 to {_WIDE:,}; here there are "
                f"{len(names):,}. The numbers below have the mean in place of each."
            )
            return

        def work(report: Report) -> dict[str, NDArray[np.float64]]:
            parts, losses = (found.training, found.held_out), dict[str, NDArray[np.float64]]()
            if seen.linear:
                label = settings["label"]
                losses[_RETRAINED[0]] = dropped("linear", *parts, label=label, report=subrange(report, 0, 0.5))
            how = {"depth": settings["depth"], "least": settings["least"]}
            return losses | {_RETRAINED[1]: dropped("tree", *parts, **how, report=subrange(report, 0.5, 1))}

        losses = on_demand(
            "table-without", digest([key, settings]), "Training without a feature", work, button="Train again",
            note="The network gets the mean or the most frequent category instead; the regression and the tree are "
            "trained again without the feature. Held-out rows say what is lost.",
        )  # fmt: skip
        if losses is None:
            return
        methods = {**losses, "Network: mean in its place": seen.imputed}
        order = np.argsort(-seen.imputed, kind="stable")[:MOST]
        said = "; ".join(
            f"{method.partition(':')[0]}: {names[int(values.argmax())]}" for method, values in methods.items()
        )
        st.markdown(plain(f"What costs most: {said}."))
        st.plotly_chart(
            importances(names, methods),
            key="tables-without",
            config={"displayModeBar": False},
            alt=f"Increase of the error without each feature. {said}",
        )
        offered(
            f"{found.training.name}: without a feature",
            "without",
            pd.DataFrame({"feature": names, **methods}),
            [names[number] for number in order],
            {method: [float(values[number]) for number in order] for method, values in methods.items()},
        )


def _path(root: Node, number: int) -> str:
    """The rows of a node as a sentence: the answers that lead to it, and their classes."""
    asked, node = list[str](), root
    while node.children and node.number != number:
        yes, no = node.children
        asked.append(f"{node.question}: {'yes' if number < no.number else 'no'}")
        node = yes if number < no.number else no
    of = f"Where {', '.join(asked)}" if asked else "In all rows of the training"
    return f"{of}, {node.n:,} rows, most {node.value}, Gini impurity {node.impurity:.3f}."


def _computed(found: Model, key: str, work: Callable[[Report], Views]) -> Views | None:
    """The views: at once for a narrow table, on demand for a wide one."""
    if len(found.training.columns) > _WIDE:
        note = f"Shuffles each of {len(found.training.columns):,} features: seconds for a network, minutes for others."
        return on_demand(_PART, key, "Shuffling features", work, button="Compute importances", note=note)
    return computed(_PART, key, "Shuffling features", work)


def _tables(seen: Views) -> None:
    """The importances and the regression, and both as CSV."""
    table = seen.agreement.importances.copy()
    table["network from"] = [one.low if one else None for one in seen.intervals.values()]
    table["to"] = [one.high if one else None for one in seen.intervals.values()]
    table["mean imputed"] = seen.imputed
    _shown(table, "importances")
    if seen.linear:
        st.caption(
            plain(
                f"Linear regression of {seen.linear.outcome}: R² {seen.linear.r_squared:.3f}, {seen.linear.degrees:,} "
                "degrees of freedom."
            )
        )
        _shown(seen.linear.coefficients, "regression")


def _shown(table: pd.DataFrame, name: str) -> None:
    st.dataframe(table, hide_index=True, alt=f"Table of {name}")
    offered(name, name, table)
