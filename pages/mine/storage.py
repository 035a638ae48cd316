"""Storage: what this user or visitor has on disk, with sizes, and its deletion."""

from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pandas as pd
import streamlit as st

from core.errors import VitrineError, printable
from core.export.spreadsheet import as_csv
from core.models.name import parsed
from core.store.storage import KINDS, Entry, listed, totals
from pages.ui.session import parameters, visitors
from pages.ui.widgets import deletion
from pages.ui.widgets.text import plain, size

_STATES = {
    "": "",
    "unfinished": "unfinished",
    "building": "being built",
    "link": "a link",
    "unreadable": "cannot be read",
}


def bytes_of(count: int, complete: bool) -> str:
    """A size, which is a lower bound where not everything was counted."""
    return size(count) if complete else f"at least {size(count)}"


def summary(entries: list[Entry]) -> None:
    """What all of it takes, and by kind."""
    found = totals(entries)
    total, complete = sum(entry.bytes for entry in entries), all(entry.complete for entry in entries)
    st.metric("On disk", bytes_of(total, complete))
    st.dataframe(
        {
            "Kind": [KINDS[kind].title for kind in found],
            "Number": [count for count, _, _ in found.values()],
            "Size": [bytes_of(count, whole) for _, count, whole in found.values()],
        },
        key="storage-kinds", hide_index=True, alt="Size on disk by kind",
    )  # fmt: skip
    if not complete:
        st.caption("Sizes that take long to add up are lower bounds.")


def table(entries: list[Entry]) -> list[Entry]:
    """Show the entries, the largest of each kind first; returns the selected ones."""
    frame = pd.DataFrame(
        {
            "Name": [printable(entry.name) for entry in entries],
            "Kind": [KINDS[entry.kind].title for entry in entries],
            "Of": [_about(entry) for entry in entries],
            "Size (MB)": [entry.bytes / 2**20 for entry in entries],
            "Changed": [datetime.fromtimestamp(entry.changed) for entry in entries],
            "State": [_STATES[entry.state] for entry in entries],
        }
    )
    event = st.dataframe(
        frame, key="storage", hide_index=True, on_select="rerun", selection_mode="multi-row", alt="What lies on disk",
        column_config={
            "Name": st.column_config.TextColumn(width="medium"),
            "Size (MB)": st.column_config.NumberColumn(format="%.1f"),
            "Changed": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
        },
    )  # fmt: skip
    return [entries[row] for row in event["selection"]["rows"] if row < len(entries)]


def _about(entry: Entry) -> str:
    """What an entry is about: images and model, without folders of this machine."""
    model = ""
    with suppress(VitrineError):  # a name that none of this version's models has
        model = parsed(entry.model).display if entry.model else ""
    of = Path(entry.of).name if entry.model else entry.of
    return printable(", ".join(filter(None, (of, model))))


def csv(entries: list[Entry]) -> str:
    """All entries as a CSV file."""
    facts = [{**vars(entry), "name": printable(entry.name), "of": _about(entry)} for entry in entries]
    return as_csv(pd.DataFrame(facts).drop(columns=["path", "model"]))


root = visitors.own_home()
every = listed(root)
if not every:
    st.info("Nothing is stored yet: studies, exams, analyses, reviews and downloads appear here.")
else:
    summary(every)
    kind = parameters.choice("Show", ["", *totals(every)], "kind", named=lambda one: one or "all").draw(
        st.selectbox, width=300, format_func=lambda one: KINDS[one].title if one else "Everything"
    )
    chosen = table([entry for entry in every if kind in ("", entry.kind)])
    kept = next((f"{entry.name}: {entry.kept}" for entry in chosen if entry.kept), "")
    with st.container(horizontal=True):
        if st.button(
            f"Delete {len(chosen)} selected" if chosen else "Delete", key="delete", icon=":material/delete:",
            disabled=not chosen or bool(kept), help=plain(kept) or None,
        ):  # fmt: skip
            deletion.confirm_entries(root, chosen)
        st.download_button(
            "CSV", lambda: csv(every), "storage.csv", "text/csv", key="storage-csv", on_click="ignore",
            icon=":material/download:",
        )  # fmt: skip
    if kept:
        st.caption(plain(kept))
    elif not chosen:
        st.caption("Select what to delete. Images that you only named are not stored here and are never deleted.")
if not visitors.shared():
    st.caption("The same in a terminal:")
    st.code("vitrine storage", language="bash")
