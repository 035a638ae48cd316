"""The dialogs that delete stores and other things on disk, after confirmation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from core.errors import UnknownName, VitrineError, brief
from core.store.schema import Schema
from core.store.storage import KINDS, Entry, delete, studies_of
from core.store.writer import remove
from pages.ui.session import state, visitors
from pages.ui.widgets import messages
from pages.ui.widgets.text import plain, size

_NAMED = 20  # entries that a dialog names


def confirm(schema: Schema[Any], name: str, path: Path) -> None:
    """Ask whether the store in this folder is to be deleted, and delete it; visitors delete only their own."""

    @st.dialog(f"Delete this {schema.noun}?")
    def asked() -> None:
        st.write(plain(f"The {schema.noun} “{name}” will be deleted permanently. Its source images are not touched."))
        with st.container(horizontal=True):
            if st.button("Delete", key="delete-now", type="primary"):
                with messages.refused():
                    visitors.check_own(path)
                    remove(schema, path)
                    state.add_notice("info", f"{name} was deleted.")
                    st.rerun()
            if st.button("Cancel"):
                st.rerun()

    asked()


def confirm_entries(root: Path, entries: Sequence[Entry]) -> None:
    """Ask whether what lies on disk below a visitor's own folder is to be deleted, and delete it."""

    @st.dialog("Delete from disk?")
    def asked() -> None:
        complete = all(entry.complete for entry in entries)
        total = size(sum(entry.bytes for entry in entries))
        st.write(plain(f"Deleted permanently, {'' if complete else 'at least '}{total}:"))
        for entry in entries[:_NAMED]:
            lost = studies_of(root, entry)
            note = f". Images of {', '.join(lost)} are in it" if lost else ""
            link = ". Only the link is deleted" if entry.state == "link" else ""
            named = f"{KINDS[entry.kind].title} {brief(entry.name, 60)}, {size(entry.bytes)}{note}{link}"
            st.markdown(f"- {plain(named)}")
        if len(entries) > _NAMED:
            st.write(f"and {len(entries) - _NAMED:,} more.")
        with st.container(horizontal=True):
            if st.button("Delete", key="delete-now", type="primary"):
                with messages.refused():
                    for count, entry in enumerate(entries):
                        try:
                            delete(root, entry.kind, entry.name)
                        except UnknownName:  # deleted meanwhile
                            continue
                        except VitrineError:
                            if count:
                                state.add_notice("info", f"{count:,} of {len(entries):,} were deleted.")
                            raise
                    st.session_state.pop("storage", None)
                    state.add_notice("info", f"Deleted {len(entries):,}, {total}.")
                    st.rerun()
            if st.button("Cancel"):
                st.rerun()

    asked()
