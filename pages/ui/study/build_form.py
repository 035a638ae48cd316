"""The form that builds a study, and the progress of its build."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from core.data.model_options import options_of
from core.environment import device
from core.explain import EXPLAINERS
from core.jobs import Job
from core.models import Model
from core.models.name import parsed
from core.params import expanded, params_of
from core.serialization import digest, dump
from core.study import Study
from core.study.build import build_study, expected_passes, planned
from core.study.config import MiningConfig, PatchConfig, StudyConfig, TransactionConfig
from core.workbench import pass_seconds
from pages.ui.session import location, navigation, state
from pages.ui.session.jobs import watch
from pages.ui.study import open_study
from pages.ui.widgets import forms, messages
from pages.ui.widgets.text import duration, plain

_PARTS = {"patches": PatchConfig, "transactions": TransactionConfig, "mining": MiningConfig}


def form() -> None:
    """The settings of a new study; after a check, which shows its cost, it can be built."""
    with st.expander("Build a study", key="new-study", icon=":material/add:", expanded=not open_study.listed()):
        models = list(state.models())
        left, middle, right = st.columns([1.4, 1, 1], gap="medium")
        folder = left.text_input(
            "Folder of images", key="new-folder", placeholder="/home/you/photos",
            help="On this server. With one sub-folder per class the study can separate correct from wrong predictions; "
            "`vitrine flowers` generates such a folder.",
        )  # fmt: skip
        model = middle.selectbox(
            "Model", models, index=models.index(location.current().model) if location.current().model in models else 0,
            key="new-model", accept_new_options=True,
            help="One from the list, or ARCH@FILE for your own weights.",
        )  # fmt: skip
        name = right.text_input("Name", key="new-name", placeholder=_suggested(folder, model))
        data = str(expanded(folder)) if folder else ""
        config = _settings(StudyConfig(model or "", data, **state.model_options(model or "").changed()))
        if st.button("Check", disabled=not folder or not model, help="Reads the folder and loads the model."):
            with messages.refused():
                st.session_state["checked"] = (digest(dump(config)), _facts(config))
        checked_config, facts = st.session_state.get("checked", ("", ""))
        if checked_config == digest(dump(config)):
            st.info(plain(facts))
            job = _job()
            running = job is not None and job.running
            path = open_study.folder() / _file(name or _suggested(folder, model))
            st.button("Build", type="primary", disabled=running, on_click=_start, args=(config, path),
                      help="A study is already being built." if running else "")  # fmt: skip


def watched() -> None:
    """The running or last finished build, if any."""
    if job := _job():
        with messages.refused():
            watch(job, _built, "Stopped. Build again with the same settings to resume.")


def _settings(config: StudyConfig) -> StudyConfig:
    """The configuration with the values of the forms."""
    methods = [name for name, method in EXPLAINERS.items() if not method.signed]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        explainer = st.selectbox(
            "Heatmap", methods, index=methods.index("grad_cam"), key="new-explainer", width=220,
            format_func=lambda name: EXPLAINERS[name].title,
        )  # fmt: skip
        layer = st.text_input("Layer", key="new-layer", placeholder="default: last spatial layer", width=220)
        for owner, kind in _PARTS.items():
            with st.popover(owner.capitalize()):
                forms.settings(params_of(kind), f"study.{owner}")
        with st.popover("More"):
            params = [param for param in params_of(StudyConfig) if param.name not in {"layer", "explainer"}]
            forms.settings(params, "study")
    parts: dict[str, Any] = {owner: kind(**location.settings(f"study.{owner}")) for owner, kind in _PARTS.items()}
    return replace(config, layer=layer.strip(), explainer=explainer, **parts, **location.settings("study"))


def _facts(config: StudyConfig) -> str:
    """The facts of this build in a sentence, after all checks."""
    plan = planned(config, _network(config), device())
    images, side = len(plan.folder.paths), plan.side
    passes = expected_passes(config, images)
    layer = plan.model.survey.layer(plan.layer)
    filters = f"{layer.units:,} filters" if layer else "its filters"
    labelled = sum(label >= 0 for label in plan.folder.labels)
    classes = "" if labelled == images else f" ({labelled:,} of them in a folder named after a class of the model)"
    skipped = "".join(f" Left out: {reason}: {count:,}." for reason, count in plan.folder.skipped.items())
    notes = "".join(f" {note}" for note in (*plan.model.notes, *plan.folder.notes))
    return (
        f"{images:,} images{classes}, layer {plan.layer} with {filters}, windows of {side} px. "
        f"About {passes:,.0f} model passes, {duration(passes * pass_seconds(plan.model))}.{notes}{skipped}"
    )


def _start(config: StudyConfig, path: Path) -> None:
    """Start the build in a thread of this session; finished shards survive the session."""
    model = _network(config)
    st.session_state["building"] = state.session().start(
        lambda report: build_study(config, path, model=model, device=device(), report=report), f"Building {path.name}"
    )


def _network(config: StudyConfig) -> Model | None:
    """The shared network, unless the study has options of its own for the model."""
    options = options_of(config)
    return state.network(config.model) if options == state.model_options(config.model) else None


def _job() -> Job[Study] | None:
    return st.session_state.get("building")


def _built(job: Job[Study]) -> None:
    if study := job.result:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.success(plain(f"{study.name} finished in {duration(job.seconds)}."))
            if st.button("Open study", type="primary"):
                navigation.patches_of(study=study.name)


def _suggested(folder: str, model: str | None) -> str:
    return _file(f"{Path(folder).name}-{parsed(model or '').architecture}") if folder else "study"


def _file(name: str) -> str:
    """A name usable as a folder name."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name).strip("-.") or "study"
