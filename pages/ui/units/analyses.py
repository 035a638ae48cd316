"""Stored analyses of a model's units: the newest ones, their tables in memory, and the form that computes another."""

from collections.abc import Hashable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from core.data.image_folder import scan
from core.data.model_options import ModelOptions, options_of
from core.environment import device, home
from core.errors import Unavailable, VitrineError
from core.export.command import analysis_command
from core.jobs import Job
from core.models.name import parsed
from core.params import expanded
from core.serialization import digest, dump
from core.units.analysis import ANALYSES
from core.units.build import build_analysis
from core.units.config import UnitsConfig
from core.units.listing import BUNDLED, analyses_of, latest, list_analyses
from core.units.store import UnitStore
from core.workbench import pass_seconds
from pages.ui.session import builds, location, networks, state, visitors
from pages.ui.session.jobs import watch
from pages.ui.units.inspected import Inspected
from pages.ui.widgets import forms, messages
from pages.ui.widgets.folder_browser import browser
from pages.ui.widgets.text import duration, folder_name, plain


def folder() -> Path:
    """The folder of this user's own analyses, or of this visitor's."""
    return visitors.own_home() / "units"


def newest(inspected: Inspected, analysis: str) -> UnitStore | None:
    """The latest finished analysis of the model that contains the layer."""
    return latest(analyses_of(inspected.sha, listed()).get(analysis, ()), inspected.layer)


def listed() -> dict[Path, UnitStore | str]:
    """All analyses by path, own ones first; of a broken one its problem."""
    folders = tuple(dict.fromkeys((folder(), home() / "units", BUNDLED)))
    manifests = sorted(file for one in folders for file in one.glob("*/*.json"))
    return _listed((folders, tuple((file, _changed(file)) for file in manifests)))


def table(store: UnitStore, name: str) -> pd.DataFrame:
    """A table of an analysis, read once; must not be modified."""
    return _table((store.manifest.digest, str(store.path), name), store)


def rows(store: UnitStore, name: str, layer: str) -> pd.DataFrame:
    """The rows of a table that are about a layer, by its name."""
    number = table(store, "layers").set_index("name")["layer"][layer]
    every = table(store, name)
    return every[every["layer"] == number]


def offer(inspected: Inspected, analysis: str, key: str) -> None:
    """A form that computes an analysis of the layer in the background."""
    entry = ANALYSES[analysis]
    with st.expander(f"Compute: {entry.title}", key=f"offer-{key}", icon=":material/add:"):
        st.caption(plain(entry.summary))
        with st.container(horizontal=True, vertical_alignment="bottom"):
            given = st.text_input(
                "Folder of images and masks" if "concepts" in entry.needs else "Folder of images",
                images_of(inspected), key=f"{key}-data", placeholder="/home/you/photos", width=380,
            )  # fmt: skip
            browser(f"{key}-data")
            with st.popover("Settings", icon=":material/tune:"):
                forms.settings(entry.params, _owner(analysis), explained=True)
        if not given:
            st.caption(f"On this server{', with one sub-folder per class' * ('labels' in entry.needs)}.")
            return
        config = UnitsConfig(
            analysis=analysis, model=inspected.name, data=str(expanded(given)),
            layers=(inspected.layer,), settings=location.settings(_owner(analysis)),
            **_options(inspected).changed(),
        )  # fmt: skip
        name = f"{parsed(inspected.name).architecture}-{analysis}-{digest(dump(config))[:6]}"
        path = folder() / folder_name(name, analysis)
        st.code(visitors.public(analysis_command(config, path.name)), language="sh", wrap_lines=True)
        with messages.refused():
            visitors.permitted(given)
            count = len(scan(expanded(given)))
            visitors.check_images(count)
            seconds = count * entry.rounds * pass_seconds(inspected.bench.model)
            st.caption(f"{count:,} images: about {duration(seconds)} for passes, and the time of reading them.")
            busy = any(one.path == path for one in builds.running())
            st.button(
                "Compute", key=f"{key}-start", type="primary", disabled=busy, on_click=_start,
                args=(inspected, config, path),
            )  # fmt: skip


def watched() -> None:
    """The running and the last ended builds of analyses."""
    for build in builds.builds("analysis"):
        with messages.refused():
            watch(build.job, partial(_built, build), "Stopped. What is done is kept: compute it again to continue.")


def _start(inspected: Inspected, config: UnitsConfig, path: Path) -> None:
    try:
        visitors.check_own(path)
        model = inspected.bench.model
        if visitors.shared() and not networks.known(config.model):
            raise Unavailable(f"This server does not offer {parsed(config.model).display}.", "Choose one of the list.")
        if networks.known(config.model):
            config = replace(config, model=networks.loadable(config.model))
        builds.start(
            path, lambda report: build_analysis(config, path, model=model, device=device(), report=report), "analysis"
        )
    except VitrineError as error:
        state.add_notice("error", str(error))


def _built(build: builds.Build, job: Job[UnitStore]) -> None:
    if store := job.result:
        with st.container(horizontal=True, vertical_alignment="center"):
            finished = f"{store.analysis.title}: finished in {duration(job.seconds)}."
            st.success(plain(" ".join([finished, *store.manifest.notes])))
            st.button("Close", key=f"close-{store.name}", on_click=builds.dismiss, args=(build.path,))


def images_of(inspected: Inspected) -> str:
    """The folder of the study's images, if they are there."""
    study = inspected.study
    return str(study.folder) if study and study.has_images(study.folder) else ""


def _options(inspected: Inspected) -> ModelOptions:
    return options_of(inspected.study.manifest.settings) if inspected.study else networks.options_of(inspected.name)


def _owner(analysis: str) -> str:
    return f"units.{analysis}"


def _changed(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:  # deleted meanwhile
        return 0


# The first argument of each is its cache key.
@st.cache_resource(max_entries=8, show_spinner=False)
def _listed(key: tuple[tuple[Path, ...], Hashable]) -> dict[Path, UnitStore | str]:
    return list_analyses(*key[0])


@st.cache_resource(max_entries=64, show_spinner=False)
def _table(key: tuple[str, str, str], _store: UnitStore) -> pd.DataFrame:
    return _store.table(key[2])
