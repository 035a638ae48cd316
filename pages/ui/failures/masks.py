"""The masks of the objects in the images: those that are named, else those beside the images."""

from pathlib import Path

import streamlit as st

from core.data.masks import MaskFolder, mask_folder
from core.errors import VitrineError
from core.progress import Report
from core.review.regions import Objects, masks_beside
from pages.ui.failures.opened import Opened
from pages.ui.session import parameters, visitors
from pages.ui.widgets.on_demand import computed
from pages.ui.widgets.text import plain

_PART, _TITLE = "masks", "Listing masks"


def masks(shown: Opened) -> tuple[Objects | None, str]:
    """The field that names them; the objects by these masks, None without any, and the path of the masks."""
    named = parameters.words("Masks", "masks").draw(
        st.text_input, width=420, placeholder="folder or file; empty: masks beside the images",
        help="Pictures named as the images are, COCO JSON, or XML of VOC or ImageNet.",
    )  # fmt: skip
    try:
        path = visitors.permitted(named) if named else masks_beside(shown.predictions.source)
        if path is not None and visitors.may_read(path):
            found = Objects(shown.predictions.source, shown.bench.model, _listed(shown, path))
            for note in found.notes:
                st.caption(plain(note))
            return found, str(path)
    except VitrineError as error:  # the page works without masks
        st.warning(plain(str(error)))
    return None, ""


def _listed(shown: Opened, path: Path) -> MaskFolder:
    """The masks of the images at a path, listed once per session."""
    paths = shown.predictions.source.paths
    key = (str(shown.predictions.path), str(path))

    def work(report: Report) -> MaskFolder:
        return mask_folder(path, paths, report)

    return computed(_PART, key, _TITLE, work)
