"""The dialog in which a mask is drawn on the current image."""

from pathlib import PurePosixPath

import streamlit as st

from core.data.masks.uploaded import drawn_mask
from core.errors import VitrineError
from core.figures.encoding import reduced
from core.images import Picture
from pages.ui import components
from pages.ui.session import location, masks
from pages.ui.widgets import messages
from pages.ui.widgets.text import plain

_OPEN = "mask-drawing"  # the key of the picture on which a mask is drawn
_COUNT = "mask-drawings"  # how often the dialog was opened
_PROBLEM = "mask-problem"
_KEY = "mask_drawing"


def open_for(picture: Picture) -> None:
    """Open the dialog for an image in the next run."""
    st.session_state[_OPEN] = picture.key
    st.session_state[_COUNT] = st.session_state.get(_COUNT, 0) + 1


def is_open() -> bool:
    """Whether a mask is being drawn."""
    return bool(st.session_state.get(_OPEN))


def dialog() -> None:
    """The dialog, if it is open for the current image."""
    if st.session_state.get(_OPEN) != location.subject().key:
        return

    def content() -> None:
        with messages.error_boundary("Mask"):
            _content()

    st.dialog("Draw a mask of the object", width="large", on_dismiss=_closed)(content)()


def _content() -> None:
    """The image with the drawing, in a fragment that outlives this run: it reads the session."""
    if not is_open():
        st.rerun()
    bench, picture = location.bench(), location.subject()
    own, (height, width) = masks.given(picture), picture.pixels.shape[:2]
    name = f"drawing-{picture.key[:16]}"
    photo = bench.cache.get((picture.key, "reduced"), lambda: reduced(picture.pixels))
    components.blobs("drawing", {name: ({}, photo)})
    components.mask_drawing(
        {
            "photo": name,
            "opening": f"{name}-{st.session_state.get(_COUNT, 0)}",
            "name": picture.name,
            "width": width,
            "height": height,
            "frame": list(bench.model.preprocess.frame((height, width))),
            "outlines": [list(one) for one in own.outlines] if own else [],
        },
        _KEY,
        _store,
    )
    if problem := st.session_state.pop(_PROBLEM, ""):
        st.error(plain(problem))


def _store() -> None:
    """Keep the drawn mask and close the dialog; if it does not fit, the dialog says why."""
    outlines, picture = st.session_state[_KEY].get("done"), location.subject()
    try:
        file = drawn_mask(outlines, (picture.pixels.shape[0], picture.pixels.shape[1]))
        name = f"{PurePosixPath(picture.name).stem}.png"
        kept = tuple(tuple(map(float, one)) for one in outlines)
        masks.give(location.bench(), picture, masks.Given(name, file, "Drawn here.", kept))
    except VitrineError as error:
        st.session_state[_PROBLEM] = str(error)
        return
    _closed()


def _closed() -> None:
    st.session_state[_OPEN] = ""
