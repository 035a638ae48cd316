"""The predictions of a study's model for its images."""

from pathlib import Path

from core.progress import Report
from core.review.predictions import Predictions, predictions
from core.review.source import study_source
from core.study import Study
from core.workbench import Workbench, pass_seconds
from pages.ui.session import visitors
from pages.ui.widgets.on_demand import on_demand
from pages.ui.widgets.text import duration

PART, TITLE = "predictions", "Predicting"
AT_ONCE = 6.0  # seconds of predictions that start without a click


def predicted(study: Study, bench: Workbench, purpose: str = "", home: Path | None = None) -> Predictions | None:
    """The predictions by the workbench of the study's model; where they take long, None until they are asked for.

    `purpose` says what they are for, after the time that they take; `home` is the folder of who has them, if another.
    """
    source, key = study_source(study), (study.manifest.digest, bench.model.key)

    def work(report: Report) -> Predictions:
        return predictions(source, bench.model, folder=stored(home), report=report)

    seconds = len(source) * pass_seconds(bench.model)
    note = f"About {duration(seconds)} for {len(source):,} images{purpose}."
    return on_demand(PART, key, TITLE, work, button="Predict", note=note, at_once=seconds < AT_ONCE)


def stored(home: Path | None = None) -> Path:
    """The folder of the predictions of this user or visitor, or of who has another folder."""
    return (home or visitors.own_home()) / "predictions"
