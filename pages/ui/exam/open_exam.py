"""The open exam of a session: its choice, its numbers in memory, and its model."""

from pathlib import Path

import pandas as pd
import streamlit as st

from core.data.model_options import options_of
from core.environment import home
from core.errors import printable
from core.exam import BUNDLED, Exam, list_exams
from core.exam.league import above_controls, flips, league, standings
from core.exam.review import check_model
from core.models.name import parsed
from core.workbench import Workbench
from pages.ui.session import networks, parameters, state, visitors


def folder() -> Path:
    """The folder of this user's own exams, or of this visitor's."""
    return visitors.own_home() / "exams"


def listed() -> dict[str, Exam | tuple[Path, str]]:
    """All exams by the name used on the page and in addresses; of a broken one its path and its problem."""
    entries: dict[str, Exam | tuple[Path, str]] = {}
    for path, found in list_exams(*dict.fromkeys((BUNDLED, home() / "exams", folder()))).items():
        name = printable(path.name)  # names of files need not be texts
        while name in entries:
            name = f"{name} (yours)"
        entries[name] = found if isinstance(found, Exam) else (path, found)
    return entries


def choice(entries: dict[str, Exam]) -> parameters.Parameter[str]:
    """The parameter for the exam."""
    return parameters.choice("Exam", list(entries), "exam")


def titled(name: str, exam: Exam) -> str:
    """An exam in the list: what it is about, and its name."""
    subject = f"flowers {exam.config.variant}" if exam.config.variant else Path(exam.config.data).name
    return f"{name} · {subject}"


def summary(exam: Exam) -> str:
    """An exam in a line."""
    config, images = exam.config, exam.images
    known = images[images["label"] >= 0]
    sizes = images["fold"].value_counts()
    each = f"{sizes.min()}" if sizes.min() == sizes.max() else f"{sizes.min()} or {sizes.max()}"
    working = exam.methods[exam.methods["reason"] == ""]
    controls = int((working["family"] == "control").sum())
    parts = [
        parsed(exam.manifest.model.name).display,
        f"{len(images):,} image{'s' * (len(images) != 1)} of "
        + (f"flowers {config.variant}" if config.variant else Path(config.data).name),
        f"{config.folds} folds of {each} images" if config.folds > 1 else "a single fold",
        f"{len(working) - controls} methods and {controls} controls, quality {config.quality}",
    ]
    if len(known):
        right = int((known["label"] == known["predicted"]).sum())
        parts.append(f"prediction right for {right:,} of {len(known):,}")
    return " · ".join(parts)


def bench(exam: Exam) -> Workbench:
    """The workbench of the exam's model.

    Raises what loading it raises, and StoreError if it is another one now.
    """
    if exam.config.data:
        visitors.permitted(exam.config.data)
    model = networks.of(exam.manifest.model.name, options_of(exam.config))
    check_model(exam, model)
    return Workbench(model, state.session().cache)


def key(exam: Exam) -> str:
    """The cache key of an exam's content."""
    return f"{exam.manifest.digest} {exam.path}"


def table(exam: Exam) -> pd.DataFrame:
    """`core.exam.league.league` of the exam, computed once; must not be modified, as is true of those below."""
    return _table(key(exam), exam)


def numbers(exam: Exam) -> pd.DataFrame:
    """`core.exam.league.standings` of the exam."""
    return _numbers(key(exam), exam)


def above(exam: Exam, measure: str) -> pd.DataFrame:
    """`core.exam.league.above_controls` of the exam."""
    return _above((key(exam), measure), exam)


def order_flips(exam: Exam, measure: str) -> pd.DataFrame:
    """`core.exam.league.flips` of the exam."""
    return _flips((key(exam), measure), exam)


# The first argument of each is its cache key; the other is not part of it.
@st.cache_resource(max_entries=16, show_spinner=False)
def _table(key: str, _exam: Exam) -> pd.DataFrame:  # noqa: ARG001
    return league(_exam)


@st.cache_resource(max_entries=16, show_spinner=False)
def _numbers(key: str, _exam: Exam) -> pd.DataFrame:  # noqa: ARG001
    return standings(_exam)


@st.cache_resource(max_entries=64, show_spinner=False)
def _above(key: tuple[str, str], _exam: Exam) -> pd.DataFrame:
    return above_controls(_exam, key[1])


@st.cache_resource(max_entries=64, show_spinner=False)
def _flips(key: tuple[str, str], _exam: Exam) -> pd.DataFrame:
    return flips(_exam, key[1])
