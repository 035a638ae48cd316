"""A source of models: what it gives for a name, and the packages it needs."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any, Literal

from torch import nn

from core.data.model_options import ModelOptions, Output
from core.errors import Unavailable
from core.images import Preprocess
from core.models.name import ModelName
from core.progress import Report


@dataclass(frozen=True)
class SourceNetwork:
    """A network as its source gives it, with what the source knows about its classes and images."""

    net: nn.Module  # images (N, 3, H, W) to outputs (N, C), alone or as an entry of a tuple or dictionary
    labels: tuple[str, ...] = ()  # none if the source does not know them
    preprocess: Preprocess = field(default_factory=Preprocess)
    output: Output | Literal["auto"] = "auto"
    facts: Mapping[str, Any] = field(default_factory=dict)  # "source", and "notes" on what was assumed
    code: str = ""  # a hash of what determines the outputs besides the weights


@dataclass(frozen=True)
class Listed:
    """A model that a source offers, before it is loaded; None and "" for what the source does not say."""

    name: str  # as it is opened
    source: str
    size: int  # pixels, the height of its input
    classes: int
    parameters: int | None = None
    megabytes: float | None = None  # of its weights file
    accuracy: float | None = None  # percent, top-1 on ImageNet or the data it was trained for
    license: str = ""
    family: str = ""  # of its architecture


def nothing_listed() -> tuple[Listed, ...]:
    """The models of a source that has no list."""
    return ()


def uncounted(_name: str) -> int | None:
    """The parameters of a model of a source that does not count them before it is loaded."""
    return None


@dataclass(frozen=True)
class Source:
    """A kind of models, with names PREFIX:NAME or PREFIX:NAME@FILE."""

    title: str
    build: Callable[[ModelName, ModelOptions, Report], SourceNetwork]
    listed: Callable[[], tuple[Listed, ...]] = nothing_listed  # models with weights, nothing downloaded
    parameters: Callable[[str], int | None] = uncounted  # of a listed model whose entry does not say it


def package(name: str, extra: str) -> ModuleType:
    """An optional package, imported now. Raises Unavailable if it is not installed."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when the package of the hub is imported
    try:
        return import_module(name)
    except ImportError as error:
        if (error.name or "").partition(".")[0] != name.partition(".")[0]:
            raise Unavailable(f"{name} cannot be imported ({error}).", f"Install vitrine[{extra}] again.") from error
        hint = f"Install it: pip install 'vitrine[{extra}]'."
        raise Unavailable(f"This model needs the package {name}, which is not installed.", hint) from None
