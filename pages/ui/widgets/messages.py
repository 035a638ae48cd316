"""Errors and notices on a page: sentences, never tracebacks."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from core.errors import VitrineError
from pages.ui.session import state, url
from pages.ui.widgets.text import plain


@contextmanager
def error_boundary(title: str) -> Iterator[None]:
    """Show a VitrineError of a page or fragment as a message; other errors do not affect the rest of the page.

    A fragment needs its own, as Streamlit shows its traceback before the error reaches the page.
    """
    try:
        url.repeat()
        yield
    except VitrineError as error:
        st.error(plain(str(error)))
    except Exception as error:
        logging.getLogger("vitrine").exception("page %s", title)
        st.error(
            plain(f"This page failed because of a defect ({type(error).__name__}). The server's log has the details.")
        )


def notices() -> None:
    """Show the notices added by actions, each once."""
    for level, text in state.pop_notices():
        box = {"error": st.error, "warning": st.warning}.get(level, st.info)
        box(plain(text))


def problems() -> None:
    """Show what the link of this page names in vain, until it is dismissed."""
    if texts := state.problems():
        st.warning("\n\n".join(map(plain, texts)))
        st.button("Dismiss", key="dismiss", on_click=state.forget_problems, type="tertiary")


@contextmanager
def refused() -> Iterator[None]:
    """Show a VitrineError of the block as a message in place; fragments are outside the frame's error handling."""
    try:
        yield
    except VitrineError as error:
        st.error(plain(str(error)))
