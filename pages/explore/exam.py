"""Exam: which explainers find what is known to be in the images; a league table, its cases, and how stable it is."""

import streamlit as st

from core.exam import Exam
from pages.ui.exam import cases, exam_builds, exam_form, exports, league_table, open_exam, stability, tags
from pages.ui.session import parameters
from pages.ui.widgets.text import plain

entries = open_exam.listed()
sound = {name: one for name, one in entries.items() if isinstance(one, Exam)}
exam_builds.watched()
if sound:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        chosen_exam = open_exam.choice(sound).draw(
            st.selectbox, format_func=lambda name: open_exam.titled(name, sound[name]), width=330
        )
        exam = sound[chosen_exam]
        titles = dict(zip(exam.measures["name"], exam.measures["title"], strict=True))
        measure = parameters.choice("Measure", tuple(titles), "measure").draw(
            st.selectbox, format_func=titles.get, width=240,
            help="Sorts the table, and decides which cases are worst and best.",
        )  # fmt: skip
        family = league_table.family(exam)
        exports.menu(exam)
    st.caption(plain(open_exam.summary(exam)))
    chosen = league_table.drawn(exam, measure, family)
    tags.drawn(exam)
    cases.drawn(exam, measure, chosen)
    stability.curves(exam, chosen)
    st.header("Does the order hold?", anchor=False)
    stability.order(exam, measure, chosen)
else:
    st.info(
        "There is no exam yet. An exam runs every explainer on images whose objects are known, and measures which find "
        "them."
    )
exam_builds.broken({name: one for name, one in entries.items() if not isinstance(one, Exam)})
exam_form.form(expanded=not sound)
