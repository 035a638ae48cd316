"""What a session looks at: its model, image, classes, methods and their settings."""

from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

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
    """The workbench for the model looked at; one that cannot be had leaves its sentence and gives way to the first."""
    name = current().model or state.models()[0]
    try:
        model = state.network(name)
    except VitrineError as error:
        state.add_notice("error", str(error))
        go(model=next(iter(MODELS)))
        model = state.network(current().model)
    if current().model != model.name:
        go(model=model.name)
    return Workbench(model, state.session().cache)


def subject() -> Picture:
    """The picture looked at; an image that is no longer there leaves its sentence and the first example in place."""
    known, name = state.samples(), current().image
    found = state.sample(known[name].path) if name in known else state.session().upload(name) if name else None
    if found is None:
        if name:
            state.add_notice(
                "warning", "This link names an image that is not on the server. Upload it again; the rest is kept."
            )
        go(image=next(iter(known)))
        found = state.sample(known[current().image].path)
    return found


def targets(workbench: Workbench, picture: Picture) -> tuple[int, ...]:
    """The classes looked at: the chosen ones, or the predicted one."""
    count = len(workbench.model.labels)
    chosen = tuple(index for index in current().targets if index < count)
    return chosen or (workbench.target(picture),)
