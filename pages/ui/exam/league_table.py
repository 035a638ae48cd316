"""The league table of an exam: sorted by a click on a column, filtered by family, and the methods chosen in it."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.exam import Exam
from core.measure import MEASURES
from core.serialization import digest
from pages.ui.exam import open_exam
from pages.ui.session import parameters
from pages.ui.widgets.text import family_title, plain

CONTROL = "◇"  # before the title of a method that explains nothing
_FIRST = 4  # methods that are shown below the table before any is chosen, controls apart
# Headers that fit a column; other measures have their title.
_SHORT = {
    "auc_iou": "AUC-IoU", "max_iou": "Max IoU", "pointing_game": "Pointing", "energy_pointing": "Energy",
    "tag_energy_pointing": "In tag", "deletion_auc": "Deletion", "insertion_auc": "Insertion",
}  # fmt: skip


def short(exam: Exam, measure: str) -> str:
    """A measure as the header of a column, with an arrow that says what is better."""
    row = exam.measures.iloc[exam.measure(measure)]
    return f"{_SHORT.get(measure, row['title'])} {'↑' if row['better'] == 'higher' else '↓'}"


def is_percent(exam: Exam, measure: str) -> bool:
    """Whether a measure is in percent, so that one digit behind the point is enough."""
    entry = exam.measures["entry"].iloc[exam.measure(measure)]
    return entry in MEASURES and MEASURES[entry].high == 100


def number(exam: Exam, measure: str, value: float) -> str:
    """A value of a measure as text."""
    return "–" if not math.isfinite(value) else f"{value:.1f}" if is_percent(exam, measure) else f"{value:.3f}"


def title(exam: Exam, method: str) -> str:
    """A method's title, marked if it is a control."""
    row = exam.methods.iloc[exam.method(method)]
    return f"{CONTROL} {row['title']}" if row["family"] == "control" else str(row["title"])


def family(exam: Exam) -> str:
    """The family whose methods are shown; "" for all."""
    families = list(dict.fromkeys(exam.methods.loc[exam.methods["reason"] == "", "family"]))
    return parameters.choice("Family", ("", *families), "family").draw(
        st.selectbox, format_func=lambda name: family_title(name) if name else "All families", width=210
    )


def drawn(exam: Exam, measure: str, family: str) -> list[str]:
    """The table of one family, best first under a measure; returns the methods chosen in it, or else the best ones.

    Without a choice the controls are among them. What is missing in it, and why, stands below.
    """
    table = open_exam.table(exam)
    ranks = _under(exam, measure)["rank"]
    rows = table[(table["reason"] == "") & ((table["family"] == family) | (family == ""))]
    rows = rows.iloc[ranks.reindex(rows["method"]).argsort(kind="stable").to_numpy()]
    names = rows["method"].tolist()
    columns = _columns(exam, measure, rows)
    known = [name for name in _kept(exam) if name in names]
    event = st.dataframe(
        pd.DataFrame({name: values for name, (values, _) in columns.items()}),
        key=f"league-{digest([open_exam.key(exam), measure, family])[:12]}", hide_index=True, on_select="rerun",
        selection_mode="multi-row", column_config={name: config for name, (_, config) in columns.items()},
        selection_default={"selection": {"rows": [names.index(name) for name in known], "columns": [], "cells": []}},
        alt="League table of the explainers", placeholder="–", height="content" if len(names) <= 12 else 460,
    )  # fmt: skip
    chosen = [names[row] for row in event["selection"]["rows"] if row < len(names)]
    parameters.keep("methods", ",".join(chosen))
    st.caption(
        f"{CONTROL} marks controls, which explain nothing: a method that is not above them says no more than they do. "
        "Click a column to sort, and rows to choose methods for what follows."
    )
    _left_out(exam)
    if chosen:
        return chosen
    best = [name for name in names if exam.methods["family"].iloc[exam.method(name)] != "control"]
    return [*best[:_FIRST], *(name for name in names if name not in best)]


def _kept(exam: Exam) -> list[str]:
    """The methods that the address or an earlier visit names."""
    names = set(exam.methods["name"])
    return [name for name in parameters.text("methods").split(",") if name in names]


def _under(exam: Exam, measure: str) -> pd.DataFrame:
    """The numbers of every method under one measure."""
    long = open_exam.numbers(exam)
    return long[long["measure"] == measure].set_index("method")


