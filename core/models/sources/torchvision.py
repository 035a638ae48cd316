"""Every classification model of the installed torchvision: described, built and loaded."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision import models

from core.data.model_options import ModelOptions
from core.errors import BadModel
from core.images import Preprocess
from core.models.adaptation import SMALL
from core.models.checkpoint import Checkpoint, opened
from core.models.matching import Match
from core.models.model import Model, ModelCard, as_model
from core.models.sources.download import fetch
from core.models.sources.initialisation import uninitialised
from core.models.weights import assigned, fit
from core.progress import Report, subrange

_MOST_PATCHES = 128  # along a side
_NOTE = "Trained on ImageNet-1K with the recipe of torchvision's {}; downloaded when first used."


@cache
def architectures() -> tuple[str, ...]:
    """The names of all classification architectures."""
    return tuple(models.list_models(module=models))


def cards() -> Mapping[str, ModelCard]:
    """One card per architecture with its default weights; nothing is built or downloaded."""
    return {name: _card(name) for name in architectures()}


def fitted(architecture: str, checkpoint: Checkpoint) -> tuple[nn.Module, Preprocess, list[str]]:
    """The architecture with the weights of a file, the preprocessing for weights trained elsewhere, and notes on both.

    The number of classes and the image size follow from the shapes. The preprocessing is that of torchvision's first
    published weights, from which most training scripts start. Raises BadModel if the weights do not fit.
    """
    options: dict[str, Any] = {}

    def resized(match: Match) -> nn.Module | None:
        options.update(_options(architecture, match))
        return _built(architecture, options) if options else None

    net, adaptation = fit(_built(architecture, {}), checkpoint, architecture, _renamed, resized)
    first = _prepared(next(iter(models.get_model_weights(architecture))))
    side = options.get("image_size", first.crop)
    preprocess = first if side == first.crop else replace(first, crop=side, resize=side)
    if adaptation.small:
        preprocess = replace(preprocess, crop=SMALL, resize=SMALL)
    return net, preprocess, adaptation.notes


def fits(architecture: str, checkpoint: Checkpoint) -> bool:
    """Whether names and shapes of the tensors in a file are those of an architecture; reads no values."""
    try:
        match(architecture, checkpoint)
    except BadModel:
        return False
    return True


def match(architecture: str, checkpoint: Checkpoint) -> Match:
    """The tensors of a file that an architecture takes; reads no values. Raises BadModel if they do not fit."""

    def resized(match: Match) -> nn.Module | None:
        options = _options(architecture, match)
        return _built(architecture, options) if options else None

    return assigned(_built(architecture, {}), checkpoint, architecture, _renamed, resized)[1]


def _card(name: str) -> ModelCard:
    weights = models.get_model_weights(name).DEFAULT
    return ModelCard(
        name=name,
        title=_title(type(weights).__name__.removesuffix("_Weights")),
        source="torchvision",
        classes=len(weights.meta["categories"]),
        size=_prepared(weights).size[0],
        parameters=weights.meta["num_params"],
        megabytes=float(weights.meta.get("_file_size", 4 * weights.meta["num_params"] / 2**20)),
        accuracy=weights.meta.get("_metrics", {}).get("ImageNet-1K", {}).get("acc@1"),
        note=_NOTE.format(weights.name),
        license=_license(weights),
        family=models.get_model_builder(name).__module__.rpartition(".")[2],
        load=lambda device, report, options: _load(name, device, report, options),
    )


def _license(weights: Any) -> str:
    """The license of torchvision's code, and that of weights which have one of their own."""
    own = weights.meta.get("license", "")
    return f"BSD-3-Clause (code), weights: {own}" if own else "BSD-3-Clause (code)"


def _load(name: str, device: torch.device | str, report: Report, options: ModelOptions) -> Model:
    weights = models.get_model_weights(name).DEFAULT
    path = fetch(weights.url, Path(torch.hub.get_dir()) / "checkpoints", subrange(report, 0.0, 0.8))
    report(0.8, "reading weights")
    with opened(path) as checkpoint:
        net, _, _ = fitted(name, checkpoint)
    report(0.9, "inspecting layers")
    labels = tuple(weights.meta["categories"])
    facts = {"source": "torchvision", "weights": weights.name, "license": _license(weights)}
    preprocess = _prepared(weights)
    return as_model(name, net, labels=labels, preprocess=preprocess, facts=facts, device=device, options=options)


def _built(architecture: str, options: Mapping[str, Any]) -> nn.Module:
    """The architecture for a thousand classes; the weights are not loaded yet.

    It is built without the auxiliary classifiers, which are used in training only.
    """
    if architecture in {"googlenet", "inception_v3"}:
        # Their published weights come from a library that scaled images differently; fine-tuned weights inherit that.
        options = {"aux_logits": False, "transform_input": True, "init_weights": False, **options}
    with uninitialised():
        return models.get_model(architecture, weights=None, **options)


def _options(architecture: str, match: Match) -> dict[str, Any]:
    """The arguments of a builder that depend on its weights."""
    position = match.stored("encoder.pos_embedding")
    if not architecture.startswith("vit_") or position is None or len(position.shape) != 3:
        return {}
    patch, side = int(architecture.rsplit("_", 1)[1]), isqrt(max(0, position.shape[1] - 1))
    return {"image_size": side * patch} if 0 < side <= _MOST_PATCHES and side**2 == position.shape[1] - 1 else {}


def _renamed(name: str) -> str:
    """The present name of a parameter that had another one in older versions, as torchvision's published files do."""
    name = re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2.", name)
    return re.sub(r"\bmlp\.linear_([12])\.", lambda found: f"mlp.{3 * int(found[1]) - 3}.", name)


def _prepared(weights: Any) -> Preprocess:
    """The `transforms` of torchvision's weights as a `Preprocess`, which can also show the network's view."""
    preset = weights.transforms()
    return Preprocess(
        preset.crop_size[0], preset.resize_size[0], tuple(preset.mean), tuple(preset.std), preset.interpolation.value
    )


def _title(name: str) -> str:
    """A weights enum's name as a title: "ShuffleNet_V2_X0_5" is ShuffleNet V2 X0.5."""
    return re.sub(r"(?<!\d)(\d)_(\d)", r"\1.\2", name).replace("_", " ")
