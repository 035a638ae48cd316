"""Images that look the same and have different labels, as pairs: one of the two labels may be wrong."""

from functools import partial

import pandas as pd
import streamlit as st

from core.export.spreadsheet import as_csv
from core.progress import Report
from core.review.neighbours import near_duplicates
from core.review.predictions import Predictions
from pages.ui.session import parameters
from pages.ui.widgets.gallery import Items, gallery
from pages.ui.widgets.on_demand import on_demand

_AT_ONCE = 1500  # images that are compared without a click: every pair takes part
_SHOWN = 60  # pairs


def duplicates(found: Predictions) -> None:
    """The pairs on request, most similar first; nothing where no class is known."""
    if not len(found.judged) or not parameters.switch("Near-duplicates with different labels", "alike").draw(st.toggle):
        return

    def work(report: Report) -> pd.DataFrame:
        return near_duplicates(found, report=report)

    many = len(found.images) > _AT_ONCE
    pairs = on_demand(
        "duplicates", str(found.path), "Comparing images", work, button="Compare all images", at_once=not many
    )
    if pairs is None:
        return
    if not len(pairs):
        st.caption("No two images look the same and have different labels.")
        return
    more = f" The first {_SHOWN} of {len(pairs):,}." if len(pairs) > _SHOWN else ""
    st.caption(f"Pairs by the correlation of their thumbnails, most similar first.{more}")
    picks = gallery(
        lambda: _items(found, pairs.head(_SHOWN)), ("duplicates", str(found.path)), key="failures-duplicates",
        label="Near-duplicates with different labels", noun=("image", "images"), panel=False, tile=76, height=None,
    )  # fmt: skip
    st.download_button(
        "CSV", partial(_csv, found, pairs), "near-duplicates.csv", "text/csv", key="failures-duplicates-csv",
        on_click="ignore", icon=":material/download:",
    )  # fmt: skip
    if picks.action == "case":
        parameters.keep("case", int(picks.opened))


def _items(found: Predictions, pairs: pd.DataFrame) -> Items:
    rows = pairs[["first", "second"]].to_numpy().reshape(-1)
    images = found.images.iloc[rows]
    return Items(
        pixels=found.array("thumbnails")[rows],
        ids=rows.tolist(),
        titles=[found.class_name(label) for label in images["label"]],
        notes=[str(path).rpartition("/")[2] for path in images["path"]],
        actions=[("case", ["Look at it"] * len(rows))],
        groups=[(f"correlation {value:.3f}", 2) for value in pairs["correlation"]],
    )


def _csv(found: Predictions, pairs: pd.DataFrame) -> str:
    """The pairs with their files and labels."""
    columns = {}
    for side in ("first", "second"):
        images = found.images.iloc[pairs[side].to_numpy()]
        columns[side] = images["path"].tolist()
        columns[f"{side}_label"] = [found.class_name(label) for label in images["label"]]
    return as_csv(pd.DataFrame(columns).assign(correlation=pairs["correlation"]))
