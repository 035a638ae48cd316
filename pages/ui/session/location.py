"""The location of a session: its model, image, classes, methods and their settings."""

from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from core.data.samples import Sample
from core.environment import app_model
from core.errors import VitrineError
from core.images import Picture
from core.models import MODELS
from core.workbench import Workbench
from pages.ui.session import state


@dataclass(frozen=True)
class Location:
    """The current model, image, classes and methods: everything in an address except settings of methods."""

    model: str = ""
    image: str = ""  # the name of an example, or the hash of an upload
    targets: tuple[int, ...] = ()  # classes; empty for the predicted one
    methods: tuple[str, ...] = ()
    layer: str = ""
    seed: int = 0
    settle: bool = False  # methods finish as soon as their map has converged


def current() -> Location:
    """The current location of this session."""
    here: Location = st.session_state.setdefault("location", Location())
    return here


def go(**changes: Any) -> None:
    """Change the location. Another image or model resets the classes, a model also the layer."""
    here = current()
    if here.model and changes.get("model", here.model) != here.model:
        changes = {"targets": (), "layer": "", **changes}
    if here.image and changes.get("image", here.image) != here.image:
        changes = {"targets": (), **changes}
    st.session_state["location"] = replace(here, **changes)


def settings(owner: str) -> dict[str, Any]:
    """The settings of a method (or another owner of a form) that differ from its defaults."""
    stored: dict[str, Any] = st.session_state.setdefault("settings", {}).setdefault(owner, {})
    return stored


def bench() -> Workbench:
    """The workbench of the current model; if that cannot be loaded, of another one, with a notice."""
    name = current().model or _first()
    try:
        model = state.network(name)
    except VitrineError as error:
        state.add_notice("error", str(error))
        model = state.network(next(other for other in MODELS if other != name))
    if current().model != model.name:
        go(model=model.name)
    return Workbench(model, state.session().cache)


def _first() -> str:
    """The default model: the one of `vitrine app --model`, or that of the current example."""
    example = state.samples().get(current().image)
    return app_model() or (example.model if example else state.models()[0])


def choose(model: str) -> None:
    """Switch to another model, and to an example that suits it if the current one does not."""
    example = state.samples().get(current().image)
    go(model=model, image=current().image if example is None or state.suits(example, model) else "")


def open_model(model: str) -> None:
    """Open a bundled model with its first example, or any other if the installation lacks its photos."""
    go(model=model, image=next((name for name, one in state.samples().items() if one.model == model), ""))


def examples() -> dict[str, Sample]:
    """The examples for the current model: flowers for models of flowers, photos before flowers for all others.

    The current one is always included.
    """
    here, samples = current(), state.samples()
    fitting = [name for name, one in samples.items() if state.suits(one, here.model)]
    rest = [name for name in samples if name not in fitting and (not state.flowers(here.model) or name == here.image)]
    return {name: samples[name] for name in (*fitting, *rest)}


def subject() -> Picture:
    """The current picture; if it is no longer available, the first example, with a notice."""
    by_name, name = state.samples(), current().image
    picture = state.sample(by_name[name].path) if name in by_name else state.session().upload(name) if name else None
    if picture is None:
        if name:
            state.add_notice(
                "warning",
                "This link's image isn't available here. Upload it to continue; model, methods and settings are kept.",
            )
        go(image=next(iter(examples())))
        picture = state.sample(by_name[current().image].path)
    return picture


def targets(workbench: Workbench, picture: Picture) -> tuple[int, ...]:
    """The current classes: the selected ones, or the predicted one."""
    count = len(workbench.model.labels)
    chosen = tuple(index for index in current().targets if index < count)
    return chosen or (workbench.target(picture),)
