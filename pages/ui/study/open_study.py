"""The open study of a session: its choice, its tables in memory, and links to pages about it."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.environment import home
from core.explain import EXPLAINERS
from core.mining.averages import contributing, weighted
from core.mining.rules import Mined, mine, stored
from core.mining.transactions import Transactions
from core.models.name import parsed
from core.models.sources import efficientnet_lite
from core.progress import Report
from core.study import BUNDLED, Study, StudyEntry, list_studies
from core.study.browse import Catalogue, Rows
from core.study.build import config_of
from core.study.config import MiningConfig
from core.study.tags import Tags
from pages.ui.session import location, navigation, parameters
from pages.ui.session.jobs import once
from pages.ui.widgets.text import plain


def folder() -> Path:
    """Where this user's own studies are kept."""
    return home() / "studies"


def listed() -> dict[str, StudyEntry]:
    """Every study there is by the name that pages and addresses use: bundled ones first."""
    found: dict[str, StudyEntry] = {}
    for entry in [*list_studies(BUNDLED), *list_studies(folder())]:
        found[entry.path.name if entry.path.name not in found else f"{entry.path.name} (yours)"] = entry
    return found


def study() -> Study:
    """The open study, with the bar that says and changes which; without any, the page ends with the way to one."""
    entries = {name: entry.study for name, entry in listed().items() if entry.study}
    if not entries:
        st.info("There is no study yet. A study is built once from a model and a folder of images, then explored here.")
        navigation.link("mine/studies", "Build a study")
        st.stop()
    fitting = [name for name, entry in entries.items() if entry.manifest.model.name == location.current().model]
    left, right = st.columns([1, 2.6], vertical_alignment="center", gap="medium")
    with left:
        chosen = parameters.choice("Study", list(entries), "study", default=(fitting or list(entries))[0])
        name = chosen.draw(st.selectbox, label_visibility="collapsed", help="The study shown on this page.")
    if st.session_state.setdefault("shelf", name) != name:
        st.session_state["shelf"] = name
        parameters.forget_everywhere(("image", "average"))  # these numbers mean something else in another study
    right.caption(plain(summary(entries[name])))
    unstudied(entries.values())
    return entries[name]


def unstudied(studies: Iterable[Study]) -> None:
    """Say why the bundled classifier of photos comes without a study, and how to build one, until there is one."""
    known = {study.manifest.model.name for study in studies}
    if location.current().model == efficientnet_lite.NAME and efficientnet_lite.NAME not in known:
        build = f"vitrine study build --model {efficientnet_lite.NAME} --data PHOTOS --out STUDY"
        st.caption(
            f"No study of {plain(efficientnet_lite.NAME)} is bundled, since few photos may be redistributed: "
            f"build one from your own images on the Studies page, or with `{build}`."
        )


def summary(study: Study) -> str:
    """A study in a line."""
    manifest = study.manifest
    model, data, method = manifest.model, manifest.data, manifest.config["explainer"]
    title = EXPLAINERS[method].title if method in EXPLAINERS else method
    patches = manifest.tables["patches"].rows
    return (
        f"{parsed(model.name).display}, layer {model.layer} with {model.filters:,} filters · "
        f"{data.images:,} images · {patches:,} patches of {manifest.window} px selected by {title}"
    )


def catalogue(study: Study) -> Catalogue:
    """The study's patches in memory, shared by all sessions."""
    return _catalogue(key(study), study)


def table(study: Study, name: str) -> pd.DataFrame:
    """A table of the study, read once; not to be changed."""
    return _table((key(study), name), study)


def config(study: Study) -> MiningConfig:
    """The settings the study's own rules were mined with."""
    return config_of(study).mining


def mined(study: Study, config: MiningConfig) -> Mined:
    """What these settings find in the study's transactions, cached for every setting tried lately.

    At the study's own settings it is what the study stores. Raises TooLarge where it is too much.
    """

    def work(report: Report) -> Mined:
        if _effective(study, config) == _effective(study, config_of(study).mining):
            return stored(study, config)
        return mine(study, config, seed=study.manifest.seed, report=report)

    return once(_mined, (key(study), config), "Mining rules", work)


def _effective(study: Study, config: MiningConfig) -> MiningConfig:
    """The same settings, with no more filters of a patch than the study has."""
    return replace(config, filters=min(config.filters, study.manifest.arrays["items"].shape[1]))


def key(study: Study) -> str:
    """What names a study's content in caches."""
    return f"{study.manifest.digest} {study.path}"


def averaged(study: Study, uniform: bool, top: int) -> tuple[np.ndarray, list[Rows], list[np.ndarray]]:
    """For each row of table `averages` its picture in [0, 1], its patches and their weights, heaviest first.

    `uniform` weighs all patches alike, `top` (0 for all) takes only the heaviest so many.
    """
    return _averaged((key(study), uniform, top), study, mined(study, config(study)))


# The first argument of each is the key of its cache; the others are not looked at.
@st.cache_resource(max_entries=4, show_spinner=False)
def _catalogue(key: str, _study: Study) -> Catalogue:  # noqa: ARG001
    return Catalogue(_study)


@st.cache_resource(max_entries=64, show_spinner=False)
def _table(key: tuple[str, str], _study: Study) -> pd.DataFrame:
    return _study.table(key[1])


@st.cache_resource(max_entries=64, show_spinner=False)
def _mined(key: tuple[str, MiningConfig], _found: Mined | None) -> Mined:
    if _found is None:
        raise LookupError(key)
    return _found


@st.cache_resource(max_entries=16, show_spinner=False)
def _averaged(
    key: tuple[str, bool, int], _study: Study, _found: Mined
) -> tuple[np.ndarray, list[Rows], list[np.ndarray]]:
    _, uniform, top = key
    patches, crops = catalogue(_study), _study.array("crops")
    transactions = Transactions(patches.items, patches.patches["label"].to_numpy(np.int64))
    pictures, rows, weights = [], [], []
    for label, number in columns(table(_study, "averages"), "label", "filter"):
        own_rows, weight = contributing(_found, transactions, patches.responses, label, number)
        own_rows, weight = own_rows[: top or None], weight[: top or None]
        pictures.append(weighted(crops[own_rows], np.ones(len(own_rows)) if uniform else weight).astype(np.float32))
        rows.append(own_rows)
        weights.append(weight)
    return np.stack(pictures), rows, weights


def tags(study: Study) -> Tags:
    """The words this user pinned to the study's patches."""
    return Tags(home(), study.manifest.digest)


def label(study: Study, number: int) -> str:
    """A class by name."""
    return study.labels[number] if 0 <= number < len(study.labels) else "unknown"


def columns(frame: pd.DataFrame, *names: str) -> Any:
    """The rows of some columns as tuples of plain values."""
    return zip(*(frame[name].tolist() for name in names), strict=True)
