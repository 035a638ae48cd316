"""The registry of models: bundled ones, torchvision's, and own weights for an architecture."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from core.data.model_options import ModelOptions
from core.environment import limit
from core.errors import BadModel
from core.files import read_json
from core.images import Preprocess
from core.models import weights
from core.models.checkpoint import opened
from core.models.model import Model, ModelCard, as_model
from core.models.name import ModelName, parsed, refuse_unloadable
from core.models.sources import efficientnet_lite, flower_networks
from core.models.suggestion import suggested
from core.params import expanded
from core.progress import Report, silent
from core.registry import Registry, unknown

__all__ = ["MODELS", "Model", "ModelCard", "as_model", "load"]

FLOWERS = "flowers"  # the architecture of the bundled models, as ARCH@FILE names it


def load(
    name: str,
    device: torch.device | str = "cpu",
    report: Report = silent,
    options: ModelOptions | None = None,
) -> Model:
    """A model of the registry, or `ARCH@FILE`: own weights for a torchvision architecture or for `flowers`.

    Own weights are a .safetensors file or a checkpoint of torch, whatever its name; `core.models.name` documents the
    syntax of names. `options` say how the outputs are read and how images are prepared, and name a file of labels for
    own weights. Raises UnknownName, BadModel for weights or labels that do not fit, BadParameter for options that do
    not, Unavailable for a download without connection and for a source that is not supported yet.
    """
    parts, options = parsed(name), ModelOptions.checked(**(options or ModelOptions()).changed())
    try:
        refuse_unloadable(parts)
    except BadModel as error:
        raise suggested(error, parts.file) from None
    if parts.separator:
        return _own_weights(parts, device, report, options)
    card = MODELS[name]
    if options.labels:
        raise BadModel(f"{name} already has labels.", "Give a labels file only with ARCH@FILE.")
    return card.load(device, report, options)


def _own_weights(name: ModelName, device: torch.device | str, report: Report, options: ModelOptions) -> Model:
    """The user's own weights in an architecture known by its name."""
    from core.models.sources import torchvision

    architectures, architecture = (FLOWERS, *torchvision.architectures()), name.architecture
    if architecture not in architectures:
        raise suggested(unknown("architecture", architecture, architectures), name.file)
    if not name.file.strip():
        raise BadModel(f"{name.text!r} names no file.", f"Write {architecture}@FILE, a file of weights.")
    path = expanded(name.file)
    if architecture == FLOWERS:
        return _flowers(name.text, path, _card_beside(path), device, report, options)
    report(0.0, "reading weights")
    try:
        with opened(path) as checkpoint:
            net, preprocess, notes = torchvision.fitted(architecture, checkpoint)
    except weights.WrongArchitecture as error:
        raise suggested(error, name.file) from None
    report(0.6, "inspecting layers")
    facts = {"source": "file", "notes": notes}
    model = as_model(name.text, net, preprocess=preprocess, facts=facts, device=device, options=options)
    imagenet = torchvision.imagenet_labels()
    guessed = model.output == "softmax" and not options.labels and len(model.labels) == len(imagenet)
    return replace(model, labels=imagenet) if guessed else model


def _flowers(  # noqa: PLR0917 - the last three are those of `ModelCard.load`
    name: str,
    path: Path,
    card: Mapping[str, Any],
    device: torch.device | str,
    report: Report,
    options: ModelOptions,
) -> Model:
    """The small network of the bundled models, with weights and facts from a file and its card."""
    report(0.0, "reading weights")
    try:
        with opened(path) as checkpoint:
            net, adaptation = weights.fit(flower_networks.architecture(1), checkpoint, FLOWERS)
    except weights.WrongArchitecture as error:
        raise suggested(error, path) from None
    count = weights.classes(net)
    preprocess = Preprocess(flower_networks.SIZE, flower_networks.SIZE, flower_networks.MEAN, flower_networks.STD)
    report(0.6, "inspecting layers")
    labels = tuple(str(label) for label in card.get("labels", ()))
    labels = labels if len(labels) == count else ()
    facts = {**card, "notes": adaptation.notes}
    return as_model(name, net, labels=labels, preprocess=preprocess, facts=facts, device=device, options=options)


def _card_beside(path: Path) -> Mapping[str, Any]:
    """The card that training wrote next to a weights file; empty if there is none."""
    try:
        card = read_json(path.with_suffix(".json"), limit("text"))
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) and isinstance(card.get("labels", []), list) else {}


def _bundled_card(facts: Mapping[str, Any]) -> ModelCard:
    path = flower_networks.FOLDER / facts["file"]
    return ModelCard(
        name=facts["name"],
        title=facts["title"],
        source="bundled",
        classes=len(facts["labels"]),
        size=facts["size"],
        parameters=facts["parameters"],
        megabytes=path.stat().st_size / 2**20,
        accuracy=100 * facts["accuracy"],
        note=facts["note"],
        load=partial(_flowers, facts["name"], path, facts),
    )


def _torchvision_cards() -> Mapping[str, ModelCard]:
    from core.models.sources import torchvision

    return torchvision.cards()


MODELS: Registry[ModelCard] = Registry("model", more=_torchvision_cards)
MODELS.add(efficientnet_lite.NAME, efficientnet_lite.card())
for _facts in flower_networks.cards():
    MODELS.add(_facts["name"], _bundled_card(_facts))
