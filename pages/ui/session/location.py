"""The location of a session: its model, image, classes, methods and their settings."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from core.data.labels import namesake
from core.data.samples import Sample
from core.environment import app_model
from core.errors import BadImage, VitrineError
from core.explain.target_name import TargetName
from core.images import Picture, Window, shown
from core.models import MODELS
from core.workbench import Request, Workbench
from pages.ui.session import networks, state


@dataclass(frozen=True)
class Location:
    """The current model, image, classes and methods: everything in an address except settings of methods."""

    model: str = ""
    image: str = ""  # the name of an example, or the hash of an upload
    targets: tuple[TargetName, ...] = ()  # empty for the predicted class
    methods: tuple[str, ...] = ()
    layer: str = ""
    seed: int = 0
    settle: bool = False  # methods finish as soon as their map has converged
    page: int = 1  # of a file with several
    window: Window | None = None  # values shown as black and white; None for those of the file
    present: bool = False  # the maps alone are shown, in the whole window


def current() -> Location:
    """The current location of this session."""
    here: Location = st.session_state.setdefault("location", Location())
    return here


def go(**changes: Any) -> None:
    """Change the location. Another image or model resets the classes, a model the layer, an image page and window."""
    here = current()
    if here.model and changes.get("model", here.model) != here.model:
        changes = {"targets": (), "layer": "", **changes}
    if here.image and changes.get("image", here.image) != here.image:
        changes = {"targets": (), "page": 1, "window": None, **changes}
    st.session_state["location"] = replace(here, **changes)


def settings(owner: str) -> dict[str, Any]:
    """The settings of a method (or another owner of a form) that differ from its defaults."""
    stored: dict[str, Any] = st.session_state.setdefault("settings", {}).setdefault(owner, {})
    return stored


def requests(
    workbench: Workbench, names: Iterable[str], wanted: Iterable[TargetName], layers: Sequence[str] = ()
) -> list[Request]:
    """The requests for these methods, with the session's settings, for each target; without layers at its own."""
    here = current()
    chosen = layers or ([here.layer] if here.layer else [])
    return workbench.requests({name: dict(settings(name)) for name in names}, wanted, chosen, settle=here.settle)


def bench() -> Workbench:
    """The workbench of the current model; if that cannot be loaded, of another one, with a notice."""
    name = current().model or first_model()
    try:
        model = networks.of(name)
    except VitrineError as error:
        state.add_notice("error", str(error))
        model = networks.of(next(other for other in MODELS if other != name))
    if current().model != model.name:
        go(model=model.name)
    return Workbench(model, state.session().cache)


def first_model() -> str:
    """The default model: the one of `vitrine app --model`, or that of the current example."""
    example = state.samples().get(current().image)
    return app_model() or (example.model if example else networks.listed()[0])


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
    here = current()
    if example := state.samples().get(here.image):
        return state.sample(example.path)
    try:
        return state.session().upload(here.image, here.page, here.window)
    except BadImage as error:
        if here.page == 1:
            raise
        state.add_problem(f"This link: {error} Shown instead: page 1.")
        go(page=1)
        return state.session().upload(here.image, 1, here.window)


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
    """The true class of an example, of an upload as the user said, or of an image in a class folder.

    None if it is not known, or if the model has no such class.
    """
    model, session, example = workbench.model, state.session(), state.samples().get(picture.name)
    if model.output == "regression":
        return None
    if picture.sha in session.uploads() and picture.sha in session.true:
        label, index = session.true[picture.sha]
        return namesake(label, model.labels, index)
    if example and example.label and state.sample(example.path).sha == picture.sha:
        return namesake(example.label, model.labels)
    return session.folder.true_class(picture.sha, model.labels) if session.folder else None


def true_classes(workbench: Workbench, pictures: Iterable[Picture]) -> dict[str, int]:
    """The true classes that are known of these pictures, by hash."""
    found = {picture.sha: true_class(workbench, picture) for picture in pictures}
    return {sha: index for sha, index in found.items() if index is not None}


def targets(workbench: Workbench, picture: Picture) -> tuple[TargetName, ...]:
    """The current targets: the selected ones, or the predicted class."""
    return selected(workbench) or (workbench.target(picture),)


def selected(workbench: Workbench) -> tuple[TargetName, ...]:
    """The selected targets."""
    return tuple(target for target in current().targets if target.known(workbench.model))
