"""Views of mined rules: the table, shared sets, and the selected rule with its patches."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.errors import TooLarge
from core.export.spreadsheet import as_csv, joined
from core.mining.rules import Mined, highest_support, with_names
from core.study import Study
from core.study.browse import Catalogue, PatchFilter, Rows
from core.study.config import MiningConfig
from pages.ui.session import navigation, parameters
from pages.ui.study import ablation, open_study, patch_items
from pages.ui.widgets.gallery import Items, gallery
from pages.ui.widgets.text import plain

EACH = 6  # patches shown for each filter of a rule
SHOWN = 18  # patches shown of a rule
ROWS = 20  # of a table of rules that are visible at once

_SHARE = partial(st.column_config.ProgressColumn, min_value=0.0, max_value=1.0, format="%.2f")


@dataclass(frozen=True)
class Rule:
    """A selected set of filters, and the class it predicts (-1 for all)."""

    filters: tuple[int, ...]
    label: int
    strongest: int  # filters per patch used in mining

    @property
    def name(self) -> str:
        """Its name in the address."""
        return f"{'+'.join(map(str, self.filters))}>{self.label}"

    @property
    def nodes(self) -> list[str]:
        """The graph nodes of its filters and its class."""
        return [*(f"f{number}" for number in self.filters), f"c{self.label}"]


def nothing(study: Study, config: MiningConfig, label: int) -> None:
    """Explain why there is no rule, and show the nearest setting that gives one."""
    of = "" if label < 0 else f" for {open_study.label(study, label)}"
    none = f"No rule{of} at support {config.support:.2f}"
    try:
        highest = highest_support(study, config, None if label < 0 else label)
    except TooLarge as error:
        st.info(plain(f"{none}. {error}"))
        return
    if highest is None:
        alone = ": hardly any two patches of a class share an active filter."
        change = ". Lower the confidence." if config.confidence else alone
        st.info(plain(f"{none}, nor at any lower one{change}"))
        return
    shown = math.floor(highest * 100 + 1e-9) / 100
    st.info(plain(f"{none}. The highest support that gives one is {shown:.2f}."))
    st.button(f"Use {shown:.2f}", on_click=parameters.put, args=("support", shown), type="primary")


def listed(study: Study, mined: Mined) -> None:
    """The rules as a table, and the selected one next to it."""
    rules = mined.rules
    left, right = sides()
    with left:
        count = "1 rule" if len(rules) == 1 else f"{len(rules):,} rules"
        text = (
            f"{count}. Select a row to see its patches. The best rule of each class comes first; score = support × "
            "confidence."
        )
        captioned(study, text, rules, "rules")
        chosen = picked(study, rules, mined.config.filters, "rules")
        if chosen:
            ablation.switch(study, chosen.filters, "rule")
            each(study, chosen)
    with right:
        if chosen:
            detail(study, chosen)


def captioned(study: Study, text: str, table: pd.DataFrame, name: str) -> None:
    """A caption above a table of rules or shared sets, and a download of all its columns."""
    left, right = st.columns([1, 0.2], vertical_alignment="bottom")
    left.caption(text)
    with right.container(horizontal=True, horizontal_alignment="right"):
        st.download_button(
            "CSV", lambda: as_csv(joined(with_names(table, study.labels))), f"{study.name}-{name}.csv", "text/csv",
            key=f"csv-{name}", on_click="ignore", icon=":material/download:", help="All columns of this table",
        )  # fmt: skip


def sides(share: float = 1.5) -> Any:
    """Two columns of a page, stacked where a table of rules has no room next to patches."""
    with st.container(key="vitrine-rules"):
        return st.columns([share, 1], gap="medium")


def picked(study: Study, rules: pd.DataFrame, strongest: int, key: str, visible: int = ROWS) -> Rule | None:
    """A table of rules; returns the selected one: the selected row, else the one in the address, else the best."""
    frame = pd.DataFrame(
        {
            "Filters": [patch_items.units(filters, 4) for filters in rules["filters"]],
            "Class": [open_study.label(study, k) for k in rules["label"]],
            "Support": rules["support"].to_numpy(),
            "Confidence": rules["confidence"].to_numpy(),
            "Score": rules["score"].to_numpy(),
            "Lift": rules["lift"].to_numpy(),
            "n": rules["n_both"].to_numpy(),
        }
    )
    names = [Rule(tuple(f), k, strongest) for f, k in open_study.columns(rules, "filters", "label")]
    return chosen_of(frame, names, key, visible)


def chosen_of(frame: pd.DataFrame, rules: Sequence[Rule], key: str, visible: int = ROWS) -> Rule | None:
    """Show the table and return which of `rules` (one per row) is selected."""
    if not rules:
        return None
    stored = parameters.text("rule")
    first = next((i for i, rule in enumerate(rules) if rule.name == stored), 0)
    event = st.dataframe(
        frame, key=f"{key}-{hash(tuple(rules))}", hide_index=True,
        height="content" if len(frame) <= visible else 38 + 35 * visible,
        on_select="rerun", selection_mode="single-row-required", selection_default={"selection": {"rows": [first]}},
        column_config={
            "Filters": st.column_config.TextColumn(width=165),
            "Class": st.column_config.TextColumn(width=115),
            "Support": _SHARE("Support", width=94, color="#0072B2"),
            "Confidence": _SHARE("Confidence", width=94, color="#009E73"),
            "Score": st.column_config.NumberColumn(format="%.3f", width=60),
            "Lift": st.column_config.NumberColumn(format="%.1f", width=50),
            "n": st.column_config.NumberColumn(width=45, help="Patches of the class with all these filters active"),
        },
        alt="Rules with their support, confidence, score, lift and number of patches",
    )  # fmt: skip
    rows = event["selection"]["rows"]
    rule = rules[rows[0] if rows and rows[0] < len(rules) else first]
    parameters.keep("rule", rule.name)
    return rule


def detail(study: Study, rule: Rule) -> None:
    """A rule in words and in its patches, with links to other pages."""
    patches = open_study.catalogue(study)
    everywhere = patches.matching(PatchFilter(filters=rule.filters, strongest=rule.strongest))
    rows = patches.matching(PatchFilter(rule.label, rule.filters, rule.strongest))
    rows = patches.ordered(rows, "response", rule.filters)
    st.header(plain(f"{patch_items.units(rule.filters)} → {open_study.label(study, rule.label)}"), anchor=False)
    total = len(patches.matching(PatchFilter(rule.label)))
    st.markdown(plain(
        f"{'This filter is' if len(rule.filters) == 1 else 'These filters are all'} active in {len(rows):,} of the "
        f"{total:,} patches of {open_study.label(study, rule.label)} ({len(rows) / max(total, 1):.0%}) and in "
        f"{len(everywhere):,} patches of all classes; {len(rows) / max(len(everywhere), 1):.0%} of these belong to "
        f"{open_study.label(study, rule.label)}."
    ))  # fmt: skip
    picks = gallery(
        patch_items.patches(study, rows[:SHOWN], noted="response", filters=rule.filters, groups=()),
        (open_study.key(study), "rule", rule), key="rule-patches", label="Patches of the rule", tile=72, height=None,
    )  # fmt: skip
    patch_items.follow(study, picks)
    with st.container(horizontal=True):
        every = f"Show all {len(rows):,} patches of the rule"
        if st.button(every, key="rule-all", icon=":material/grid_on:"):
            held = ",".join(map(str, rule.filters))
            navigation.patches_of(label=open_study.label(study, rule.label), filters=held, strongest=rule.strongest)
        for number in rule.filters:
            if st.button(patch_items.unit(number), key=f"unit-{number}", help="Open filter"):
                navigation.go("units/unit", unit=number)
        open_study.about_class(study, rule.label)


def each(study: Study, rule: Rule) -> None:
    """The patches with the highest response of each filter of a rule, of any class."""
    patches = open_study.catalogue(study)

    def make() -> Items:
        rows = {number: _strongest(patches, number, rule.strongest) for number in rule.filters}
        every = [(number, row) for number in rule.filters for row in rows[number].tolist()]
        items = patch_items.patches(study, np.concatenate(list(rows.values())))()
        return Items(
            pixels=items.pixels,
            ids=[f"{number}:{row}" for number, row in every],
            titles=[
                f"{patch_items.unit(number)} in {name}" for (number, _), name in zip(every, items.titles, strict=True)
            ],
            facts=items.facts[1:2],
            groups=[(patch_items.unit(number), len(own_rows)) for number, own_rows in rows.items()],
            actions=[("unit", [f"Open {patch_items.unit(number)}" for number, _ in every])],
        )

    st.header("Each filter of the rule", anchor=False)
    picks = gallery(
        make,
        (open_study.key(study), "each", rule),
        key="rule-filters",
        label="Patches with the highest activation of each filter",
        tile=56,
        height=None,
        panel=False,
    )
    st.caption(
        f"The {EACH} patches of any class with the highest activation of each filter. Click one to open the filter."
    )
    if picks.action == "unit":
        navigation.go("units/unit", unit=picks.opened.partition(":")[0])


def _strongest(patches: Catalogue, number: int, strongest: int) -> Rows:
    rows = patches.matching(PatchFilter(filters=(number,), strongest=strongest))
    return patches.ordered(rows, "response", (number,))[:EACH]


def shared(study: Study, mined: Mined, shown: Mined, label: int) -> None:
    """The sets shared by several classes, and their patches by class.

    The paper's are those in rules of several classes; more are frequent in several.
    """
    names = {"rules": "In rules of several classes", "itemsets": "Frequent in several classes"}
    every = {"rules": shown.shared_by_rules, "itemsets": mined.shared}
    if label >= 0:
        every["rules"] = mined.shared_by_rules
        every = {
            name: sets[sets["labels"].map(lambda labels: label in labels).astype(bool)] for name, sets in every.items()
        }
    parameter = parameters.choice("Filter sets", list(names), "sharing")
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        sharing = parameter.draw(
            st.segmented_control, required=True, label_visibility="collapsed",
            format_func=lambda name: f"{names[name]} ({len(every[name]):,})",
        )  # fmt: skip
        st.caption(
            "As in the paper: the same filters are the antecedent of rules of two or more classes."
            if sharing == "rules"
            else "Wider than in the paper: sets frequent in two or more classes, whether or not rules use them."
        )
    sets = every[sharing]
    if not len(sets):
        wider = "or choose the sets that are frequent in several classes" if sharing == "rules" else ""
        st.info(plain(f"No set of filters is shared at these settings. Lower the support, {wider}".rstrip(", ") + "."))
        return
    left, right = sides()
    frame = pd.DataFrame(
        {
            "Filters": [patch_items.units(filters, 4) for filters in sets["filters"]],
            "Classes": sets["classes"].to_numpy(),
            "Shared by": [
                ", ".join(f"{open_study.label(study, k)} {s:.2f}" for k, s in zip(labels, supports, strict=True))
                for labels, supports in zip(sets["labels"], sets["supports"], strict=True)
            ],
        }
    )
    with left:
        count = "1 filter set" if len(sets) == 1 else f"{len(sets):,} filter sets"
        text = f"{count} shared by two or more classes. Numbers are the support in each class."
        captioned(study, text, sets, "shared")
        key = f"shared-{sharing}"
        rules = [Rule(tuple(filters), -1, mined.config.filters) for filters in sets["filters"]]
        rule = chosen_of(frame, rules, key)
    with right:
        if rule:
            across(study, rule)


def across(study: Study, rule: Rule) -> None:
    """The patches of all classes in which these filters are active, grouped by class."""
    patches = open_study.catalogue(study)
    conditions = PatchFilter(filters=rule.filters, strongest=rule.strongest)
    counts = patches.by_label(conditions)
    ranked = sorted(counts, key=lambda k: (-counts[k], k))
    parts = [patches.ordered(patches.matching(replace(conditions, label=k)), "response", rule.filters) for k in ranked]
    st.header(plain(f"{patch_items.units(rule.filters)}: active in patches of {len(ranked)} classes"), anchor=False)
    groups = [(open_study.label(study, k), len(part)) for k, part in zip(ranked, parts, strict=True)]
    picks = gallery(
        patch_items.patches(study, np.concatenate(parts), noted="response", filters=rule.filters, groups=groups),
        (open_study.key(study), "across", rule), key="shared-patches", label="Patches by class", tile=72, height=460,
    )  # fmt: skip
    patch_items.follow(study, picks)
