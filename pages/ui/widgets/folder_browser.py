"""A browser of the server's folders, below those that the visitor may read."""

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from core.data.folders import MOST, search, subfolders, within
from pages.ui.session import visitors
from pages.ui.widgets.text import plain


def browser(key: str) -> None:
    """A button that opens the browser; the chosen folder is set as the value of the text input with that key."""
    roots = _roots()
    if not roots:
        return
    with st.popover("Browse", icon=":material/folder_open:"):
        here = _here(key, roots)
        with st.container(horizontal=True, vertical_alignment="center"):
            for root, title in roots.items():
                st.button(plain(title), key=f"{key}-root-{title}", on_click=_enter, args=(key, root), type="tertiary")
            st.button("Up", key=f"{key}-up", on_click=_enter, args=(key, here.parent), disabled=here in roots,
                      icon=":material/arrow_upward:", type="tertiary")  # fmt: skip
        st.caption(plain(_named(here, roots)))
        words = st.text_input(
            "Search folders", key=f"{key}-search", placeholder="Search all folders", label_visibility="collapsed"
        )
        every = search(roots, words) if words.strip() else subfolders(here)
        found = [path for path in every if visitors.may_read(path)]
        if not found:
            st.caption("No folder has this in its name." if words.strip() else "There is no folder in it.")
        with st.container(height=260, border=True) if len(found) > 6 else st.container(gap=None):
            for number, path in enumerate(found[: 5 * MOST]):
                shown = _named(path, roots) if words.strip() else path.name
                st.button(plain(shown), key=f"{key}-folder-{number}", on_click=_enter, args=(key, path),
                          icon=":material/folder:", type="tertiary")  # fmt: skip
        st.button("Use this folder", key=f"{key}-use", type="primary", on_click=_use, args=(key, here))


def _roots() -> dict[Path, str]:
    """The folders to browse below, with their titles: those named at the start, and on this machine the user's own."""
    named = {folder: folder.name for folder in visitors.folders()}
    if visitors.shared():
        return named
    return {**named, Path.cwd(): "Current folder", Path.home(): "Home"}


def _here(key: str, roots: Mapping[Path, str]) -> Path:
    """The folder that is shown: the one entered last, else the first root."""
    first = next(iter(roots))
    here: Path = st.session_state.get(f"{key}-here", first)
    return here if within(here, roots) and visitors.may_read(here) else first


def _named(folder: Path, roots: Mapping[Path, str]) -> str:
    """A folder by the closest root above it, not by its absolute path."""
    root = max((root for root in roots if folder.is_relative_to(root)), key=lambda root: len(root.parts))
    return " / ".join((roots[root], *folder.relative_to(root).parts))


def _enter(key: str, folder: Path) -> None:
    st.session_state[f"{key}-here"] = folder
    st.session_state[f"{key}-search"] = ""


def _use(key: str, folder: Path) -> None:
    st.session_state[key] = str(folder)
