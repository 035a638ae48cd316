"""Errors and notices on a page: sentences, never tracebacks."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from core.errors import VitrineError
from pages.ui.session import state
from pages.ui.widgets.text import plain


@contextmanager
def error_boundary(title: str) -> Iterator[None]:
    """A page or a fragment of one: what a user can act on becomes a sentence, and a defect takes nothing else with it.

    A fragment needs its own, as Streamlit puts its traceback in place before the page hears of it.
    """
    try:
        yield
    except VitrineError as error:
        st.error(plain(str(error)))
    except Exception as error:
        logging.getLogger("vitrine").exception("page %s", title)
        st.error(
            plain(f"This page failed because of a defect ({type(error).__name__}). The server's log has the details.")
        )


def notices() -> None:
    """The sentences that actions left behind, each once."""
    for level, text in state.pop_notices():
        box = {"error": st.error, "warning": st.warning}.get(level, st.info)
        box(plain(text))


@contextmanager
def refused() -> Iterator[None]:
    """Work whose refusal becomes a sentence in its place; inside a fragment the frame's own net is not there."""
    try:
        yield
    except VitrineError as error:
        st.error(plain(str(error)))
