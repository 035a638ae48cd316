"""The relevance of filters that VEBI needs: computed below the comparison where none is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from core.comparison import Tile
from core.data.layout import UNKNOWN
from core.environment import device
from core.errors import VitrineError
from core.explain import EXPLAINERS
from core.explain.methods.relevant_filters import RELEVANCE
from core.export.command import analysis_command, flowers_command
from core.models import Model
from core.models.name import parsed
from core.progress import Report, subrange
from core.serialization import digest, dump
from core.units.build import build_analysis
from core.units.config import UnitsConfig
from core.units.drawn_flowers import MU, PER_CLASS, SEED, drawn_flowers, flower_count, flower_folder
from core.units.store import UnitStore
from core.workbench import Workbench, pass_seconds
from pages.ui.session import builds, location, networks, state, visitors
from pages.ui.session.jobs import watch
from pages.ui.study import open_study
from pages.ui.units import analyses
from pages.ui.widgets import messages
from pages.ui.widgets.text import duration, folder_name, plain

_MOST = 2000  # images of a folder, evenly from its classes
_DRAWING = 0.05  # seconds of a flower


@dataclass(frozen=True)
class Images:
    """The images from which relevance can be computed."""

    folder: Path
    count: int
    name: str
    flowers: bool = False  # drawn where they are not there yet

    def config(self, model: Model, name: str) -> UnitsConfig:
        """The settings of the analysis; `name` is the one by which the model is selected."""
        return UnitsConfig(
            analysis="relevance", model=networks.loadable(name), data=str(self.folder), images=_MOST,
            settings={"mu": MU} if flower_folder(model) else {}, **networks.options_of(name).changed(),
        )  # fmt: skip


def offer(bench: Workbench, names: Sequence[str]) -> None:
    """A button that computes relevance in the background, if a compared method lacks only that; then its maps.

    Not on a server for others, where results of visitors are not read by methods.
    """
    if visitors.shared() or location.current().present:
        return
    lacking = [name for name in names if EXPLAINERS[name].unmet_need(bench.model) is RELEVANCE]
    if not lacking:
        _computed_again(bench)
        return
    st.session_state["relevance-missing"] = bench.model.sha
    title, images = EXPLAINERS[lacking[0]].title, _images(bench.model)
    if images is None:
        st.caption(
            f"{title} needs the relevance of filters. To compute it here, open a folder with one sub-folder of images "
            "per class."
        )
        return
    config = images.config(bench.model, location.current().model)
    path = _path(bench.model, config)
    build = next((one for one in builds.builds("relevance") if one.path == path), None)
    with messages.refused():
        if build:
            watch(build.job, lambda _: None, "Stopped. What is done is kept: compute it again to continue.")
    if build is None or not build.job.running:
        seconds = images.count * pass_seconds(bench.model) + _drawing(images)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Compute filter relevance", key="compute-relevance", icon=":material/add:", on_click=_start,
                args=(bench.model, config, path, images),
            )  # fmt: skip
            st.caption(plain(
                f"{title} needs the relevance of filters for the classes. From {images.count:,} images "
                f"{images.name}, about {duration(seconds)} and the time of reading them."
            ))  # fmt: skip
            with st.popover("Command", icon=":material/terminal:"):
                st.code(visitors.public(_command(bench.model, config, path, images)), language="sh", wrap_lines=True)


def _command(model: Model, config: UnitsConfig, path: Path, images: Images) -> str:
    """The command line that does the same, after one that draws the flowers if need be."""
    lines = [analysis_command(config, str(path))]
    if images.flowers:
        variant = model.facts["variant"]
        lines.insert(0, flowers_command(variant, PER_CLASS[variant], SEED, config.data))
    return "\n".join(lines)


def _start(model: Model, config: UnitsConfig, path: Path, images: Images) -> None:
    def work(report: Report) -> UnitStore:
        if images.flowers:
            drawn_flowers(model, subrange(report, 0.0, 0.6))
            report = subrange(report, 0.6, 1.0)
        return build_analysis(config, path, model=model, device=device(), report=report)

    builds.start(path, work, "relevance")


def _computed_again(bench: Workbench) -> None:
    """Compute the maps that failed for want of relevance, once there is some."""
    shown = state.session().comparison
    if st.session_state.get("relevance-missing") != bench.model.sha or not shown or shown.running:
        return
    del st.session_state["relevance-missing"]
    for build in builds.builds("relevance"):
        builds.dismiss(build.path)

    def failed(tile: Tile) -> bool:
        needs = EXPLAINERS[tile.request.name].needs
        return RELEVANCE in needs and isinstance(shown.answers.get(tile.key), VitrineError)

    if tiles := [tile for tile in shown.tiles if failed(tile)]:
        shown.again(tiles)
        state.repeat_notices()
        st.rerun()


def _images(model: Model) -> Images | None:
    """Images with classes of the model: of the open folder, of one of its studies, or flowers for a flower network."""
    if opened := state.session().folder:
        matched = opened.folder.matched(model.labels)
        if any(label != UNKNOWN for label in matched.labels):
            return Images(opened.folder.base, min(len(matched), _MOST), f"of {opened.name}")
    for name, entry in open_study.listed().items():
        study = entry.study
        if study and study.manifest.model.sha == model.sha and study.has_images(study.folder):
            labels = open_study.table(study, "images")["label"]
            if (labels != UNKNOWN).any():
                return Images(study.folder, min(len(labels), _MOST), f"of the study {name}")
    if folder := flower_folder(model):
        return Images(folder, flower_count(model), "of flowers, drawn for this", flowers=True)
    return None


def _path(model: Model, config: UnitsConfig) -> Path:
    name = f"{parsed(model.name).architecture}-relevance-{digest([dump(config), model.sha])[:6]}"
    return analyses.folder() / folder_name(name, "relevance")


def _drawing(images: Images) -> float:
    """Seconds that drawing takes."""
    return images.count * _DRAWING if images.flowers and not images.folder.is_dir() else 0.0
