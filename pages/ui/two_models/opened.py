"""The two models, and their predictions for the same images."""

from dataclasses import dataclass

import streamlit as st

from core.models.name import parsed
from core.progress import Report
from core.review.predictions import Predictions, predictions
from core.review.two_models.disagreement import TwoModels, for_labels
from core.workbench import Workbench, pass_seconds
from pages.ui.failures.opened import EXAMPLE, Opened
from pages.ui.session import location, networks, parameters, state
from pages.ui.study.study_predictions import AT_ONCE, stored
from pages.ui.widgets.on_demand import on_demand
from pages.ui.widgets.text import duration, plain

_UNTAGGED = "flowers-single-6c"  # the second network of the example, which has never seen a tag
_PART, _TITLE = "second-predictions", "Predicting with the second model"


@dataclass(frozen=True)
class Pair:
    """The predictions of two models, and the models themselves."""

    found: TwoModels
    benches: tuple[Workbench, Workbench]

    @property
    def names(self) -> tuple[str, str]:
        """The models as they are called on the page."""
        first, second = (bench.model.display for bench in self.benches)
        return (first, second) if first != second else (f"{first} (first)", f"{second} (second)")


def opened(first: Opened) -> Pair | None:
    """The choice of the second model; None until there are predictions of both."""
    names = [name for name in networks.selectable() if name != first.bench.model.name]
    if not names:
        st.info("Open a second model with “Open a model” in the header of Start.")
        return None
    wanted = _UNTAGGED if parameters.shown("of") == EXAMPLE else location.current().model
    name = parameters.choice("Second model", names, "second", default=wanted if wanted in names else names[0]).draw(
        st.selectbox, width=380, format_func=lambda one: parsed(one).display,
        help="Any model that is open in this session, such as an earlier checkpoint of the same training.",
    )  # fmt: skip
    bench = Workbench(networks.of(name), state.session().cache)
    source = for_labels(first.predictions.source, first.predictions.labels, bench.model.labels)
    key = (source.key, first.predictions.manifest.data.fingerprint, bench.model.key)

    def work(report: Report) -> Predictions:
        return predictions(source, bench.model, folder=stored(), report=report)

    seconds = len(source) * pass_seconds(bench.model)
    found = on_demand(
        _PART, key, _TITLE, work, button="Predict with the second model", at_once=seconds < AT_ONCE,
        note=f"About {duration(seconds)} for {len(source):,} images.",
    )  # fmt: skip
    if found is None:
        return None
    for note in dict.fromkeys((*first.predictions.notes, *found.notes)):
        st.caption(plain(note))
    return Pair(TwoModels(first.predictions, found), (first.bench, bench))
