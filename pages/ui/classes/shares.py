"""The shares of filters in the logit of the class."""

from typing import Any

import streamlit as st

from core.export.spreadsheet import as_csv
from core.figures.units.class_shares import class_shares_figure
from core.models import Model
from core.review.predictions import Predictions
from core.units.class_shares import ClassShares, class_shares, missing_shares
from pages.ui.session import navigation
from pages.ui.study import patch_items
from pages.ui.widgets.text import plain

_CHART = "class-shares"
_LINKS = 5


def shares(found: Predictions, model: Model, label: int) -> None:
    """The largest shares as bars, or why there are none."""
    st.header("Filters", anchor=False)
    if reason := missing_shares(model):
        st.caption(plain(f"{reason} So filters have no exact shares of the logit."))
        return
    images = found.images[found.images["problem"] == ""]
    own = (images["label"] == label).to_numpy()
    which = ""
    if not own.any():
        own, which = (images["predicted"] == label).to_numpy(), " predicted as it"
    if not own.any():
        st.caption("No image is of this class or predicted as it, so there is no mean logit to split.")
        return
    shown = class_shares(model, found.pooled[images["image"].to_numpy()], label, own)
    layer = found.manifest.layer
    event: Any = st.plotly_chart(
        class_shares_figure(shown.table), key=f"{_CHART}-{label}", on_select="rerun", selection_mode="points",
        config={"displayModeBar": False}, alt="Shares of filters in the mean logit: the CSV file has the same numbers",
    )  # fmt: skip
    chosen = [point["customdata"] for point in event["selection"]["points"]]
    if chosen and chosen[0] >= 0:
        navigation.go("units/unit", layer=layer, unit=int(chosen[0]))
    _explained(shown, found, which)
    with st.container(horizontal=True, vertical_alignment="center"):
        for number in shown.table["filter"].iloc[:_LINKS].tolist():
            navigation.link("units/unit", patch_items.unit(number), layer=layer, unit=number)
        st.download_button(
            "CSV", lambda: as_csv(shown.table), f"{found.labels[label]}-shares.csv", "text/csv", key="class-shares-csv",
            on_click="ignore", icon=":material/download:",
        )  # fmt: skip


def _explained(shown: ClassShares, found: Predictions, which: str) -> None:
    images = "1 image" if shown.images == 1 else f"{shown.images:,} images"
    st.caption(plain(
        f"Weight of the class × mean activation of each filter of {found.manifest.layer}, over the {images}{which}"
        f". All shares and the bias ({shown.bias:.3g}) sum to the mean logit, {shown.logit:.3g}."
    ))  # fmt: skip
