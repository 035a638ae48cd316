"""The audit sheet of the model: what a person expects of a unit for a class, and the sheet as a file."""

import pandas as pd
import streamlit as st

from core.errors import VitrineError
from core.export.spreadsheet import as_csv
from core.units.passport.audit import VERDICTS, AuditSheet, Mark
from pages.ui.session import state, visitors
from pages.ui.study import patch_items
from pages.ui.units.inspected import Inspected
from pages.ui.widgets import messages
from pages.ui.widgets.text import plain


def marks(inspected: Inspected, number: int) -> None:
    """The marks of this unit, the form for another one, and the download of all marks of the model."""
    st.header("Audit", anchor=False)
    labels = inspected.study.labels if inspected.study else inspected.bench.model.labels
    sheet = AuditSheet(visitors.own_home(), inspected.sha)
    with messages.refused():
        every = [one for one in sheet.marks() if one.label < len(labels)]
        own = [one for one in every if (one.layer, one.unit) == (inspected.layer, number)]
        st.caption("Would you expect a class to depend on this unit? Marks are yours, stored for this model.")
        _form(sheet, labels, inspected.layer, number)
        _listed(sheet, own, labels)
        if every:
            st.download_button(
                f"CSV of all {len(every):,} marks" if len(every) > 1 else "CSV", lambda: as_csv(sheet.table(labels)),
                "audit.csv", "text/csv", key="audit-csv", on_click="ignore", icon=":material/download:",
                help="All marks of this model, by class, layer and unit",
            )  # fmt: skip


def _form(sheet: AuditSheet, labels: tuple[str, ...], layer: str, number: int) -> None:
    with st.form("audit", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Class", range(len(labels)), format_func=labels.__getitem__, key="audit-class", width=220,
            filter_mode="fuzzy",
        )  # fmt: skip
        st.segmented_control("Mark", VERDICTS, default=VERDICTS[0], required=True, key="audit-mark")
        st.text_input("Note", key="audit-note", width=320, placeholder="why")
        st.form_submit_button("Keep mark", on_click=_kept, args=(sheet, layer, number))


def _kept(sheet: AuditSheet, layer: str, number: int) -> None:
    given = st.session_state
    mark = Mark(given["audit-class"], layer, number, given["audit-mark"], given["audit-note"].strip())
    try:
        sheet.set(mark)
    except VitrineError as error:
        state.add_notice("error", str(error))
    else:
        given["audit-note"] = ""


def _listed(sheet: AuditSheet, own: list[Mark], labels: tuple[str, ...]) -> None:
    """The marks of the unit, of which a selected one can be removed."""
    if not own:
        return
    frame = pd.DataFrame({
        "Class": [labels[one.label] for one in own], "Mark": [one.verdict for one in own],
        "Note": [one.note for one in own],
    })  # fmt: skip
    unit = patch_items.unit(own[0].unit)
    event = st.dataframe(
        frame, hide_index=True, key=f"marks-{own[0].layer}-{own[0].unit}", on_select="rerun",
        selection_mode="multi-row", alt=f"Marks of {unit}", height="content",
    )  # fmt: skip
    chosen = [own[row] for row in event["selection"]["rows"] if row < len(own)]
    if chosen:
        names = ", ".join(labels[one.label] for one in chosen)
        st.button(plain(f"Remove mark: {names}"), key="audit-remove", on_click=_removed, args=(sheet, chosen))


def _removed(sheet: AuditSheet, chosen: list[Mark]) -> None:
    try:
        for one in chosen:
            sheet.remove(one.label, one.layer, one.unit)
    except VitrineError as error:
        state.add_notice("error", str(error))
