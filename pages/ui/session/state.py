"""What one session has and where it stands: its uploads, kept results and running work, and what is looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.cache import TensorCache
from core.data import folders
from core.data.folders import Sample
from core.environment import app_labels, app_model, budget, device
from core.errors import VitrineError
from core.images import Picture, decode
from core.models import FLOWERS, MODELS, load
from core.models.model import Model
from core.workbench import Workbench
from pages.ui.session.jobs import Comparison, once

Level = str  # "error", "warning" or "info"


class Session:
    """Everything one session holds in memory; gone when its tab closes."""

    def __init__(self) -> None:
        share = budget() // 4
        self.files = TensorCache(share)  # uploads as they came, by hash
        self.cache = TensorCache(budget() - share)  # decoded pictures, activations and finished maps
        self.names: dict[str, str] = {}  # of uploads, by hash, in order of arrival
        self.comparison: Comparison | None = None
        self.jobs: list[Any] = []  # whatever else must stop with the session: anything with `cancel()`

    def add(self, data: bytes, name: str) -> Picture:
        """Keep an uploaded file and return its picture. Raises BadImage."""
        picture = decode(data, name)
        self.files.put(picture.sha, data)
        self.cache.put(("picture", picture.sha), picture)
        self.names[picture.sha] = name
        return picture

    def uploads(self) -> dict[str, str]:
        """Names by hash of the uploads still there; the oldest went where room was needed."""
        self.names = {sha: name for sha, name in self.names.items() if self.files.peek(sha) is not None}
        return dict(self.names)

    def upload(self, sha: str) -> Picture | None:
        """The picture of an upload that is still there."""
        data = self.files.peek(sha)
        if not isinstance(data, bytes):
            return None
        return self.cache.get(("picture", sha), lambda: decode(data, self.names[sha]))

    def free(self) -> None:
        """Forget every kept result; uploads stay."""
        if self.comparison:
            self.comparison.cancel()
        self.comparison = None
        self.cache.clear()

    def close(self) -> None:
        """End of the session: stop its work and drop all it held, quickly, as this runs in the server's own loop."""
        for job in [self.comparison, *self.jobs]:
            if job:
                job.cancel()
        self.comparison = None
        self.jobs.clear()
        self.names.clear()
        self.files.close()
        self.cache.close()


@st.cache_resource(scope="session", show_spinner=False, on_release=Session.close)
def session() -> Session:
    """This session's desk."""
    return Session()


def received(file: UploadedFile) -> bytes:
    """The content of an uploaded file, which Streamlit would keep until long after the tab has closed."""
    content = file.getvalue()
    context = get_script_run_ctx()
    if context and isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)
    return content


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


def location() -> Location:
    """Where this session stands."""
    here: Location = st.session_state.setdefault("location", Location())
    return here


def go(**changes: Any) -> None:
    """Change what is looked at. Another image or model begins with its predicted class, a model also its layer."""
    here = location()
    if here.model and changes.get("model", here.model) != here.model:
        changes = {"targets": (), "layer": "", **changes}
    if here.image and changes.get("image", here.image) != here.image:
        changes = {"targets": (), **changes}
    st.session_state["location"] = replace(here, **changes)


def settings(owner: str) -> dict[str, Any]:
    """The settings of a method (or of any other owner of a form) that differ from its defaults."""
    found: dict[str, Any] = st.session_state.setdefault("settings", {}).setdefault(owner, {})
    return found


def add_notice(level: Level, text: str) -> None:
    """Leave a sentence for the top of the page, shown on the next run and then forgotten."""
    st.session_state.setdefault("notices", []).append((level, text))


def pop_notices() -> list[tuple[Level, str]]:
    """Take the sentences left by `tell`."""
    found: list[tuple[Level, str]] = st.session_state.pop("notices", [])
    return found


@st.cache_resource(max_entries=3, show_spinner=False)
def _shelf(name: str, _model: Model | None) -> Model:
    """The networks that all sessions share; asking without one that is not there is a LookupError."""
    if _model is None:
        raise LookupError(name)
    return _model


def network(name: str) -> Model:
    """A shared network, loaded now with its progress on the page if it is not there. Raises what `load` raises."""
    return once(_shelf, name, f"Opening {name}", lambda report: load(name, device(), report, labels(name) or None))


def bench() -> Workbench:
    """The workbench for the model looked at; one that cannot be had leaves its sentence and gives way to another."""
    name = location().model or _first()
    try:
        model = network(name)
    except VitrineError as error:
        add_notice("error", str(error))
        model = network(next(other for other in MODELS if other != name))
    if location().model != model.name:
        go(model=model.name)
    return Workbench(model, session().cache)


def _first() -> str:
    """The model of a visitor who names none: the one of `vitrine app --model`, or that of the example looked at."""
    example = samples().get(location().image)
    return app_model() or (example.model if example else models()[0])


def choose(model: str) -> None:
    """Look through another model; an example that means nothing to it gives way to one that does."""
    example = samples().get(location().image)
    go(model=model, image=location().image if example is None or suits(example, model) else "")


def models() -> tuple[str, ...]:
    """The models to choose from; the one that `vitrine app --model` was given comes first."""
    return tuple(dict.fromkeys(filter(None, (app_model(), *MODELS))))


def labels(name: str) -> str:
    """The labels file that `vitrine app --labels` was given for its model; "" for every other model."""
    return app_labels() if name == app_model() else ""


@cache
def samples() -> Mapping[str, Sample]:
    """The bundled examples by the names of their files, which no session changes."""
    return {one.path.name: one for one in folders.samples()}


def examples() -> dict[str, Sample]:
    """The examples to choose from: flowers for models of flowers, and for all others photos before the flowers.

    The one looked at is always among them.
    """
    here = location()
    fitting = [name for name, one in samples().items() if suits(one, here.model)]
    rest = [name for name in samples() if name not in fitting and (not flowers(here.model) or name == here.image)]
    return {name: samples()[name] for name in (*fitting, *rest)}


def suits(example: Sample, model: str) -> bool:
    """Whether an example shows what a model was trained on: flowers, or what photos show."""
    return flowers(example.model) == flowers(model)


def flowers(model: str) -> bool:
    """Whether a model of this name tells flowers apart, with bundled weights or one's own."""
    return model.startswith(FLOWERS)


def open_model(model: str) -> None:
    """Look at a bundled model's first example through it."""
    go(model=model, image=next(name for name, one in samples().items() if one.model == model))


@st.cache_resource(show_spinner=False, max_entries=64)
def sample(path: Path) -> Picture:
    """A bundled example, decoded once for all sessions."""
    return decode(path.read_bytes(), path.name)


def subject() -> Picture:
    """The picture looked at; one that is no longer there leaves its sentence and gives way to the first example."""
    known, name = samples(), location().image
    found = sample(known[name].path) if name in known else session().upload(name) if name else None
    if found is None:
        if name:
            add_notice(
                "warning", "This link names an image that is not on the server. Upload it again; the rest is kept."
            )
        go(image=next(iter(examples())))
        found = sample(known[location().image].path)
    return found


def targets(workbench: Workbench, picture: Picture) -> tuple[int, ...]:
    """The classes looked at: the chosen ones, or the predicted one."""
    count = len(workbench.model.labels)
    chosen = tuple(index for index in location().targets if index < count)
    return chosen or (workbench.target(picture),)
