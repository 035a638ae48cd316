"""The form that builds a study: its folder, model and settings, a check of all, and how long it will take."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import streamlit as st

from core.data.model_options import options_of
from core.environment import device
from core.errors import Unavailable, VitrineError
from core.explain import EXPLAINERS
from core.models import Model
from core.models.name import parsed
from core.params import expanded, params_of
from core.registry import unknown
from core.serialization import digest, dump
from core.study.build import build_study, expected_passes, planned
from core.study.config import MiningConfig, PatchConfig, StudyConfig, TransactionConfig
from core.study.plan import StudyPlan
from core.workbench import pass_seconds
from pages.ui.session import builds, location, networks, state, visitors
from pages.ui.study import open_study
from pages.ui.widgets import forms, messages
from pages.ui.widgets.folder_browser import browser
from pages.ui.widgets.text import duration, folder_name, plain

_PARTS = {"patches": PatchConfig, "transactions": TransactionConfig, "mining": MiningConfig}
_ABOUT = {
    "patches": "Which windows of an image are its patches.",
    "transactions": "Which filters of a patch are the items that rules are mined from.",
    "mining": "Which rules are mined. These can also be changed later, on the page Rules.",
}


@dataclass(frozen=True)
class Checked:
    """What the check of a build has found."""

    facts: str
    folders: Sequence[tuple[str, str, int]]  # sub-folder, its class or the reason why it has none, its images
    unmatched: int


def form() -> None:
    """The settings of a new study; after a check, which shows its cost, it can be built."""
    with st.expander("Build a study", key="new-study", icon=":material/add:", expanded=not open_study.listed()):
        models = list(networks.selectable())
        left, middle, right = st.columns([1.6, 1, 1], gap="medium")
        with left.container(horizontal=True, vertical_alignment="bottom"):
            folder = st.text_input("Folder of images", key="new-folder", placeholder="/home/you/photos")
            browser("new-folder")
        model = middle.selectbox(
            "Model", models, index=models.index(location.current().model) if location.current().model in models else 0,
            key="new-model", accept_new_options=not visitors.shared(),
        )  # fmt: skip
        name = right.text_input("Name", key="new-name", placeholder=_suggested(folder, model))
        left.caption(
            "On this server, with one sub-folder per class, so that correct and wrong predictions are told apart."
        )
        middle.caption(
            "One of the list, or one that you opened." if visitors.shared() else "One of the list, or ARCH@FILE."
        )
        right.caption("Of the study, in the list of studies.")
        data = str(expanded(folder)) if folder else ""
        config = _settings(StudyConfig(model or "", data, **networks.options_of(model or "").changed()))
        if st.button("Check", disabled=not folder or not model):
            with messages.refused():
                st.session_state["checked"] = (digest(dump(config)), _check(config))
                st.rerun()  # the layers of the model can be selected now
        st.caption("Check reads the folder and opens the model. Nothing is built yet.")
        checked_config, checked = st.session_state.get("checked", ("", None))
        if checked and checked_config == digest(dump(config)):
            _report(checked)
            path = open_study.folder() / folder_name(name or _suggested(folder, model), "study")
            busy = any(build.path == path for build in builds.running())
            st.button("Build", type="primary", disabled=busy, on_click=start, args=(config, path),
                      help="This study is already being built." if busy else "")  # fmt: skip


def start(config: StudyConfig, path: Path) -> None:
    """Start or continue a build; it runs on the server, whatever becomes of this page."""
    try:
        model = _network(config)
        visitors.check_own(path)
        config = replace(config, model=networks.loadable(config.model))
        builds.start(path, lambda report: build_study(config, path, model=model, device=device(), report=report))
    except VitrineError as error:
        state.add_notice("error", str(error))


def _settings(config: StudyConfig) -> StudyConfig:
    """The configuration with the values of the forms."""
    methods = [name for name, method in EXPLAINERS.items() if not method.signed]
    opened = networks.loaded(config.model)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        explainer = st.selectbox(
            "Heatmap", methods, index=methods.index("grad_cam"), key="new-explainer", width=220,
            format_func=lambda name: EXPLAINERS[name].title,
        )  # fmt: skip
        layer = _layer(opened)
        for owner, kind in _PARTS.items():
            with st.popover(owner.capitalize()):
                st.markdown(_ABOUT[owner])
                forms.settings(params_of(kind), f"study.{owner}", explained=True)
        with st.popover("More"):
            kept = {"layer", "explainer"} | ({"labels"} if visitors.shared() else set())
            params = [param for param in params_of(StudyConfig) if param.name not in kept]
            forms.settings(params, "study", explained=True)
    parts: dict[str, Any] = {owner: kind(**location.settings(f"study.{owner}")) for owner, kind in _PARTS.items()}
    st.caption(
        f"{_window(parts['patches'], opened)} The heatmap says where the evidence for a class is; patches are cut out "
        "there. The rules are about the filters of the layer."
    )
    return replace(config, layer=layer.strip(), explainer=explainer, **parts, **location.settings("study"))


def _layer(model: Model | None) -> str:
    """The layer to study: selected from those of a model that is open, else typed."""
    if model is None:
        text: str = st.text_input("Layer", key="new-layer-name", placeholder="default; Check lists all", width=260)
        return text
    titles = {layer.name: forms.layer_title(layer) for layer in model.survey.usable}
    typed = st.session_state.get("new-layer-name", "")
    default = typed if typed in titles else ""
    if st.session_state.get("new-layer", "") not in {"", *titles}:
        del st.session_state["new-layer"]
    chosen: str = st.selectbox(
        "Layer", ["", *titles], index=["", *titles].index(default), key="new-layer", width=340,
        format_func=lambda name: titles[name] if name else f"Default: {titles.get(model.survey.default, 'none')}",
    )  # fmt: skip
    return chosen


def _window(patches: PatchConfig, model: Model | None) -> str:
    """The window of a patch in pixels and as a share of the image, as far as known."""
    if model is None:
        return f"Windows of {patches.window} px." if patches.window else "Windows of 64 px in an image of 224 px (8%)."
    height, width = model.preprocess.size
    try:
        side = patches.side(min(height, width))
    except VitrineError as error:
        return plain(str(error))
    share = side**2 / (height * width)
    return f"Windows of {side} × {side} px: {share:.0%} of the image that the model sees ({height} × {width} px)."


def _check(config: StudyConfig) -> Checked:
    """The facts of this build, after all checks."""
    network = _network(config)
    plan = planned(replace(config, model=networks.loadable(config.model)), network, device())
    images = len(plan.folder.paths)
    visitors.check_images(images)
    passes = expected_passes(config, images, plan.model)
    layer = plan.model.survey.layer(plan.layer)
    filters = f"{layer.units:,} filters" if layer else "its filters"
    labelled = sum(label >= 0 for label in plan.folder.labels)
    classes = "" if labelled == images else f" ({labelled:,} of them in a folder named after a class of the model)"
    skipped = "".join(f" Left out: {reason}: {count:,}." for reason, count in plan.folder.skipped.items())
    notes = "".join(f" {note}" for note in (*plan.model.notes, *plan.folder.notes))
    facts = (
        f"{images:,} images{classes}, layer {plan.layer} with {filters}, windows of {plan.side} px. "
        f"Building takes about {duration(passes.weight * pass_seconds(plan.model))} on this server: {passes}."
        f"{notes}{skipped}"
    )
    folders = _folders(plan)
    return Checked(facts, folders, len(plan.folder.unmatched))


def _folders(plan: StudyPlan) -> list[tuple[str, str, int]]:
    """The sub-folders with their class and number of images, those without a class first."""
    folder, names = plan.folder, plan.model.labels
    counts = Counter(Path(path).parts[0] if len(Path(path).parts) > 1 else "" for path in folder.paths)
    labels = {Path(path).parts[0]: label for path, label in zip(folder.paths, folder.labels, strict=True)
              if len(Path(path).parts) > 1}  # fmt: skip
    rows = []
    for name, count in counts.items():
        label = labels.get(name, -1)
        reason = folder.unmatched.get(name, "no sub-folder" if not name else "no class")
        rows.append((name or "(not in a sub-folder)", names[label] if label >= 0 else reason, count))
    return sorted(rows, key=lambda row: (labels.get(row[0], -1) >= 0, row[0]))


def _report(checked: Checked) -> None:
    """Show what the check has found."""
    st.info(plain(checked.facts))
    if checked.unmatched:
        st.warning(
            f"{checked.unmatched:,} of {len(checked.folders):,} sub-folders match no class of the model: their images "
            "are studied by prediction only. Rename the folders to classes of the model to compare."
        )
    columns = zip(*checked.folders, strict=True) if checked.folders else ((), (), ())
    with st.expander(f"Folders and classes ({len(checked.folders):,})", expanded=bool(checked.unmatched)):
        st.dataframe(
            dict(zip(("Folder", "Class", "Images"), map(list, columns), strict=True)), hide_index=True,
            height="content" if len(checked.folders) <= 8 else 300, alt="Sub-folders with their class of the model",
        )  # fmt: skip


def _network(config: StudyConfig) -> Model | None:
    """The shared network, unless the study has options of its own for the model.

    Raises for a folder or model that this visitor may not read.
    """
    visitors.permitted(config.data)
    if visitors.shared() and not networks.known(config.model):
        raise unknown("model", parsed(config.model).display, networks.listed())
    if visitors.shared() and config.labels != networks.options_of(config.model).labels:
        raise Unavailable("This server does not read files of labels.", "Leave the labels out.")
    options = options_of(config)
    return networks.of(config.model) if options == networks.options_of(config.model) else None


def _suggested(folder: str, model: str | None) -> str:
    return folder_name(f"{Path(folder).name}-{parsed(model or '').architecture}", "study") if folder else "study"
