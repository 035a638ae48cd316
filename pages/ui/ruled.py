"""The views of mined rules: table and graph on one selection, what classes share, the chosen rule in pictures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from core.errors import TooLarge
from core.figures.spread import apart, lying
from core.mining.catalogue import Wanted
from core.mining.rules import Mined, highest_support
from core.mining.settings import MiningConfig
from core.study import Study
from pages.ui import own, shelf, show, tested
from pages.ui.gallery import gallery
from pages.ui.graph import Node, graph

NODES = 600  # more than people can read
SHAPE = 1.45  # the graph is so much wider than high
PICTURED = 200  # nodes up to which filters show their average patch

_SHARE = partial(st.column_config.ProgressColumn, min_value=0.0, max_value=1.0, format="%.2f")


@dataclass(frozen=True)
class Rule:
    """A chosen set of filters, and the class it speaks for (-1 for all)."""

    filters: tuple[int, ...]
    label: int
    strongest: int  # how many filters of each patch counted when it was mined

    @property
    def name(self) -> str:
        """What the address calls it."""
        return f"{'+'.join(map(str, self.filters))}>{self.label}"


def nothing(study: Study, config: MiningConfig, label: int) -> None:
    """Why there is no rule, and the nearest setting that gives one."""
    of = "" if label < 0 else f" for {shelf.label(study, label)}"
    none = f"No rule{of} at support {config.support:.2f}"
    try:
        highest = highest_support(study, config, None if label < 0 else label)
    except TooLarge as error:
        st.info(show.plain(f"{none}. {error}"))
        return
    if highest is None:
        alone = ": hardly any two patches of a class hold the same filter."
        change = ". Lower the confidence." if config.confidence else alone
        st.info(show.plain(f"{none}, nor at any lower one{change}"))
        return
    shown = math.floor(highest * 100 + 1e-9) / 100
    st.info(show.plain(f"{none}. The highest support that gives one is {shown:.2f}."))
    st.button(f"Use {shown:.2f}", on_click=own.put, args=("support", shown), type="primary")


def listed(study: Study, found: Mined, label: int) -> None:
    """The rules as a table, and the chosen one beside it."""
    rules = found.rules if label < 0 else found.rules[found.rules["label"] == label]
    left, right = st.columns([1.5, 1], gap="medium")
    with left:
        chosen = picked(study, rules, found.config.filters, "rules")
        st.caption(f"{len(rules):,} rules. Choose a row to see its patches. The score is support × confidence.")
        if chosen:
            tested.switch(study, chosen.filters, "rule")
    with right:
        if chosen:
            detail(study, chosen)


def picked(study: Study, rules: pd.DataFrame, strongest: int, key: str, height: int = 560) -> Rule | None:
    """A table of rules and the one chosen in it: the one of the address until another row is, else the best."""
    frame = pd.DataFrame(
        {
            "Filters": [shelf.units(filters, 5) for filters in rules["filters"]],
            "Class": [shelf.label(study, k) for k in rules["label"]],
            "Support": rules["support"].to_numpy(),
            "Confidence": rules["confidence"].to_numpy(),
            "Score": rules["score"].to_numpy(),
            "Lift": rules["lift"].to_numpy(),
        }
    )
    names = [Rule(tuple(f), k, strongest) for f, k in shelf.columns(rules, "filters", "label")]
    return chosen_of(frame, names, key, height)


def chosen_of(frame: pd.DataFrame, rules: Sequence[Rule], key: str, height: int) -> Rule | None:
    """Show the table and say which of `rules` (one per row) is chosen."""
    if not rules:
        return None
    kept = own.text("rule")
    first = next((i for i, rule in enumerate(rules) if rule.name == kept), 0)
    event = st.dataframe(
        frame, key=f"{key}-{hash(tuple(rules))}", hide_index=True, height=min(height, 38 + 35 * len(frame)),
        on_select="rerun", selection_mode="single-row-required", selection_default={"selection": {"rows": [first]}},
        column_config={
            "Filters": st.column_config.TextColumn(width=190),
            "Support": _SHARE("Support", width=115, color="#0072B2"),
            "Confidence": _SHARE("Confidence", width=115, color="#009E73"),
            "Score": st.column_config.NumberColumn(format="%.3f", width=65),
            "Lift": st.column_config.NumberColumn(format="%.1f", width=55),
        },
        alt="Rules with their support, confidence, score and lift",
    )  # fmt: skip
    rows = event["selection"]["rows"]
    rule = rules[rows[0] if rows and rows[0] < len(rules) else first]
    own.keep("rule", rule.name)
    return rule


def detail(study: Study, rule: Rule) -> None:
    """A rule in words and in its patches, with the ways on from here."""
    patches = shelf.catalogue(study)
    everywhere = patches.matching(Wanted(filters=rule.filters, strongest=rule.strongest))
    rows = patches.matching(Wanted(rule.label, rule.filters, rule.strongest))
    rows = patches.ordered(rows, "response", rule.filters)
    st.header(show.plain(f"{shelf.units(rule.filters)} → {shelf.label(study, rule.label)}"), anchor=False)
    total = len(patches.matching(Wanted(rule.label)))
    st.markdown(show.plain(
        f"{len(rows):,} of the {total:,} patches of {shelf.label(study, rule.label)} hold "
        f"{'this filter' if len(rule.filters) == 1 else 'all these filters'} ({len(rows) / max(total, 1):.0%}), "
        f"and of the {len(everywhere):,} patches of any class that do, {len(rows) / max(len(everywhere), 1):.0%} "
        "are its own."
    ))  # fmt: skip
    picks = gallery(
        shelf.patches(study, rows, noted="response", filters=rule.filters, groups=()),
        (shelf.key(study), "rule", rule), key="rule-patches", label="Patches of the rule", tile=72, height=330,
    )  # fmt: skip
    shelf.follow(study, picks)
    with st.container(horizontal=True):
        for number in rule.filters:
            if st.button(shelf.unit(number), key=f"unit-{number}", help="Open this filter"):
                shelf.go("units/unit", unit=number)
        if st.button("All its patches", icon=":material/grid_on:"):
            held = ",".join(map(str, rule.filters))
            shelf.go("mine/patches", label=shelf.label(study, rule.label), filters=held, strongest=rule.strongest)


def shared(study: Study, found: Mined, label: int) -> None:
    """The sets that several classes use, and their patches class by class."""
    sets = found.shared
    if label >= 0:
        sets = sets[[label in labels for labels in sets["labels"]]]
    if not len(sets):
        st.info("No set of filters is frequent in two classes at this support. Lower it to see what classes share.")
        return
    left, right = st.columns([1, 1.2], gap="medium")
    frame = pd.DataFrame(
        {
            "Filters": [shelf.units(filters, 5) for filters in sets["filters"]],
            "Classes": sets["classes"].to_numpy(),
            "Shared by": [
                ", ".join(f"{shelf.label(study, k)} {s:.2f}" for k, s in zip(labels, supports, strict=True))
                for labels, supports in zip(sets["labels"], sets["supports"], strict=True)
            ],
        }
    )
    with left:
        rule = chosen_of(
            frame, [Rule(tuple(filters), -1, found.config.filters) for filters in sets["filters"]], "shared", 560
        )
        st.caption(f"{len(sets):,} filter sets are frequent in two classes or more. Numbers are their support there.")
    with right:
        if rule:
            across(study, rule)


def across(study: Study, rule: Rule) -> None:
    """The patches of all classes that hold these filters, grouped by class."""
    patches = shelf.catalogue(study)
    wanted = Wanted(filters=rule.filters, strongest=rule.strongest)
    counts = patches.by_label(wanted)
    ranked = sorted(counts, key=lambda k: (-counts[k], k))
    parts = [patches.ordered(patches.matching(replace(wanted, label=k)), "response", rule.filters) for k in ranked]
    st.header(show.plain(f"{shelf.units(rule.filters)}: patches of {len(ranked)} classes"), anchor=False)
    groups = [(shelf.label(study, k), len(part)) for k, part in zip(ranked, parts, strict=True)]
    picks = gallery(
        shelf.patches(study, np.concatenate(parts), noted="response", filters=rule.filters, groups=groups),
        (shelf.key(study), "across", rule), key="shared-patches", label="Patches by class", tile=72, height=460,
    )  # fmt: skip
    shelf.follow(study, picks)


def graphed(study: Study, found: Mined, label: int) -> None:
    """The graph; the node picked in it chooses the rules of the table below."""
    nodes, edges = found.nodes, found.edges
    if label >= 0:
        own_filters = edges.loc[edges["label"] == label, "filter"]
        edges = edges[edges["filter"].isin(own_filters)]
    if len(nodes) > NODES:
        edges = edges.nlargest(_fitting(edges), "weight")
        st.caption(f"{len(nodes):,} nodes are too many to read: these are the strongest links of {NODES} of them.")
    kept = {f"f{k}" for k in edges["filter"]} | {f"c{k}" for k in edges["label"]}
    touch = graph(
        drawn(study, nodes[nodes["node"].isin(kept)]),
        [(f"f{f}", f"c{k}", w) for f, k, w in zip(edges["filter"], edges["label"], edges["weight"], strict=True)],
        key="graph", label="Filters and the classes whose rules use them", chosen=own.text("node"),
    )  # fmt: skip
    if touch.picked is not None:
        own.keep("node", touch.picked)
    if touch.opened and touch.opened[0] == "f":
        shelf.go("units/unit", unit=touch.opened[1:])
    if touch.opened and touch.opened[0] == "c":
        shelf.go("mine/patches", label=shelf.label(study, int(touch.opened[1:])))
    _beneath(study, found, label)


def _fitting(edges: pd.DataFrame) -> int:
    """How many of the strongest edges touch at most `NODES` nodes."""
    ranked = edges.sort_values("weight", ascending=False, kind="stable")
    seen: set[str] = set()
    for count, (filter, label) in enumerate(zip(ranked["filter"], ranked["label"], strict=True)):
        seen |= {f"f{filter}", f"c{label}"}
        if len(seen) > NODES:
            return count
    return len(ranked)


def _beneath(study: Study, found: Mined, label: int) -> None:
    """The rules of the picked node, for eyes and keyboards that a graph does not serve."""
    node, rules = own.text("node"), found.rules
    if node[:1] == "f" and node[1:].isdigit():
        rules = rules[[int(node[1:]) in filters for filters in rules["filters"]]]
    elif node[:1] == "c" and node[1:].isdigit():
        rules = rules[rules["label"] == int(node[1:])]
    elif label >= 0:
        rules = rules[rules["label"] == label]
    left, right = st.columns([1.5, 1], gap="medium")
    with left:
        chosen = picked(study, rules, found.config.filters, "graph-rules", 330)
        if chosen:
            tested.switch(study, chosen.filters, "node")
    with right:
        if chosen:
            detail(study, chosen)


def drawn(study: Study, nodes: pd.DataFrame) -> list[Node]:
    """The nodes with room between them, filters with the average patch of the class where they weigh most."""
    classes = (nodes["kind"] == "class").to_numpy()
    heights = np.where(classes, 32, 36 + 5 * np.minimum(nodes["degree"].to_numpy(), 6))
    widths = np.where(classes, [20 + 8.4 * len(name) for name in nodes["name"]], heights)
    places = lying(nodes[["x", "y"]].to_numpy(), SHAPE) * 34 * np.sqrt(len(nodes))
    places = apart(places, np.stack([widths, heights + 14], 1))
    pictures = shelf.faces(study) if len(nodes) <= PICTURED else {}
    boxes = zip(places.tolist(), widths.tolist(), heights.tolist(), strict=True)
    return [
        Node(
            node, name if kind == "class" else shelf.unit(number), kind, x, y, height, width,
            pictures.get(number) if kind == "filter" else None,
        )
        for (node, kind, number, name), ((x, y), width, height) in zip(
            shelf.columns(nodes, "node", "kind", "number", "name"), boxes, strict=True
        )
    ]  # fmt: skip
