"""The places of the evidence of predictions: by the heatmaps of a study, of a folder by those computed when asked."""

import streamlit as st

from core.progress import Report, subrange
from core.review.evidence import Evidence, computed_evidence, stored_evidence
from core.review.heatmaps import are_stored, heatmaps
from core.review.regions import Objects
from pages.ui.failures import invitation
from pages.ui.failures.masks import masks
from pages.ui.failures.opened import Opened
from pages.ui.widgets import messages
from pages.ui.widgets.on_demand import computed, on_demand, takes

_PART, _TITLE = "evidence", "Locating the evidence"
_PASSES = 3  # of an image: a forward and a backward, which costs about two


def places(shown: Opened) -> tuple[dict[int, Evidence], str]:
    """Where the evidence of each image lies, empty while that is not known, and the path of the masks, "" without."""
    with st.expander("Where the evidence lies", icon=":material/center_focus_strong:"):
        objects, path = masks(shown)
        with messages.refused():
            found = _of_study(shown, objects, path) if shown.study else _of_folder(shown, objects, path)
            return found, path
    return {}, path


def _of_study(shown: Opened, objects: Objects | None, path: str) -> dict[int, Evidence]:
    source = shown.predictions.source
    key = (source.key, shown.bench.model.key, path)

    def work(report: Report) -> dict[int, Evidence]:
        return stored_evidence(source, objects, report)

    return computed(_PART, key, _TITLE, work)


def _of_folder(shown: Opened, objects: Objects | None, path: str) -> dict[int, Evidence]:
    """By Grad-CAM maps, which lie on disk once they are computed: then at once."""
    found, model = shown.predictions, shown.bench.model
    folder = invitation.home() / "heatmaps"

    def work(report: Report) -> dict[int, Evidence]:
        maps = heatmaps(found, model, folder=folder, report=subrange(report, 0.0, 0.7))
        return computed_evidence(maps, model.preprocess.size, objects, subrange(report, 0.7, 1.0))

    note = f"By Grad-CAM maps of the predicted classes. {takes(shown.bench, _PASSES * len(found.images))}"
    known = on_demand(
        _PART, (str(found.path), path), _TITLE, work, button="Locate the evidence", note=note,
        at_once=are_stored(found, folder),
    )  # fmt: skip
    return known or {}
