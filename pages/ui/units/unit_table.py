"""Every unit of a layer as a row of a table."""

from collections.abc import Sequence

import streamlit as st

from core.export.spreadsheet import as_csv
from pages.ui.study import patch_items
from pages.ui.units import selection
from pages.ui.units.unit_facts import UnitFacts

_NAMES = {
    "dead": "Dead", "highest": "Highest response", "class": "Class", "selectivity": "Selectivity", "concept": "Concept",
    "iou": "IoU", "detector": "Detector", "relevant for": "Relevant for", "weight": "Weight", "patches": "Patches",
    "rules": "Rules",
}  # fmt: skip


def table(facts: UnitFacts, units: Sequence[int]) -> None:
    """The table of these units, in which some can be selected, with a download."""
    inspected = facts.inspected
    rows = facts.table.iloc[list(units)]
    if "dead" in rows and not rows["dead"].any():
        rows = rows.drop(columns="dead")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Select rows to ablate or compare these units. Click a heading to sort.")
        st.space("stretch")
        st.download_button(
            "CSV", lambda: as_csv(rows.assign(layer=inspected.layer)), f"{inspected.layer}-units.csv", "text/csv",
            on_click="ignore", icon=":material/download:", help="All columns of this table",
        )  # fmt: skip
    frame = rows.assign(unit=[patch_items.unit(unit) for unit in units]).rename(columns={"unit": "Unit", **_NAMES})
    known = {name for name in frame if name in _CONFIG}
    key = selection.widget(f"units-table-{hash((facts.key, tuple(units)))}")
    begun = [units.index(unit) for unit in selection.begun(key)]
    event = st.dataframe(
        frame, key=key, hide_index=True, height=560, on_select="rerun", selection_mode="multi-row",
        selection_default={"selection": {"rows": begun}}, column_config={name: _CONFIG[name] for name in known},
        alt=f"Units of {inspected.layer} with what is known of each",
    )  # fmt: skip
    selection.tell([units[row] for row in event["selection"]["rows"] if row < len(units)])


_SHARE, _NUMBER = st.column_config.ProgressColumn, st.column_config.NumberColumn
_CONFIG = {
    "Highest response": _NUMBER(format="%.3g", help="At one position, in the images that were analysed"),
    "Class": st.column_config.TextColumn(help="The class with the highest mean response"),
    "Selectivity": _SHARE(
        format="%.2f", min_value=0, max_value=1, color="#0072B2",
        help="(m - o) / (|m| + |o|): m is the mean response to its class, o the mean of the other classes' means. 1 if "
        "it responds to one class only, 0 if to all alike.",
    ),
    "Concept": st.column_config.TextColumn(help="Whose masks overlap most with its strongest responses"),
    "IoU": _SHARE(
        format="%.2f", min_value=0, max_value=1, color="#009E73", help="Of its strongest responses and the masks"
    ),
    "Detector": st.column_config.CheckboxColumn(help="Whether the IoU is above the limit of the dissection"),
    "Relevant for": st.column_config.TextColumn(help="Classes for which the mu-lasso gives it a positive weight"),
    "Weight": _NUMBER(format="%.3f", help="The largest of these weights"),
    "Patches": _NUMBER(help="Of the study, in which it is among the strongest filters"),
    "Rules": _NUMBER(help="Of the study, with this filter"),
}  # fmt: skip
