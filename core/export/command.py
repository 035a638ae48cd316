"""The command line that reproduces a comparison."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from core.data.labels import class_text
from core.data.model_options import ModelOptions, options_of
from core.images import Window
from core.models.model import Model
from core.params import params_of, spelled
from core.units.config import UnitsConfig
from core.workbench import Request


def model_words(name: str, options: ModelOptions) -> list[str]:
    """The words of a command line that name a model with its options."""
    words = ["--model", name]
    for option, value in options.changed().items():
        words += [f"--{option.replace('_', '-')}", spelled(value)]
    return words


def command_line(
    model: Model,
    images: Sequence[str],
    requests: Sequence[Request],
    *,
    seed: int = 0,
    out: str = "out",
    true: int | None = None,
    predicted: bool = False,
    page: int = 1,
    window: Window | None = None,
    edits: Sequence[str] = (),
) -> str:
    """The command line that reproduces these maps of every image; `predicted` for the class predicted for each.

    With the true class of the images, it also judges the predictions; `page`, `window` and `edits` of pixels are those
    of all images. Those of filters are the model's.
    """
    words = ["vitrine", "explain", *_image_words(images), *model_words(model.name, model.options)]
    words += [word for edit in (*edits, *model.edits) for word in ("--edit", edit)]
    words += ["--method", ",".join(dict.fromkeys(request.name for request in requests))]
    words += _request_words(model, requests, predicted=predicted)
    if any(request.settle for request in requests):
        words.append("--settle")
    words += _layer_words(requests)
    if page > 1:
        words += ["--page", str(page)]
    if window:
        words.append("--window={:.10g},{:.10g}".format(*window))
    if true is not None:
        words += ["--label", class_text(true, model.labels)]
    return shlex.join([*words, "--seed", str(seed), "--out", out])


def analysis_command(config: UnitsConfig, out: str) -> str:
    """The command line that makes this analysis of units in a folder."""
    command = {"dissection": "dissect"}.get(config.analysis, config.analysis)
    words = ["vitrine", "units", command, *model_words(config.model, options_of(config))[1:], "--data", config.data]
    words += ["--layers", ",".join(config.layers)] if config.layers else []
    for name, value in config.settings.items():
        words += ["--set", f"{name}={spelled(value)}"]
    for param in params_of(UnitsConfig):
        value = getattr(config, param.name)
        if value != param.default and param.name not in options_of(config).changed():
            words += [f"--{param.name.replace('_', '-')}", spelled(value)]
    return shlex.join([*words, "--out", out])


def flowers_command(variant: str, per_class: int, seed: int, out: str) -> str:
    """The command line that draws these flowers into a folder."""
    words = ["vitrine", "flowers", "--variant", variant, "--per-class", str(per_class), "--seed", str(seed)]
    return shlex.join([*words, "--out", out])


def visualise_command(model: str, options: ModelOptions, layer: str, unit: int, preset: str = "fourier") -> str:
    """The command line that makes the image to which a unit responds most."""
    words = ["vitrine", "units", "visualise", *model_words(model, options)[1:], "--target", f"{layer}:{unit}"]
    words += ["--preset", preset] if preset != "fourier" else []
    return shlex.join([*words, "--out", f"{layer}-F{unit}".replace("/", "_")])


def invert_command(
    model: Model, image: str, layer: str, settings: Mapping[str, Any], *, preset: str = "mahendran", seed: int = 0
) -> str:
    """The command line that makes images which a layer encodes like an image; `settings` are changes of the preset."""
    words = ["vitrine", "units", "invert", *model_words(model.name, model.options)[1:]]
    words += ["--image", *_image_words([image]), "--layers", layer]
    words += ["--preset", preset] if preset != "mahendran" else []
    for name, value in settings.items():
        words += ["--set", f"{name}={spelled(value)}"]
    words += ["--seed", str(seed)] if seed else []
    return shlex.join([*words, "--out", f"{layer}-inversion".replace("/", "_")])


def averages_command(relevance: str, layer: str, unit: int) -> str:
    """The command line that averages what a unit responds to in the images of each class it is relevant for."""
    out = f"{layer}-F{unit}-averages".replace("/", "_")
    return shlex.join(["vitrine", "units", "averages", relevance, "--unit", f"{layer}:{unit}", "--out", out])


def measure_command(
    model: Model,
    images: Sequence[str],
    requests: Sequence[Request],
    measures: Mapping[str, Mapping[str, Any]],
    *,
    seed: int = 0,
    predicted: bool = False,
    masks: str = "",
) -> str:
    """The command line that reproduces these measures, by name with their settings, of these maps of every image."""
    words = ["vitrine", "measure", *_image_words(images), *model_words(model.name, model.options)]
    words += ["--methods", ",".join(dict.fromkeys(request.name for request in requests))]
    words += ["--metrics", ",".join(measures)]
    words += _request_words(model, requests, measures, predicted=predicted)
    if masks:
        words += ["--masks", masks]
    words += _layer_words(requests)
    return shlex.join([*words, "--seed", str(seed)])


def _image_words(images: Sequence[str]) -> list[str]:
    return [f"./{image}" if image.startswith("-") else image for image in images]


def _layer_words(requests: Sequence[Request]) -> list[str]:
    layers = list(dict.fromkeys(request.layer for request in requests if request.layer))
    return ["--layer", ",".join(layers)] if layers else []


def _request_words(
    model: Model,
    requests: Sequence[Request],
    measures: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    predicted: bool,
) -> list[str]:
    """The words for the targets, and for the settings of methods and measures."""
    targets = () if predicted else dict.fromkeys(request.target for request in requests)
    words = [word for target in targets for word in ("--target", target.text(model.labels))]
    owners = [*((request.name, request.settings) for request in requests), *(measures or {}).items()]
    settings: Mapping[str, Any] = {f"{owner}.{n}": value for owner, own in owners for n, value in own.items()}
    for name, value in settings.items():
        words += ["--set", f"{name}={spelled(value)}"]
    return words


def concepts_command(study: str, count: int, *, folder: str = "", out: str = "out/concepts") -> str:
    """The command line that finds the concepts of a study again, and measures their importance on a folder's images."""
    words = ["vitrine", "units", "concepts", study, "--count", str(count)]
    words += ["--importance", "--data", folder] if folder else []
    return shlex.join([*words, "--out", out])
