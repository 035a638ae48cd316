"""The report of a layer's dissection: its detectors by category, with their share of the units."""

from functools import partial

import pandas as pd
import streamlit as st

from core.export.command import analysis_command
from core.export.spreadsheet import as_csv
from core.figures.units.detectors import detector_histogram, detector_histogram_file
from core.units.dissection import categories, summary
from pages.ui.session import visitors
from pages.ui.units.unit_facts import UnitFacts
from pages.ui.widgets import downloads
from pages.ui.widgets.text import plain


def report(facts: UnitFacts) -> None:
    """The numbers of the layer, and a histogram of the categories with its downloads, if it was dissected."""
    store, layer = facts.stores.get("dissection"), facts.inspected.layer
    if store is None:
        return
    st.header("Detectors by category", anchor=False)
    (row,) = _of_layer(summary(store.tables, store.known_array("draws")), layer).to_dict("records")
    live = f"{row['detectors']:,} of {row['live']:,} live units are detectors"
    words = f"{live}: {row['share']:.1%}{_interval(row['share_low'], row['share_high'], '.1%')}."
    different = (
        f"They detect {row['unique']:,} different concepts{_interval(row['unique_low'], row['unique_high'], '.0f')}."
    )
    st.markdown(plain(f"{words} {different}"))
    if pd.isna(row["share_low"]):
        st.caption("Intervals are missing, as an earlier version dissected this layer. Dissect it again for them.")
    counts = _of_layer(categories(store.tables), layer)
    bars = tuple(counts[name].tolist() for name in ("category", "detectors", "unique"))
    if len(counts):
        st.plotly_chart(
            detector_histogram(*bars), key="detectors-chart", config={"displayModeBar": False},
            alt=", ".join(f"{name}: {some} detectors of {one} concepts" for name, some, one in zip(*bars, strict=True)),
        )  # fmt: skip
    with st.container(horizontal=True):
        draw = partial(detector_histogram_file, *bars, title=f"{layer}: detectors by category", note=words)
        downloads.of_chart(f"{layer}-detectors", partial(as_csv, counts), draw, key="detectors")
        with st.popover("Command", icon=":material/terminal:"):
            line = analysis_command(store.manifest.settings, store.name)
            st.code(visitors.public(line), language="sh", wrap_lines=True)
    st.caption(
        "A detector is a unit whose strongest responses overlap with the masks of a concept (IoU above "
        f"{store.manifest.settings.settings['least']:g}; Bau et al. 2017). In brackets 95% intervals over images, by "
        "the bootstrap, thresholds of the responses unchanged."
    )


def _of_layer(table: pd.DataFrame, layer: str) -> pd.DataFrame:
    return table[table["layer"] == layer]


def _interval(low: float, high: float, form: str) -> str:
    return "" if pd.isna(low) else f" ({low:{form}} to {high:{form}})"
