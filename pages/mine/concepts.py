"""Concepts: groups of filters that make up the patches of a study, with their maps, rules and importance."""

import streamlit as st

from core.progress import Report
from core.study import Study
from core.units.concepts import StudyConcepts, study_concepts
from pages.ui.session import parameters
from pages.ui.session.jobs import once
from pages.ui.study import concept_importance, concept_views, open_study
from pages.ui.widgets import messages

_FEWEST, _MOST = 2, 30  # concepts on the page

_WHAT = (
    "A concept here is a group of filters that respond together, in fixed proportions, in many patches of this study. "
    "Concepts are found so that sums of them come as close as possible to the responses of all filters in every patch; "
    "they have no names, and their patches show what they stand for."
)


@st.cache_resource(max_entries=16, show_spinner=False)
def cached(key: tuple[str, int], _found: StudyConcepts | None) -> StudyConcepts:
    """Concepts found before, by study and number."""
    if _found is None:
        raise LookupError(key)
    return _found


@st.fragment
@messages.error_boundary("Concepts")
def page(study: Study) -> None:
    """The number of concepts, a row for each, what is lost without them, and their rules."""
    st.markdown(_WHAT)
    patches = open_study.catalogue(study).patches
    most = min(_MOST, len(patches), study.manifest.model.filters)
    if most < _FEWEST:
        st.info("This study has too few patches for concepts.")
        return
    usual = min(max(patches["label"].nunique(), _FEWEST), most)  # a concept for each class
    left, right = st.columns([1, 2.6], vertical_alignment="bottom", gap="medium")
    count = parameters.number("Number of concepts", _FEWEST, most, "count", default=usual, step=1).draw(
        left.slider, help="More concepts come closer to the responses; similar ones begin to share a group."
    )

    def work(report: Report) -> StudyConcepts:
        return study_concepts(study, count, report=report)

    with messages.refused():
        found = once(cached, (open_study.key(study), count), "Finding concepts", work)
        with right.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.caption(concept_views.summary(found))
            measured = concept_importance.known(study, found)
            concept_views.downloads(study, found, measured, count)
        concept_importance.section(study, found)
        concept_views.rows(study, found, concept_importance.known(study, found))
        concept_views.rules(study, found)


page(open_study.study())
