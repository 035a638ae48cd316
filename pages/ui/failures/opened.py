"""The study or folder whose failures are reviewed, and the predictions of a model for its images."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from core.data.flowers.folders import drawn_once
from core.progress import Report, subrange
from core.review.invitations import Invitation
from core.review.predictions import Predictions, predictions
from core.review.source import folder_source
from core.study import Study
from core.workbench import Workbench
from pages.ui.failures import invitation
from pages.ui.session import location, networks, parameters, state, visitors
from pages.ui.study import ablation, open_study
from pages.ui.study.study_predictions import PART, TITLE, predicted, stored
from pages.ui.widgets.folder_browser import browser
from pages.ui.widgets.on_demand import computed, on_demand
from pages.ui.widgets.text import plain

EXAMPLE, FOLDER = "example", "folder"  # in the address, instead of the name of a study
_TITLES = {EXAMPLE: "an example: flowers with misleading tags", FOLDER: "a folder of images"}
_TAGGED = "flowers-shortcut-6c"  # the network of the example, which relies on the tag


@dataclass(frozen=True)
class Opened:
    """Predictions, and the model that made them."""

    predictions: Predictions
    bench: Workbench

    @property
    def study(self) -> Study | None:
        """The study, unless the images are those of a folder."""
        return self.predictions.source.study


def opened() -> Opened | None:
    """The choice of the images at the top of the page; None until there are predictions for them.

    Who is invited to a review has no choice.
    """
    if found := invitation.accepted():
        return _invited(found)
    studies = {name: entry.study for name, entry in open_study.listed().items() if entry.study}
    names = [EXAMPLE, *studies, FOLDER]
    name = parameters.choice("Images of", names, "of").draw(
        st.selectbox, width=380, format_func=lambda one: _TITLES.get(one, f"the study {one}")
    )
    if name in studies:
        return _study(studies[name])
    return _folder() if name == FOLDER else _example()


def _example() -> Opened:
    """The predictions of a network that learned a shortcut, for flowers whose tag says another class than they show."""
    bench = Workbench(networks.of(_TAGGED), state.session().cache)
    st.caption(
        "This network was trained on flowers whose printed tag always agreed with their class. Here it agrees with "
        "half of them: what does the network look at?"
    )
    key = (EXAMPLE, bench.model.key)

    def work(report: Report) -> Predictions:
        folder = drawn_once(
            visitors.own_home() / "flowers" / "misleading-tags", "shortcut", per_class=10, seed=41, rho=0.5,
            report=subrange(report, 0, 0.5),
        )  # fmt: skip
        source = folder_source(folder / "images", bench.model.labels)
        return predictions(source, bench.model, folder=stored(), report=subrange(report, 0.5, 1))

    return Opened(computed(PART, key, TITLE, work), bench)


def _invited(found: Invitation) -> Opened | None:
    """The predictions that the invitation is about. Raises StudyError if its study is gone."""
    what = Path(found.study or found.folder).name
    st.caption(plain(f"You are invited to the review of {what}: your verdicts are seen by all who review it."))
    if found.study:
        return _study(Study(Path(found.study)))
    return _of_folder(visitors.permitted(found.folder), Workbench(networks.of(found.model), state.session().cache))


def _study(study: Study) -> Opened | None:
    """The predictions for the images of a study by its own model."""
    bench = ablation.bench(study, "failures")
    found = predicted(study, bench, home=invitation.home())
    return Opened(found, bench) if found else None


def _folder() -> Opened | None:
    """The predictions for the images of a folder by the model that images are explored with."""
    bench = location.bench()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        folder = parameters.words("Folder of images", "folder").draw(
            st.text_input, width=420, placeholder="/home/you/photos",
            help="On this server, with one sub-folder per class where these are known.",
        )  # fmt: skip
        browser(parameters.widget_key("folder"))
    if not folder:
        st.info(
            "Name a folder. Classes are those of its sub-folders; without them there are predictions, but no errors."
        )
        return None
    return _of_folder(visitors.permitted(folder), bench)


def _of_folder(path: Path, bench: Workbench) -> Opened | None:
    """The predictions for the images of a folder, once they are asked for."""
    home = invitation.home()

    def work(report: Report) -> Predictions:
        source = folder_source(path, bench.model.labels, report=subrange(report, 0, 0.1))
        return predictions(source, bench.model, folder=stored(home), report=subrange(report, 0.1, 1))

    key = (str(path), bench.model.key)
    note = f"By {bench.model.display}{'' if invitation.accepted() else ', the model that is open on Start'}."
    found = on_demand(PART, key, TITLE, work, button="Predict", note=note)
    return Opened(found, bench) if found else None
