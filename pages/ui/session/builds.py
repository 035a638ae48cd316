"""Builds of studies, exams and analyses in the background: they belong to the server, whatever becomes of a tab."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import streamlit as st

from core.jobs import Job
from core.progress import Report
from pages.ui.session import state, visitors

_starting = Lock()  # held from the check of the limits to the start
Kind = Literal["study", "exam", "analysis", "relevance"]
# Where builds are shown with a button to stop them.
PAGES: dict[str, str] = {"study": "studies", "exam": "exam", "analysis": "units", "relevance": "compare"}


@dataclass(frozen=True)
class Build:
    """A build of the store at a path: running, or ended and not yet replaced by another."""

    path: Path
    job: Job[Any]
    kind: Kind = "study"


def start(path: Path, work: Callable[[Report], Any], kind: Kind = "study") -> None:
    """Start building the store at a path, unless that is running.

    Raises Unavailable if a visitor, or the server, has enough builds or stores of this kind.
    """
    builds = _builds()
    with _starting:
        running = [build.path for build in list(builds.values()) if build.job.running]
        if path not in running:
            visitors.check_builds(running, path.parent)
            builds[path] = Build(path, Job(work, f"Building {path.name}"), kind)


def builds(kind: Kind | None = None) -> list[Build]:
    """This visitor's builds since the server started, except those that were dismissed; all kinds by default."""
    own = [build for build in list(_builds().values()) if build.path.is_relative_to(visitors.own_home())]
    return [build for build in own if kind in (None, build.kind)]


def running(kind: Kind | None = None) -> list[Build]:
    """The builds that are running."""
    return [build for build in builds(kind) if build.job.running]


def dismiss(path: Path) -> None:
    """Forget the build of a path that has ended."""
    build = _builds().get(path)
    if build and not build.job.running:
        _builds().pop(path, None)


def bar() -> None:
    """A thin bar with the time left of every running build, for all pages; tells once when one of them has ended."""
    known: set[Path] = st.session_state.setdefault("builds", set())
    now = running()
    for build in builds():
        if build.path in known and not build.job.running:
            known.discard(build.path)
            if not _here(build):
                _tell(build)
    known |= {build.path for build in now}
    elsewhere = [build for build in now if not _here(build)]

    @st.fragment(run_every=1.0)
    def live() -> None:
        if all(build.job.running for build in now):
            for build in elsewhere:
                st.progress(min(build.job.fraction, 1.0), build.job.state_line)
        else:
            state.repeat_notices()
            st.rerun()

    with st.container(key="vitrine-builds"):  # also without a bar, so that what follows keeps its place
        if elsewhere:
            live()


def _here(build: Build) -> bool:
    """Whether the current page shows a build itself."""
    return bool(st.session_state.get("page") == PAGES[build.kind])


def _tell(build: Build) -> None:
    """Add a notice about a build that has ended."""
    name, job = build.path.name, build.job
    if job.state == "done":
        state.add_notice(
            "info", f"The {build.kind} {name} is finished. Open it on the page {PAGES[build.kind].capitalize()}."
        )
    elif job.error:
        state.add_notice("error", f"Building {name}: {job.error}")


@st.cache_resource(show_spinner=False)
def _builds() -> dict[Path, Build]:
    return {}
