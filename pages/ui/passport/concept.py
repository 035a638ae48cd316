"""The concept that a unit detects, from a stored network dissection."""

import numpy as np
import pandas as pd
import streamlit as st

from pages.ui.study import patch_items
from pages.ui.units import analyses
from pages.ui.units.inspected import Inspected
from pages.ui.widgets.text import plain

_LISTED = 5  # concepts


def concept(inspected: Inspected, number: int) -> None:
    """The best concept with its IoU and those after it, or the offer to compute them."""
    st.header("Concept", anchor=False)
    store = analyses.newest(inspected, "dissection")
    if store is None:
        st.caption("This layer has not been dissected: that needs images with masks of concepts.")
        analyses.offer(inspected, "dissection", "unit-dissection")
        return
    units = analyses.rows(store, "units", inspected.layer)
    place = int(np.flatnonzero(units["unit"] == number)[0])
    row = units.iloc[place]
    least = float(store.manifest.settings.settings["least"])
    named = analyses.table(store, "concepts")
    overlaps = store.array("iou")[units.index.to_numpy()[place]]
    table = named.assign(iou=overlaps).sort_values("iou", ascending=False, kind="stable").head(_LISTED)
    st.markdown(plain(_sentence(patch_items.unit(number), row, table, least)))
    if not row["dead"]:
        st.dataframe(
            pd.DataFrame({"Concept": table["name"], "Category": table["category"], "IoU": table["iou"].clip(lower=0)}),
            hide_index=True, alt=f"Concepts of {patch_items.unit(number)} by IoU",
            column_config={"IoU": st.column_config.ProgressColumn(min_value=0.0, max_value=1.0, format="%.3f")},
        )  # fmt: skip
    images = len(analyses.table(store, "images"))
    st.caption(
        f"Overlap of its responses above {row['threshold']:.3g} with the masks of each concept, in {images:,} images "
        "(Bau et al. 2017)."
    )


def _sentence(unit: str, row: "pd.Series[float]", table: pd.DataFrame, least: float) -> str:
    """What the numbers say."""
    if row["dead"]:
        return f"{unit} is dead on these images: it detects nothing."
    best = table.iloc[0]
    if not row["detector"]:
        return f"No concept reaches {least:.2f}: the best is {best['name']}, with an IoU of {max(best['iou'], 0):.3f}."
    after = f", before {table['name'].iloc[1]} with {max(table['iou'].iloc[1], 0):.3f}" if len(table) > 1 else ""
    return f"Detects {best['name']} ({best['category']}) with an IoU of {best['iou']:.3f}{after}."
