"""The panel of what if: the image with its edits, what changes, dials, and the smallest change."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.edits.apply import cells_of
from core.edits.edit import IMAGE
from core.edits.what_if import prepare
from core.errors import VitrineError
from core.figures.encoding import reduced
from core.images import Picture
from core.study import Study
from core.workbench import Workbench
from pages.ui import components
from pages.ui.what_if import dials, edit_list, exports, flips, maps, outcome
from pages.ui.what_if.edit_list import EditList
from pages.ui.what_if.outcome import Outcome, Subject
from pages.ui.what_if.rules import rules
from pages.ui.widgets import messages
from pages.ui.widgets.text import plain

_COUNT = 50  # superpixels, until another number is chosen
_SIDE = 512  # pixels, the maximum side of the superpixels sent
_FILLS = {"blur": "blur", "mean": "mean colour", "zero": "black"}


def panel(asked: Callable[[], Subject], study: Study | None, method: str = "grad_cam") -> None:
    """All of it for what `asked` returns, in a fragment of its own: an edit does not run the rest of the page again.

    `study` is one of the network, whose rules are shown; `method` is the first method of the maps.
    """

    @st.fragment
    @messages.error_boundary("What if")
    def live() -> None:
        _drawn(asked(), study, method)

    live()


def _drawn(subject: Subject, study: Study | None, method: str) -> None:
    shown = edit_list.current(subject.picture.key)
    edit_list.write(shown.edits)
    problem, made = shown.problem, shown.edits
    try:
        found = outcome.outcome(subject, shown.edits)
    except VitrineError as error:
        problem, made, found = str(error), (), outcome.outcome(subject, ())
    _image(subject, shown, found)
    if problem:
        st.error(plain(problem))
    _listed(shown)
    with st.expander("Brightness, rotation, noise, JPEG", icon=":material/tune:"):
        dials.of_picture(shown)
    with st.expander("Filters of a layer or of a rule", icon=":material/equalizer:"):
        layer = dials.of_filters(subject.bench, shown, study)
    both = None
    left, right = st.columns([1, 1.2], gap="large")
    with left, messages.refused():
        both = maps.maps(found, method)
    with right:
        if study:
            with messages.refused():
                rules(study, found)
        exports.menu(found, shown.edits, both)
    with messages.refused():
        flips.smallest(subject, made, shown.count or _COUNT, layer)
    if not shown.edits:  # last, as everything is on the page by now
        prepare(subject.bench, subject.picture)


def _image(subject: Subject, shown: EditList, found: Outcome) -> None:
    """The image to edit, with the classes before and after beside it."""
    bench, picture, after = subject.bench, subject.picture, found.after.picture
    height, width = picture.pixels.shape[:2]
    key = "what-if-image"
    sent: dict[str, tuple[dict[str, Any], bytes]] = {
        f"whatif-{one.key[:16]}": ({}, _photo(bench, one)) for one in (picture, after)
    }
    count = shown.count or _COUNT
    segments = ""
    if shown.count:
        cells = _cells(bench, picture, count)
        step = -(-max(cells.shape) // _SIDE)
        cells = cells[::step, ::step]
        segments = f"cells-{picture.key[:12]}-{count}"
        sent[segments] = ({"width": cells.shape[1], "height": cells.shape[0]}, cells.astype("<u2").tobytes())
    components.blobs("what-if", sent)
    values = bench.model.output == "regression"
    components.what_if(
        {
            "photo": f"whatif-{picture.key[:16]}",
            "edited": f"whatif-{after.key[:16]}",
            "name": picture.name,
            "width": width,
            "height": height,
            "frame": list(bench.model.preprocess.frame((height, width))),
            "fills": [
                *_FILLS.items(),
                *((f"{IMAGE}{name}", title) for name, title in outcome.images(picture)),
            ],
            "mean": "rgb({},{},{})".format(*picture.pixels[::8, ::8].mean((0, 1)).round().astype(int).tolist()),
            "segments": segments,
            "count": count,
            "undo": shown.undoable,
            "redo": bool(shown.future),
            "handled": shown.handled,
            "said": found.sentence() if shown.edits else "No edit yet: drag a box over a part of the image",
            "bars": [
                {
                    "name": name,
                    "before": f"{before:.4g}" if values else before,
                    "after": f"{after:.4g}" if values else after,
                    "mark": " ✓" if index == subject.true else "",
                }
                for name, before, after, index in found.rows()
            ],
        },
        key,
        lambda: edit_list.act(st.session_state[key].get("act"), partial(_cells, bench, picture)),
    )


def _cells(bench: Workbench, picture: Picture, count: int) -> NDArray[np.integer]:
    """The superpixel of each pixel of the picture."""
    return bench.cache.get((picture.key, "cells", count), lambda: cells_of(picture, count))


def _photo(bench: Workbench, picture: Picture) -> bytes:
    return bench.cache.get((picture.key, "reduced"), lambda: reduced(picture.pixels))


def _listed(shown: EditList) -> None:
    """The edits in the order in which they are applied, each with a button that takes it away."""
    if not shown.edits:
        return
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="what-if-edits"):
        for number, edit in enumerate(shown.edits):
            text = str(edit)
            st.button(
                plain(text if len(text) <= 48 else f"{text[:32]}…{text[-12:]}"), key=f"what-if-edit-{number}",
                icon=":material/close:", help="Take this edit away", on_click=_removed, args=(number,),
            )  # fmt: skip


def _removed(number: int) -> None:
    shown = edit_list.stored()
    edit_list.attempt(lambda: shown.change([one for at, one in enumerate(shown.edits) if at != number]))
