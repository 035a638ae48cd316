"""A browser of the server's folders, below the user's home and the folder the app was started in."""

from pathlib import Path

import streamlit as st

from core.data.folders import MOST, search, subfolders, within
from pages.ui.widgets.text import plain


def browser(key: str) -> None:
    """A button that opens the browser; the chosen folder is set as the value of the text input with that key."""
    roots = dict.fromkeys((Path.home(), Path.cwd()))
    with st.popover("Browse", icon=":material/folder_open:"):
        here = _here(key, roots)
        with st.container(horizontal=True, vertical_alignment="center"):
            for root, title in zip(roots, ("Home", "Current folder"), strict=False):
                st.button(title, key=f"{key}-root-{title}", on_click=_enter, args=(key, root), type="tertiary")
            up = here not in roots
            st.button("Up", key=f"{key}-up", on_click=_enter, args=(key, here.parent), disabled=not up, type="tertiary",
                      icon=":material/arrow_upward:")  # fmt: skip
        st.caption(plain(str(here)))
        words = st.text_input(
            "Search folders", key=f"{key}-search", placeholder="Search below home and current folder",
            label_visibility="collapsed",
        )  # fmt: skip
        found = search(roots, words) if words.strip() else subfolders(here)
        if not found:
            st.caption("No folder has this in its name." if words.strip() else "There is no folder in it.")
        with st.container(height=260, border=True) if len(found) > 6 else st.container(gap=None):
            for number, path in enumerate(found[: 5 * MOST]):
                shown = str(path) if words.strip() else path.name
                st.button(plain(shown), key=f"{key}-folder-{number}", on_click=_enter, args=(key, path),
                          icon=":material/folder:", type="tertiary")  # fmt: skip
        st.button("Use this folder", key=f"{key}-use", type="primary", on_click=_use, args=(key, here))


def _here(key: str, roots: dict[Path, None]) -> Path:
    """The folder that is shown: the one entered last, else the current folder."""
    here: Path = st.session_state.get(f"{key}-here", Path.cwd())
    return here if within(here, roots) else Path.cwd()


def _enter(key: str, folder: Path) -> None:
    st.session_state[f"{key}-here"] = folder
    st.session_state[f"{key}-search"] = ""


def _use(key: str, folder: Path) -> None:
    st.session_state[key] = str(folder)
