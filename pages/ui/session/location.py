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
    """What is looked at: all that an address can say beside the settings of methods."""

    model: str = ""
    image: str = ""  # the name of an example, or the hash of an upload
    targets: tuple[int, ...] = ()  # classes; none is the predicted one
    methods: tuple[str, ...] = ()
    layer: str = ""
    seed: int = 0
    settle: bool = False  # methods finish as soon as their map has settled


def current() -> Location:
    """Where this session stands."""
    here: Location = st.session_state.setdefault("location", Location())
    return here


def go(**changes: Any) -> None:
    """Change what is looked at. Another image or model begins with its predicted class, a model also its layer."""
    here = current()
    if here.model and changes.get("model", here.model) != here.model:
        changes = {"targets": (), "layer": "", **changes}
    if here.image and changes.get("image", here.image) != here.image:
        changes = {"targets": (), **changes}
    st.session_state["location"] = replace(here, **changes)


def settings(owner: str) -> dict[str, Any]:
    """The settings of a method (or of any other owner of a form) that differ from its defaults."""
    found: dict[str, Any] = st.session_state.setdefault("settings", {}).setdefault(owner, {})
    return found


def bench() -> Workbench:
    """The workbench for the model looked at; one that cannot be had leaves its sentence and gives way to another."""
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
    """The model of a visitor who names none: the one of `vitrine app --model`, or that of the example looked at."""
    example = state.samples().get(current().image)
    return app_model() or (example.model if example else state.models()[0])


def choose(model: str) -> None:
    """Look through another model; an example that means nothing to it gives way to one that does."""
    example = state.samples().get(current().image)
    go(model=model, image=current().image if example is None or state.suits(example, model) else "")


def open_model(model: str) -> None:
    """Open a bundled model with its first example."""
    go(model=model, image=next(name for name, one in state.samples().items() if one.model == model))


def examples() -> dict[str, Sample]:
    """The examples to choose from: flowers for models of flowers, and for all others photos before the flowers.

    The one looked at is always among them.
    """
    here, samples = current(), state.samples()
    fitting = [name for name, one in samples.items() if state.suits(one, here.model)]
    rest = [name for name in samples if name not in fitting and (not state.flowers(here.model) or name == here.image)]
    return {name: samples[name] for name in (*fitting, *rest)}


def subject() -> Picture:
    """The picture looked at; one that is no longer there leaves its sentence and gives way to the first example."""
    known, name = state.samples(), current().image
    found = state.sample(known[name].path) if name in known else state.session().upload(name) if name else None
    if found is None:
        if name:
            state.add_notice(
                "warning",
                "This link's image isn't available here. Upload it to continue; model, methods and settings are kept.",
            )
        go(image=next(iter(examples())))
        found = state.sample(known[current().image].path)
    return found


def targets(workbench: Workbench, picture: Picture) -> tuple[int, ...]:
    """The classes looked at: the chosen ones, or the predicted one."""
    count = len(workbench.model.labels)
    chosen = tuple(index for index in current().targets if index < count)
    return chosen or (workbench.target(picture),)
