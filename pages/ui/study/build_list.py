"""Builds of studies on their page: running ones with their progress, ended ones, and unfinished ones to continue."""

from functools import partial

import streamlit as st

from core.jobs import Job
from core.study import Study
from core.study.schema import STUDY
from core.study.unfinished import Unfinished, unfinished
from pages.ui.session import builds, navigation
from pages.ui.session.jobs import watch
from pages.ui.study import build_form, open_study
from pages.ui.widgets import deletion, messages
from pages.ui.widgets.text import duration, plain


def watched() -> None:
    """The running and the last finished builds."""
    kept = {one.path for one in unfinished(open_study.folder())}
    for build in builds.builds("study"):
        rest = "What is done is kept: continue below." if build.path in kept else "No image was processed yet."
        with messages.refused():
            watch(build.job, partial(_built, build), f"Stopped. {rest}")
    if builds.running("study"):
        st.caption("Builds run on the server: you can leave, reload or close this page.")


def waiting() -> None:
    """The unfinished builds that no session is working on, each to continue or delete."""
    running = {build.path for build in builds.running()}
    found = [one for one in unfinished(open_study.folder()) if one.path not in running]
    if not found:
        return
    st.subheader("Unfinished", anchor=False)
    for one in found:
        _entry(one)


def _entry(one: Unfinished) -> None:
    name = one.path.name
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        if one.running:
            st.markdown(plain(f"{name}: being built by another process."))
            return
        st.markdown(plain(f"{name}: {_progress(one)}"))
        if one.config:
            st.button("Continue", key=f"continue-{name}", icon=":material/play_arrow:", on_click=build_form.start,
                      args=(one.config, one.path))  # fmt: skip
        if st.button("Delete", key=f"delete-{name}", icon=":material/delete:", help="Deletes what is done so far."):
            deletion.confirm(STUDY, name, one.path)


def _progress(one: Unfinished) -> str:
    """What is known of an unfinished build."""
    if one.config is None:
        return "left by an earlier version, which did not note its settings."
    return f"stopped, {one.fraction:.0%} of {one.images:,} images done, {one.config.model} on {one.config.data}"


def _built(build: builds.Build, job: Job[Study]) -> None:
    """A study that has been finished since the server started."""
    if study := job.result:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.success(plain(f"{study.name} finished in {duration(job.seconds)}."))
            if st.button("Open study", key=f"open-{study.name}", type="primary"):
                builds.dismiss(build.path)
                navigation.patches_of(study=study.name)
            st.button("Close", key=f"close-{study.name}", on_click=builds.dismiss, args=(build.path,))