def _columns(exam: Exam, measure: str, rows: pd.DataFrame) -> dict[str, tuple[Sequence[Any], Any]]:
    """The values and the look of each column: of the chosen measure all numbers, of the others the means."""
    st_number, names = st.column_config.NumberColumn, rows["method"].tolist()
    one, form = _under(exam, measure).reindex(names), "%.1f" if is_percent(exam, measure) else "%.3f"
    folds, word = exam.config.folds, exam.measures["title"].iloc[exam.measure(measure)]
    columns: dict[str, tuple[Sequence[Any], Any]] = {
        "#": (one["rank"].tolist(), st_number(width=45, format="%d", help=f"Rank under {word}.", pinned=True)),
        "Method": ([title(exam, name) for name in names], st.column_config.TextColumn(width=200, pinned=True)),
        short(exam, measure): (one["mean"].tolist(), _measure(exam, measure)),
        "± folds": (
            one["deviation"].tolist(),
            st_number(width=75, format=form, help=f"Deviation of the means of {folds} disjoint sets of images; "
                      "the network is the same." if folds > 1 else "Needs at least two folds."),
        ),
        "95% from": (
            one["low"].tolist(),
            st_number(width=80, format=form, help="Lower end of the 95% bootstrap interval of the mean over images."),
        ),
        "to": (
            one["high"].tolist(),
            st_number(width=70, format=form, help="Upper end of the 95% bootstrap interval of the mean over images."),
        ),
        "n": (one["n"].tolist(), st_number(width=50, format="%d", help=f"Images for which {word} has a number.")),
        "Above": (
            _above(exam, measure, names),
            st.column_config.TextColumn(
                width=70, help="Above how many controls a method certainly is under this measure: the 95% interval of "
                "the difference, image by image, is above zero.",
            ),
        ),
    }  # fmt: skip
    for other in exam.measures["name"]:
        if other != measure:
            columns[short(exam, other)] = (rows[other].tolist(), _measure(exam, other))
    spread = [f"{best:.0f}–{worst:.0f}" for best, worst in zip(rows["best"], rows["worst"], strict=True)]
    columns["Ranks"] = (
        [text if math.isfinite(best) else "–" for text, best in zip(spread, rows["best"], strict=True)],
        st.column_config.TextColumn(width=70, help="Best and worst rank over all measures: no single mean says more."),
    )
    columns["Median"] = (
        rows["median"].tolist(),
        st_number(width=70, format="%g", help="Median rank over all measures."),
    )
    columns["Flips"] = (
        rows["flips"].tolist(),
        st_number(width=65, format="percent", help="How often the order with another method changes between two folds: "
                  "mean over methods and measures."),
    )  # fmt: skip
    columns["Passes"] = (
        rows["passes"].tolist(),
        st_number(width=75, format="localized", help="Of one map; a backward counts as two forwards."),
    )
    columns["Seconds"] = (rows["seconds"].tolist(), st_number(width=75, format="%.2f", help="Of one map, measured."))
    columns["Family"] = ([family_title(name) for name in rows["family"]], st.column_config.TextColumn(width=150))
    return columns


def _measure(exam: Exam, measure: str) -> Any:
    """The look of the column of a measure."""
    row = exam.measures.iloc[exam.measure(measure)]
    card = MEASURES.get(row["entry"]) if row["entry"] in MEASURES else None
    text = f"{row['title']}: mean over images, {row['better']} is better."
    return st.column_config.NumberColumn(
        width=88, format="%.1f" if is_percent(exam, measure) else "%.3f",
        help=plain(f"{text} {card.summary}" if card else text),
    )  # fmt: skip


def _above(exam: Exam, measure: str, names: Sequence[str]) -> list[str]:
    """For each method how many controls it is above; nothing for controls themselves."""
    pairs = open_exam.above(exam, measure)
    certain = pairs[pairs["low"] > 0].groupby("method").size()
    counts = pairs.groupby("method").size()
    return [f"{certain.get(name, 0)} of {counts[name]}" if name in counts else "" for name in names]


def _left_out(exam: Exam) -> None:
    """Why methods, images and numbers are missing."""
    for reason, count in exam.manifest.data.left_out.items():
        st.caption(plain(f"Left out: {reason}: {count:,}."))
    failed = exam.methods.loc[exam.methods["reason"] != "", ["title", "reason"]]
    reasons = exam.table("scores")["reason"]
    counts = reasons[reasons != ""].value_counts()
    if not len(failed) and not len(counts):
        return
    parts = [f"{len(failed)} methods that do not work on this model"] if len(failed) else []
    parts += [f"{int(counts.sum()):,} numbers missing"] if len(counts) else []
    with st.expander(" · ".join(parts), key="exam-left-out"):
        for name, reason in failed.itertuples(index=False):
            st.markdown(plain(f"{name}: {reason}"))
        for why, count in counts.items():
            st.markdown(plain(f"No number in {count:,} cases: {why}"))
