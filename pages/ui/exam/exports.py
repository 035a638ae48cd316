"""Downloads of an exam: its league table as CSV, LaTeX and figure, a report, and the command that builds it again."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from core.exam import Exam
from core.export.league import league_csv, league_latex
from core.export.league_figure import exam_command, league_figure
from core.export.reports.exam import exam_report
from core.export.reports.report import as_html
from core.figures.sheet import KINDS
from pages.ui.session import visitors

_TYPES = {"png": "image/png", "pdf": "application/pdf", "svg": "image/svg+xml"}


def menu(exam: Exam) -> None:
    """Downloads that are made on a click, and the command."""
    with st.popover("Export", icon=":material/download:", key="exam-export"):
        st.caption("The league table with all numbers, intervals and ranks:")
        with st.container(horizontal=True, gap="small"):
            _download("CSV", f"{exam.name}.csv", "text/csv", partial(league_csv, exam))
            _download("LaTeX", f"{exam.name}.tex", "text/x-tex", partial(league_latex, exam))
        st.caption("Means and 95% intervals under every measure, as a figure:")
        with st.container(horizontal=True, gap="small"):
            for kind in KINDS:
                _download(kind.upper(), f"{exam.name}.{kind}", _TYPES[kind], partial(league_figure, exam, kind))
        st.caption("All of it as one HTML file with its figure inside, to read or print:")
        _download("Report", f"{exam.name}.html", "text/html", lambda: as_html(exam_report(exam)))
        st.caption("This command builds the exam again:")
        st.code(visitors.public(exam_command(exam.config, exam.name)), language="sh", wrap_lines=True)


def _download(label: str, file: str, kind: str, content: Callable[[], str | bytes]) -> None:
    st.download_button(label, content, file, kind, key=f"exam-{label}", on_click="ignore")
