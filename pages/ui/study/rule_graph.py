"""The graph above the table of rules, with a common selection."""

from reprlib import repr as short

import numpy as np
import pandas as pd
import streamlit as st

from core.figures.layout import apart, lying
from core.mining.rules import Mined
from core.params import whole
from core.study import Study
from pages.ui.session import navigation, parameters
from pages.ui.study import ablation, open_study, patch_items
from pages.ui.study.rule_views import Rule, detail, picked, sides
from pages.ui.widgets.graph import Node, graph, mark
from pages.ui.widgets.text import plain

NODES = 600  # a larger graph is unreadable
SHAPE = 1.45  # width over height of the graph
PICTURED = 200  # up to this number of nodes, filters show their average patch


def graphed(study: Study, mined: Mined, label: int) -> None:
    """The graph; its selection filters the rules in the table below, and the selected rule is highlighted."""
    nodes, edges = mined.nodes, mined.edges
    if label >= 0:
        own_filters = edges.loc[edges["label"] == label, "filter"]
        edges = edges[edges["filter"].isin(own_filters)]
    visible = _nodes_of(edges)
    if len(visible) > NODES:
        total, edges = len(visible), edges.nlargest(_fitting(edges), "weight")
        visible = _nodes_of(edges)
        st.caption(f"{total:,} nodes are too many to display: the {len(visible):,} with the strongest edges are shown.")
    touch = graph(
        drawn(study, nodes[nodes["node"].isin(visible)]),
        [(f"f{f}", f"c{k}", w) for f, k, w in zip(edges["filter"], edges["label"], edges["weight"], strict=True)],
        key="graph", label="Filters and the classes whose rules use them",
    )  # fmt: skip
    if touch.picked is not None:
        parameters.keep("node", touch.picked)
    if touch.opened and touch.opened[0] == "f":
        navigation.go("units/unit", unit=touch.opened[1:])
    if touch.opened and touch.opened[0] == "c":
        navigation.patches_of(label=open_study.label(study, int(touch.opened[1:])))
    rule = _rules_of_selection(study, mined, label)
    mark("graph", parameters.text("node"), rule.nodes if rule else ())


def _nodes_of(edges: pd.DataFrame) -> set[str]:
    return {f"f{k}" for k in edges["filter"]} | {f"c{k}" for k in edges["label"]}


def _fitting(edges: pd.DataFrame) -> int:
    """The number of strongest edges that have at most `NODES` nodes."""
    ranked = edges.sort_values("weight", ascending=False, kind="stable")
    touched: set[str] = set()
    for count, (filter, label) in enumerate(zip(ranked["filter"], ranked["label"], strict=True)):
        touched |= {f"f{filter}", f"c{label}"}
        if len(touched) > NODES:
            return count
    return len(ranked)


def _rules_of_selection(study: Study, mined: Mined, label: int) -> Rule | None:
    """The rules of the selected node or link as an accessible table; returns the selected rule."""
    node, rules = parameters.text("node"), mined.rules
    ends = {}
    if node in {*mined.nodes["node"], *(f"f{f}-c{k}" for f, k in open_study.columns(mined.edges, "filter", "label"))}:
        ends = {part[0]: whole(part[1:]) for part in node.split("-")}
    elif node:
        st.caption(plain(f"No rule at these settings contains {short(node)}."))
    if "f" in ends:
        rules = rules[[ends["f"] in filters for filters in rules["filters"]]]
    if "c" in ends or (label >= 0 and not ends):
        rules = rules[rules["label"] == ends.get("c", label)]
    left, right = sides()
    with left:
        chosen = picked(study, rules, mined.config.filters, "graph-rules", 330)
        if chosen:
            ablation.switch(study, chosen.filters, "node")
    with right:
        if chosen:
            detail(study, chosen)
    return chosen


def drawn(study: Study, nodes: pd.DataFrame) -> list[Node]:
    """The nodes without overlaps, filters with the average patch of the class where they have most weight."""
    classes = (nodes["kind"] == "class").to_numpy()
    heights = np.where(classes, 32, 36 + 5 * np.minimum(nodes["degree"].to_numpy(), 6))
    widths = np.where(classes, [20 + 8.4 * len(name) for name in nodes["name"]], heights)
    positions = lying(nodes[["x", "y"]].to_numpy(), SHAPE) * 34 * np.sqrt(len(nodes))
    positions = apart(positions, np.stack([widths, heights + 14], 1))
    pictures = patch_items.faces(study) if len(nodes) <= PICTURED else {}
    boxes = zip(positions.tolist(), widths.tolist(), heights.tolist(), strict=True)
    return [
        Node(
            node, name if kind == "class" else patch_items.unit(number), kind, x, y, height, width,
            pictures.get(number) if kind == "filter" else None,
        )
        for (node, kind, number, name), ((x, y), width, height) in zip(
            open_study.columns(nodes, "node", "kind", "number", "name"), boxes, strict=True
        )
    ]  # fmt: skip
