"""The errors in numbers: accuracy, confusions, classes and calibration."""

from typing import Any

import streamlit as st

from core.export.spreadsheet import as_csv
from core.figures.confusions import confusions
from core.review.confusion import accuracy, accuracy_by_class, confusion
from core.review.predictions import Predictions
from pages.ui.failures import duplicates, queues, reliability
from pages.ui.session import parameters
from pages.ui.widgets.tables import percentages
from pages.ui.widgets.text import plain

_CHART = "failures-confusions"
_ROWS = 8  # of the table without scrolling
_SHARES = {"accuracy": "Accuracy", "low": "95% from", "high": "to", "precision": "Precision"}


def overview(found: Predictions) -> None:
    """Accuracy with its interval, the confusion matrix, whose markers choose a pair, and the classes."""
    for note in found.notes:
        st.caption(plain(note))
    share = accuracy(found)
    if share is None:
        st.info(
            "No image has a class that the model predicts, so nothing is right or wrong. The queues work all the same."
        )
        return
    st.markdown(f"**{share.mean:.1%}** of {share.n:,} images are right{share.bounds()}.")
    if share.mean == 1:
        st.success("All images are right.")
    left, right = st.columns([1.1, 1], gap="medium")
    with left:
        shown = confusion(found)
        more = (
            f" Of more classes, those with the most errors; {shown.others:,} images are of others."
            if shown.others
            else ""
        )
        names = [found.labels[one] for one in shown.labels]
        st.plotly_chart(
            confusions(shown.counts, shown.labels, names, queues.pair(found)), key=_CHART, on_select=_clicked,
            selection_mode="points", config={"displayModeBar": False},
            alt="Confusion matrix: the list of confusions below has the same numbers",
        )  # fmt: skip
        st.caption(f"A click on a marker chooses that pair of classes below.{more}")
    with right:
        table = accuracy_by_class(found).drop(columns="label")
        heads: dict[str, Any] = {name: name.capitalize() for name in ("images", "right", "predicted")} | {
            "name": "Class"
        }
        percentages(
            table.sort_values("images", ascending=False, kind="stable"), _SHARES,
            height=320 if len(table) > _ROWS else "content",
            column_config=heads | _SHARES, alt="Accuracy by class",
        )  # fmt: skip
        st.download_button(
            "CSV", lambda: as_csv(table), "classes.csv", "text/csv", key="failures-classes", on_click="ignore",
            icon=":material/download:",
        )  # fmt: skip
    reliability.reliability(found)
    duplicates.duplicates(found)


def _clicked() -> None:
    """Choose the pair of the marker that was clicked; a second click on it chooses all again."""
    event: Any = st.session_state[_CHART]
    points = event["selection"]["points"]
    chosen = points[0]["customdata"] if points else None
    true, predicted = (int(one) for one in chosen) if chosen else (-1, -1)
    parameters.put("pair", "" if not chosen else f"{true}-{predicted}")
    parameters.put("which", "right" if chosen and true == predicted else "wrong")
    queues.restart()
