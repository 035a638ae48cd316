"""The location of a session: its model, image, classes, methods and their settings."""

import re
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from core.data.labels import namesake
from core.data.samples import Sample
from core.environment import app_model
from core.errors import BadImage, VitrineError
from core.images import Picture, shown
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
    present: bool = False  # the maps alone are shown, in the whole window


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
    name = current().model or first_model()
    try:
        model = state.network(name)
    except VitrineError as error:
        state.add_notice("error", str(error))
        model = state.network(next(other for other in MODELS if other != name))
    if current().model != model.name:
        go(model=model.name)
    return Workbench(model, state.session().cache)


def first_model() -> str:
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
    """The examples, those for the current model first: flowers for models of flowers, photos for all others."""
    here, samples = current(), state.samples()
    ordered = sorted(samples, key=lambda name: not state.suits(samples[name], here.model))
    return {name: samples[name] for name in ordered}


def picture() -> Picture | None:
    """The current picture, the first example by default; None if it is not available in this session."""
    if not current().image:
        go(image=next(iter(examples())))
    name = current().image
    example = state.samples().get(name)
    return state.sample(example.path) if example else state.session().upload(name)


def subject() -> Picture:
    """The current picture. Raises BadImage if it is not available in this session."""
    found = picture()
    if found is None:
        raise BadImage(
            f"The image of this link, {named(current().image)}, isn't available here.", "Upload it on Start."
        )
    return found


def named(image: str) -> str:
    """An image that is not available, as a text: the beginning of its hash, or its name."""
    return f"an upload ({image[:8]}…)" if re.fullmatch("[0-9a-f]{64}", image) else shown(image)


def true_class(workbench: Workbench, picture: Picture) -> int | None:
    """The true class of an example, or of an upload as the user said; None if the model has no such class."""
    model, session, example = workbench.model, state.session(), state.samples().get(picture.name)
    if model.output == "regression":
        return None
    if picture.sha in session.uploads():
        label, index = session.true.get(picture.sha, ("", None))
    elif example and state.sample(example.path).sha == picture.sha:
        label, index = example.label, None
    else:
        return None
    return namesake(label, model.labels, index) if label else None


def targets(workbench: Workbench, picture: Picture) -> tuple[int, ...]:
    """The current classes: the selected ones, or the predicted one."""
    return selected(workbench) or (workbench.target(picture),)


def selected(workbench: Workbench) -> tuple[int, ...]:
    """The selected classes."""
    return tuple(index for index in current().targets if index < len(workbench.model.labels))
