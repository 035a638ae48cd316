"""Builds of exams on their page: running ones with their progress, ended and unfinished ones, and broken exams."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import streamlit as st

from core.exam import BUNDLED, Exam
from core.exam.schema import EXAM
from core.exam.unfinished import Unfinished, unfinished
from core.jobs import Job
from core.store.reader import removable
from pages.ui.exam import exam_form, open_exam
from pages.ui.session import builds, parameters, visitors
from pages.ui.session.jobs import watch
from pages.ui.widgets import deletion, messages
from pages.ui.widgets.text import duration, plain


def watched() -> None:
    """The running and the last finished builds, and the unfinished ones that no session is working on."""
    found = unfinished(open_exam.folder())
    kept = {one.path for one in found}
    for build in builds.builds("exam"):
        rest = "What is done is kept: continue below." if build.path in kept else "No image was processed yet."
        with messages.refused():
            watch(build.job, partial(_built, build), f"Stopped. {rest}")
    if running := {build.path for build in builds.running("exam")}:
        st.caption("Builds run on the server: you can leave, reload or close this page.")
    waiting = [one for one in found if one.path not in running]
    if waiting:
        st.header("Unfinished", anchor=False)
    for one in waiting:
        _entry(one)


def broken(problems: Mapping[str, tuple[Path, str]]) -> None:
    """Exams that cannot be opened, each with its problem as a sentence, to be deleted."""
    for name, (path, problem) in problems.items():
        st.warning(plain(f"{name}: {problem}"))
        removes = removable(EXAM, path) and not path.is_relative_to(BUNDLED) and visitors.owns(path)
        if removes and st.button(plain(f"Delete {name}"), key=f"delete-{name}", icon=":material/delete:"):
            deletion.confirm(EXAM, name, path)


def _entry(one: Unfinished) -> None:
    name = one.path.name
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        if one.running:
            st.markdown(plain(f"{name}: being built by another process."))
            return
        st.markdown(plain(f"{name}: stopped, {one.fraction:.0%} of {one.images:,} images done."))
        if one.config:
            st.button("Continue", key=f"continue-{name}", icon=":material/play_arrow:", on_click=exam_form.start,
                      args=(one.config, one.path))  # fmt: skip
        if st.button("Delete", key=f"delete-{name}", icon=":material/delete:", help="Deletes what is done so far."):
            deletion.confirm(EXAM, name, one.path)


def _built(build: builds.Build, job: Job[Exam]) -> None:
    """An exam that has been finished since the server started."""
    if exam := job.result:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.success(plain(f"{exam.name} finished in {duration(job.seconds)}."))
            st.button("Open exam", key=f"open-{exam.name}", type="primary", on_click=_opened, args=(build, exam.name))
            st.button("Close", key=f"close-{exam.name}", on_click=builds.dismiss, args=(build.path,))


def _opened(build: builds.Build, name: str) -> None:
    builds.dismiss(build.path)
    parameters.put("exam", name)
