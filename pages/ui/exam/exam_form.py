"""The form of a new exam: its images, model, methods and settings, an estimate, and the command that does the same."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import streamlit as st

from core.data.flowers import VARIANTS
from core.data.model_options import options_of
from core.environment import device
from core.errors import Unavailable, VitrineError
from core.exam.build import build_exam
from core.exam.config import ExamConfig
from core.exam.plan import ExamPlan, model_name, planned
from core.explain import EXPLAINERS
from core.export.league_figure import exam_command
from core.models import Model
from core.models.name import parsed
from core.params import expanded, params_of
from core.progress import Report
from core.registry import unknown
from core.serialization import digest, dump
from core.workbench import pass_seconds
from pages.ui.exam import open_exam
from pages.ui.session import builds, location, networks, state, visitors
from pages.ui.session.jobs import working
from pages.ui.widgets import forms, messages
from pages.ui.widgets.folder_browser import browser
from pages.ui.widgets.text import cost_text, folder_name, plain

_FOLDER = "Your own images"
_OWNER = "exam"  # of the settings in forms
_REST = "exam.more"
_SHOWN = ("images", "folds", "quality")  # the others are under More


def form(*, expanded: bool) -> None:
    """The settings of a new exam; after a check, which shows its cost, it can be built."""
    with st.expander("Build an exam", key="new-exam", icon=":material/add:", expanded=expanded):
        with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
            about = st.selectbox("Images", [*VARIANTS, _FOLDER], key="exam-variant", format_func=_about, width=300)
            params = params_of(ExamConfig)
            with st.popover("Settings", icon=":material/tune:"):
                forms.settings([one for one in params if one.name in _SHOWN], _OWNER, explained=True)
            with st.popover("More"):
                kept = {*_SHOWN} | ({"labels"} if visitors.shared() else set())
                forms.settings([one for one in params if one.name not in kept], _REST, explained=True)
        data, masks, model = _folder() if about == _FOLDER else ("", "", _model(""))
        methods = st.multiselect(
            "Methods", list(EXPLAINERS), key="exam-methods", format_func=lambda name: EXPLAINERS[name].title,
            placeholder="All that the model supports",
        )  # fmt: skip
        settings = {**(networks.options_of(model).changed() if model else {}), **location.settings(_OWNER)}
        settings |= location.settings(_REST)
        variant = "" if about == _FOLDER else about
        config = ExamConfig(variant=variant, data=data, masks=masks, model=model, methods=tuple(methods), **settings)
        name = st.text_input("Name", key="exam-name", placeholder=_suggested(config), width=300)
        ready = bool(variant or (data and model))
        st.code(visitors.public(exam_command(config, name or _suggested(config))), language="sh", wrap_lines=True)
        if st.button("Check", key="check-exam", disabled=not ready):
            with messages.refused():
                st.session_state["checked-exam"] = (digest(dump(config)), _check(config))
        st.caption("Check opens the model and reads the masks. Nothing is computed yet.")
        checked, facts = st.session_state.get("checked-exam", ("", ()))
        if ready and checked == digest(dump(config)):
            for sentence in facts:
                st.info(plain(sentence))
            path = open_exam.folder() / folder_name(name or _suggested(config), "exam")
            busy = any(build.path == path for build in builds.running())
            st.button("Build", key="build-exam", type="primary", disabled=busy, on_click=start, args=(config, path),
                      help="This exam is already being built." if busy else "")  # fmt: skip


def start(config: ExamConfig, path: Path) -> None:
    """Start or continue a build; it runs on the server, whatever becomes of this page."""
    try:
        model = _network(config)
        visitors.check_own(path)
        config = _loadable(config)

        def work(report: Report) -> object:
            return build_exam(config, path, model=model, device=device(), report=report)

        builds.start(path, work, "exam")
    except VitrineError as error:
        state.add_notice("error", str(error))


def _about(name: str) -> str:
    return name if name == _FOLDER else f"Flowers: {VARIANTS[name].title}"


def _folder() -> tuple[str, str, str]:
    """The folder of images, that of the masks, and the model."""
    left, middle, right = st.columns([1.3, 1.3, 1], gap="medium")
    with left.container(horizontal=True, vertical_alignment="bottom"):
        data = st.text_input("Folder of images", key="exam-data", placeholder="/home/you/photos")
        browser("exam-data")
    with middle.container(horizontal=True, vertical_alignment="bottom"):
        masks = st.text_input(
            "Masks", key="exam-masks", placeholder="folder or file; empty: masks beside the images",
            help="Pictures named as the images are, COCO JSON, or XML of VOC or ImageNet.",
        )  # fmt: skip
    with right:
        model = _model(location.current().model)
    return *(str(expanded(text)) if text else "" for text in (data, masks)), model  # type: ignore[return-value]


def _model(first: str) -> str:
    """The model of the list; "" is the bundled network of the variant."""
    names = [*([] if first else [""]), *networks.selectable()]
    chosen: str | None = st.selectbox(
        "Model", names, index=names.index(first) if first in names else 0, key=f"exam-model-{bool(first)}",
        format_func=lambda name: parsed(name).display if name else "The bundled network of these flowers", width=300,
        accept_new_options=bool(first) and not visitors.shared(),
    )  # fmt: skip
    return chosen or ""


def _check(config: ExamConfig) -> Sequence[str]:
    """What the build will do and take, as sentences. Raises what is wrong with it."""
    model = _network(config)

    def work(report: Report) -> ExamPlan:
        return planned(_loadable(config), model, device(), report)

    plan = working("Checking the exam", work)
    visitors.check_images(len(plan.images.names))
    count, methods = len(plan.images.names), [one for one in plan.methods if not one.reason]
    facts = (
        f"{count:,} image{'s' * (count != 1)}, {len(methods)} methods, {len(plan.measures)} measures: about "
        f"{cost_text(plan.passes.weight * pass_seconds(plan.model), plan.passes)} on this server."
    )
    left_out = [f"Left out: {reason}: {number:,}." for reason, number in plan.images.left_out.items()]
    return [facts, *plan.model.notes, *plan.images.notes, *left_out]


def _loadable(config: ExamConfig) -> ExamConfig:
    return replace(config, model=networks.loadable(config.model)) if config.model else config


def _network(config: ExamConfig) -> Model | None:
    """The shared network, unless the exam has options of its own for the model.

    Raises for a folder or model that this visitor may not read.
    """
    for path in filter(None, (config.data, config.masks)):
        visitors.permitted(path)
    name = model_name(config)
    if visitors.shared() and not networks.known(name):
        raise unknown("model", parsed(name).display, networks.listed())
    if visitors.shared() and config.labels != networks.options_of(name).labels:
        raise Unavailable("This server does not read files of labels.", "Leave the labels out.")
    options = options_of(config)
    return networks.of(name) if options == networks.options_of(name) else None


def _suggested(config: ExamConfig) -> str:
    return folder_name(f"{config.variant or Path(config.data).name}-{config.images}-{config.quality}", "exam")
