"""The graph above the table of rules, with a common selection."""

from reprlib import repr as short

import pandas as pd
import streamlit as st

from core.figures.rule_graph import boxes
from core.mining.graph import edges_of
from core.mining.overview import Legible, legible, strongest
from core.mining.rules import Mined
from core.params import whole
from core.study import Study
from pages.ui.session import navigation, parameters
from pages.ui.study import ablation, open_study, patch_items
from pages.ui.study.rule_views import Rule, detail, each, picked, sides
from pages.ui.widgets.graph import Node, graph, mark
from pages.ui.widgets.text import plain

NODES = 600  # a larger graph is unreadable
PICTURED = 200  # up to this number of nodes, filters show their average patch


def graphed(study: Study, mined: Mined, shown: Mined, label: int) -> None:
    """The graph of the shown rules; its selection filters the rules in the table below.

    The selected rule is highlighted. The graph of one class includes what its filters share with others, by all the
    rules of `mined`.
    """
    edges = edges_of(shown.rules)
    if label >= 0:
        edges = mined.edges[mined.edges["filter"].isin(edges["filter"])]
    first = legible(edges)
    if len(first.edges) < len(edges) and not every(edges, first):
        edges = first.edges
    visible = _nodes_of(edges)
    if len(visible) > NODES:
        total, edges = len(visible), strongest(edges, NODES)
        visible = _nodes_of(edges)
        st.caption(f"{total:,} nodes are too many to display: the {len(visible):,} with the strongest edges are shown.")
    whole = len(edges) == len(mined.edges)
    nodes = mined.nodes if whole else open_study.nodes_of(study, edges)
    touch = graph(
        drawn(study, nodes[nodes["node"].isin(visible)]),
        [(f"f{f}", f"c{k}", w) for f, k, w in zip(edges["filter"], edges["label"], edges["weight"], strict=True)],
        key="graph", label="Filters and the classes whose rules use them", least=first.least,
    )  # fmt: skip
    if touch.picked is not None:
        parameters.keep("node", touch.picked)
    if touch.opened and touch.opened[0] == "f":
        navigation.go("units/unit", unit=touch.opened[1:])
    if touch.opened and touch.opened[0] == "c":
        navigation.patches_of(label=open_study.label(study, int(touch.opened[1:])))
    rule = _rules_of_selection(study, mined, shown, label)
    mark("graph", parameters.text("node"), rule.nodes if rule else ())


def every(edges: pd.DataFrame, first: Legible) -> bool:
    """A switch between the edges that can be read and all of them."""
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        counts = f"{edges['filter'].nunique():,} filters and {edges['label'].nunique():,} classes"
        if parameters.switch(f"Show all {counts}", "whole").draw(st.toggle):
            return True
        what = ["filters that classes share"] * first.shared
        what += [f"edges of weight {first.least:.2f} or more"] * bool(first.least)
        st.caption(f"Shown: only {' and '.join(what)}.")
    return False


def _nodes_of(edges: pd.DataFrame) -> set[str]:
    return {f"f{k}" for k in edges["filter"]} | {f"c{k}" for k in edges["label"]}


def _rules_of_selection(study: Study, mined: Mined, shown: Mined, label: int) -> Rule | None:
    """The rules of the selected node or link as an accessible table; returns the selected rule."""
    node, rules = parameters.text("node"), shown.rules
    ends = {}
    if node in {*mined.nodes["node"], *(f"f{f}-c{k}" for f, k in open_study.columns(mined.edges, "filter", "label"))}:
        ends = {part[0]: whole(part[1:]) for part in node.split("-")}
    elif node:
        st.caption(plain(f"No rule at these settings contains {short(node)}."))
    if ends and label >= 0:
        rules = mined.rules
    if "f" in ends:
        rules = rules[[ends["f"] in filters for filters in rules["filters"]]]
    if "c" in ends or (label >= 0 and not ends):
        rules = rules[rules["label"] == ends.get("c", label)]
    left, right = sides()
    with left:
        chosen = picked(study, rules, mined.config.filters, "graph-rules")
        if chosen:
            ablation.switch(study, chosen.filters, "node")
            each(study, chosen)
    with right:
        if chosen:
            detail(study, chosen)
    return chosen


def drawn(study: Study, nodes: pd.DataFrame) -> list[Node]:
    """The nodes without overlaps, filters with the average patch of the class where they have most weight."""
    positions, sizes = boxes(nodes)
    pictures = patch_items.faces(study) if len(nodes) <= PICTURED else {}
    parts = zip(positions.tolist(), sizes.tolist(), strict=True)
    return [
        Node(
            node, name if kind == "class" else patch_items.unit(number), kind, x, y, height, width,
            pictures.get(number) if kind == "filter" else None,
        )
        for (node, kind, number, name), ((x, y), (width, height)) in zip(
            open_study.columns(nodes, "node", "kind", "number", "name"), parts, strict=True
        )
    ]  # fmt: skip
