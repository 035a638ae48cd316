"""The rules of a study that fire in the image before the edits and after them."""

import pandas as pd
import streamlit as st

from core.edits.fired import rules_fired
from core.progress import Report
from core.study import Study
from core.workbench import pass_seconds
from pages.ui.session import navigation
from pages.ui.study import open_study, patch_items
from pages.ui.study.rule_views import Rule
from pages.ui.what_if.outcome import Outcome, Subject
from pages.ui.widgets.on_demand import on_demand, takes
from pages.ui.widgets.text import plain

_PART, _TITLE = "what-if-rules", "Looking for rules that fire"
_AT_ONCE = 3.0  # seconds
_SHOWN = 6  # rules in each list
Fired = tuple[pd.DataFrame, pd.DataFrame]


def rules(study: Study, shown: Outcome) -> None:
    """The rules that fired and no longer do, those that fire now, and how many stay."""
    found = _found(study, shown)
    if found is None:
        return
    before, after = found
    gone, new = before[~before["rule"].isin(after["rule"])], after[~after["rule"].isin(before["rule"])]
    st.header("Rules that fire", anchor=False)
    st.caption(
        plain(f"Of the study {study.name}: {len(before):,} before, {len(after):,} after; ")
        + f"{len(before) - len(gone):,} stay."
    )
    for title, table in (("No longer", gone), ("Newly", new)):
        if len(table):
            st.caption(f"{title}, the best of {len(table):,}:" if len(table) > _SHOWN else f"{title}:")
        best = table.sort_values("score", ascending=False, kind="stable").head(_SHOWN)
        for filters, label in open_study.columns(best, "filters", "label"):
            rule = Rule(tuple(map(int, filters)), label, 0)
            name = f"{patch_items.units(rule.filters, 4)} → {open_study.label(study, label)}"
            navigation.link("mine/rules", name, rule=rule.name)


def _found(study: Study, shown: Outcome) -> Fired | None:
    """The rules before and after: at once if that is quick, else when they are asked for."""
    sides = (shown.before, shown.after)
    bench = shown.before.bench
    passes = 2 * (study.manifest.settings.patches.count + 3)

    def work(report: Report) -> Fired:
        before = _fired(study, sides[0])
        report(0.5, "")
        return before, _fired(study, sides[1])

    key = (open_study.key(study), *((one.bench.model.key, one.picture.key) for one in sides))
    quick = passes * pass_seconds(bench.model) <= _AT_ONCE
    note = takes(bench, passes)
    return on_demand(_PART, key, _TITLE, work, button="Which rules fire?", note=note, at_once=quick)


def _fired(study: Study, asked: Subject) -> pd.DataFrame:
    """The rules that fire on one side; computed once for the image as it is."""
    key = ("firing", open_study.key(study), asked.bench.model.key, asked.picture.key)
    numbers = asked.bench.cache.get(key, lambda: rules_fired(study, asked.bench, asked.picture))
    table = study.table("rules")
    return table[table["rule"].isin(numbers)]
