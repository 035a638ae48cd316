"""The importance of concepts: measured on demand, over the study's images or those of another folder."""

from collections.abc import Hashable
from pathlib import Path

import streamlit as st

from core.data.image_folder import scan
from core.errors import VitrineError
from core.progress import Report
from core.study import Study
from core.units.concepts import Importance, StudyConcepts, study_importance
from core.units.concepts.importance import DRAWS
from core.workbench import pass_seconds
from pages.ui.session import visitors
from pages.ui.study import ablation, moved_files, open_study
from pages.ui.widgets.on_demand import done, on_demand
from pages.ui.widgets.tables import percentages
from pages.ui.widgets.text import duration, plain

_NAME = "importance"


def folder() -> str:
    """The folder of other images, as the field says; empty for the study's own."""
    return str(st.session_state.get("importance-folder", "")).strip()


def known(study: Study, found: StudyConcepts) -> Importance | None:
    """The importance of these concepts on these images, if it was measured before."""
    result: Importance | None = done(_NAME, _key(study, found))
    return result


def section(study: Study, found: StudyConcepts) -> None:
    """The images that are used, and the button that starts to measure, until it is measured."""
    with st.expander("Importance of each concept", icon=":material/query_stats:", key="importance"):
        st.markdown(
            "How much does each class depend on a concept? Images are classified again with the concept's direction "
            f"removed at every position of the layer and, for comparison, with {DRAWS} random directions of the same "
            "length."
        )
        st.text_input(
            "Folder of images", key="importance-folder", placeholder="empty: the study's own images", width=520,
            help="A folder on this server with one sub-folder per class.",
        )  # fmt: skip
        if folder():
            visitors.permitted(folder())
        elif not study.has_images(study.folder):
            st.caption(plain(f"The images of the study are not in {study.folder}: name a folder of other images."))
            moved_files.images(study, "importance-images")
            return
        model = ablation.bench(study, "importance").model
        where, directions = folder(), found.concepts.directions

        def work(report: Report) -> Importance:
            return study_importance(study, directions, model, folder=where, report=report)

        images = _images(study, where)
        seconds = images * pass_seconds(model) * (2 + len(directions) * (1 + DRAWS))
        note = f"Takes at most {duration(seconds)} for {images:,} images." if images else ""
        measured = on_demand(
            _NAME, _key(study, found), "Removing concepts", work, button="Measure importance", note=note
        )
        if measured is not None:
            _shown(measured)


def _key(study: Study, found: StudyConcepts) -> Hashable:
    return open_study.key(study), len(found.concepts.directions), folder()


def _images(study: Study, where: str) -> int:
    """The number of images, 0 if the folder cannot be read: the work itself says why."""
    try:
        return len(scan(Path(where))) if where else int((open_study.table(study, "images")["label"] >= 0).sum())
    except VitrineError:
        return 0


def _shown(measured: Importance) -> None:
    """The losses as a table, and what was skipped."""
    drops = measured.drops()
    shares = {"drop": "Probability lost", "drop_random": "… random direction", "drop_accuracy": "Accuracy lost"}
    percentages(
        drops[["concept", "name", *shares]],
        shares,
        alt="What is lost without each concept",
        column_config={"concept": "Concept", "name": "Class that loses most"} | shares,
    )
    if measured.skipped:
        st.caption(plain(f"Skipped: {len(measured.skipped):,} images, such as {next(iter(measured.skipped.values()))}"))
