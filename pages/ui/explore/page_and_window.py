"""The page of a file with several, and the range of values of a deep image that is black to white: their widgets."""

from math import ceil, floor

import streamlit as st

from core.images import Picture, Scale
from pages.ui.session import location

_STEPS = 1000  # of the slider of fractions


def needed(picture: Picture) -> bool:
    """Whether there is anything to choose for a picture."""
    return picture.pages > 1 or _movable(picture.scale)


def controls(picture: Picture) -> None:
    """The number of the page and the range of values, where there is a choice."""
    if picture.pages > 1:
        st.session_state["file.page"] = picture.page
        st.number_input(f"Page, of {picture.pages:,}", 1, picture.pages, key="file.page", on_change=_turn)
    if picture.scale and _movable(picture.scale):
        _range(picture.scale)
        low, high = picture.scale.window
        level, width = f"{(low + high) / 2:,.6g}", f"{high - low:,.6g}"
        st.caption(f"Level {level}, width {width}. The network sees these values in full depth.")
        if picture.window:
            st.button("Default range", on_click=location.go, kwargs={"window": None}, icon=":material/undo:")


def _range(scale: Scale) -> None:
    """The slider: of whole numbers, or of fractions in even steps."""
    low, high = scale.window
    least, most = min(scale.least, low), max(scale.most, high)
    step = (most - least) / _STEPS
    if scale.whole:
        low, high, least, most, step = floor(low), ceil(high), floor(least), ceil(most), 1
    st.session_state["file.window"] = (float(low), float(high))
    st.slider(
        "Values shown as black to white", float(least), float(most), key="file.window", step=float(step),
        format="%.0f" if scale.whole else "%.4g", on_change=_move,
    )  # fmt: skip


def _movable(scale: Scale | None) -> bool:
    """Whether a deep image has more than one value."""
    return scale is not None and scale.least < scale.most


def _turn() -> None:
    location.go(page=st.session_state["file.page"])


def _move() -> None:
    low, high = st.session_state["file.window"]
    if low < high:
        location.go(window=(low, high))
