"""Rules that describe the network: by a tree on its predictions, or out of its layers by DeepRED."""

from typing import Any

import streamlit as st

from core.export.spreadsheet import as_csv
from core.figures.tables.local import fidelity_figure
from core.params import checked
from core.progress import Report
from core.serialization import digest
from core.tables.rules.deepred import DEEPRED, deepred
from core.tables.rules.hypinv import HYPINV, HalfSpaces, hypinv
from core.tables.rules.ruleset import Rules
from core.tables.rules.source import python_source
from core.tables.rules.surrogate_tree import SURROGATE_TREE, fidelity_by_depth, surrogate_tree
from core.tables.table import Table
from pages.ui.session import location, parameters
from pages.ui.tables.files import offered
from pages.ui.tables.network import Model
from pages.ui.widgets import forms
from pages.ui.widgets.on_demand import computed, done, keep, on_demand
from pages.ui.widgets.text import plain

_METHODS = {
    "tree": ("a tree on its predictions", SURROGATE_TREE),
    "deepred": ("DeepRED, out of its layers", DEEPRED),
    "hypinv": ("HypInv, points on its boundary (experimental)", HYPINV),
}
_SHOWN = 12  # rules until all are asked for
_WIDE = 300  # features from which trees take more than a moment


def section(table: Table, found: Model, key: str, row: int) -> None:
    """The rules with their quality, the one that fires for the row, and what simpler trees would lose."""
    st.header("Rules that describe the network", anchor=False)
    if not table.classes:
        st.info("Rules are about classes. Switch on that it is predicted whether the target is above the average.")
        return
    methods = list(_METHODS) if found.network else ["tree"]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        method = parameters.choice("By", methods, "by").draw(
            st.segmented_control, required=True, format_func=lambda name: _METHODS[name][0]
        )
        with st.popover("Settings", icon=":material/tune:", key="tables-rules"):
            forms.settings(_METHODS[method][1].params, f"rules.{method}")
    if method == "hypinv":
        _half_spaces(found, key)
    elif (rules := _rules(found, key, method)) is not None:
        _shown(table, found, rules, row)
    if len(table.columns) <= _WIDE:
        _trade_off(found, key)


def _rules(found: Model, key: str, method: str) -> Rules | None:
    """A tree's rules at once, DeepRED's on demand."""
    owner = f"rules.{method}"
    settings = checked(_METHODS[method][1].params, location.settings(owner), owner)
    own, part = digest([key, method, settings]), f"table-rules-{method}"
    if method == "deepred" and (net := found.network):

        def extract(report: Report) -> Rules:
            return deepred(found.training, net, **settings, report=report)

        return on_demand(part, own, "Extracting rules", extract, button="Extract rules", note="Seconds to a minute.")
    known: Rules | None = done(part, own)
    return known if known is not None else keep(part, own, surrogate_tree(found.training, found.predict, **settings))


def _half_spaces(found: Model, key: str) -> None:
    """A class as half-spaces that touch the network's boundary, on demand."""
    net, classes = found.network, found.training.classes
    if net is None:
        return
    settings = checked(HYPINV.params, location.settings("rules.hypinv"), "rules.hypinv")
    label = parameters.choice("Class", list(classes), "class", default=classes[-1]).draw(st.selectbox, width=300)

    def search(report: Report) -> HalfSpaces:
        return hypinv(found.training, net, classes.index(label), **settings, report=report)

    half = on_demand(
        "table-hypinv", digest([key, label, settings]), "Searching the boundary", search, button="Search the boundary",
        note="From some rows, steps along the gradient lead to where the class has probability 0.5.",
    )  # fmt: skip
    if half is None:
        return
    st.markdown(plain(half.summary))
    st.markdown(
        "\n\n".join(plain(f"h{place + 1}: {half.sentence(place)}") for place in range(len(half.points))[:_SHOWN])
    )
    st.caption(HYPINV.caution)
    offered(f"{found.training.name}: {label} by HypInv", "hypinv", half.frame)


def _shown(table: Table, found: Model, rules: Rules, row: int) -> None:
    """Quality, the rule of the row, and all rules as sentences and files."""
    held = rules.quality(found.held_out, found.predict)
    st.markdown(
        f"**{held.rules:,} rules** of {held.terms:.1f} conditions on average; on the rows held out they give the class "
        f"of the network for **{held.fidelity:.1%}** and the true class for {held.accuracy:.1%}; no rule holds for "
        f"{held.uncovered:.1%}."
    )
    number = int(rules.fired(table.values[[row]])[0])
    st.markdown(plain(f"For row {row:,}: {rules.sentence(number)}"))
    sentences = [f"{place + 1}. {rules.sentence(place)}" for place in range(len(rules.rules))] + [rules.sentence(-1)]
    every = len(sentences) <= _SHOWN + 1 or parameters.switch("All rules", "all").draw(st.toggle)
    st.markdown("\n\n".join(plain(one) for one in (sentences if every else sentences[:_SHOWN])))
    for note in rules.notes:
        st.caption(plain(note))
    files = {
        "Text": ("txt", "text/plain", lambda: rules.text),
        "CSV": ("csv", "text/csv", lambda: as_csv(rules.terms)),
        "Python": ("py", "text/x-python", lambda: python_source(rules)),
    }
    with st.container(horizontal=True, gap="small"):
        for label, (ending, media, make) in files.items():
            st.download_button(
                label, make, f"{table.name}-rules.{ending}", media, key=f"tables-rules-{ending}", on_click="ignore",
                icon=":material/download:",
            )  # fmt: skip


def _trade_off(found: Model, key: str) -> None:
    """Fidelity against the depth of a tree."""

    def work(report: Report) -> Any:
        return fidelity_by_depth(found.training, found.predict, found.held_out, report=report)

    known = computed("table-depths", key, "Growing trees", work)
    with st.expander("What do simpler rules lose?", icon=":material/show_chart:"):
        st.plotly_chart(
            fidelity_figure(known), key="tables-depths", config={"displayModeBar": False},
            alt="Fidelity and accuracy of trees by their depth",
        )  # fmt: skip
        shares = {name: [float(one) for one in known[name]] for name in ("fidelity", "accuracy")}
        offered(
            f"{found.training.name}: fidelity by depth",
            "depths",
            known,
            [f"depth {depth}" for depth in known["depth"]],
            shares,
        )
