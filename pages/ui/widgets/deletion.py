"""The dialog that deletes a store, after confirmation."""

from pathlib import Path
from typing import Any

import streamlit as st

from core.store.schema import Schema
from core.store.writer import remove
from pages.ui.session import state, visitors
from pages.ui.widgets import messages
from pages.ui.widgets.text import plain


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
