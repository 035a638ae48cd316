"""Class: everything about one class of a study."""

import streamlit as st

from core.models import Model
from core.review.predictions import Predictions
from core.study import Study
from pages.ui.classes import choice, decisions, of_study, pictures, shares
from pages.ui.study import ablation, open_study, rule_views
from pages.ui.study.study_predictions import predicted
from pages.ui.widgets import messages


@st.fragment
@messages.error_boundary("Class")
def page(study: Study) -> None:
    """Its decisions and filters, its images, then what the study mined of it."""
    label = choice.heading(study)
    with messages.refused():
        bench = ablation.bench(study, "class")
        if found := predicted(study, bench, ": accuracy, confusions and shares of filters"):
            _predicted(found, bench.model, label)
    left, right = rule_views.sides(1.2)
    with left:
        of_study.patches(study, label)
        of_study.averages(study, label)
    with right:
        of_study.rules(study, label)


def _predicted(found: Predictions, model: Model, label: int) -> None:
    """The sections that depend on predictions."""
    left, right = st.columns([1, 1.4], gap="medium")
    with left:
        decisions.decisions(found, label)
    with right:
        shares.shares(found, model, label)
    pictures.pictures(found, label)


page(open_study.study())
