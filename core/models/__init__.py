"""The registry of models: bundled ones, torchvision's, own weights for an architecture, and other sources."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from core.data.model_options import ModelOptions
from core.environment import limit
from core.errors import BadModel, BadParameter, UnknownName
from core.files import read_json
from core.images import Preprocess
from core.models import suggestion, weights
from core.models.checkpoint import opened
from core.models.model import Model, ModelCard, as_model, from_source
from core.models.name import ModelName, parsed, refuse_nameless
from core.models.source import Listed, Source
from core.models.sources import efficientnet_lite, exported, flower_networks, huggingface, own_code, timm
from core.params import expanded
from core.progress import Report, silent, subrange
from core.registry import Registry, unknown
from core.store import lists

__all__ = [
    "MODELS",
    "Model",
    "ModelCard",
    "architectures",
    "as_model",
    "fitting",
    "listed",
    "load",
    "names",
    "weight_sets",
]

# Every source but the list: one module with a function `build` each, under the kind of its names (core.models.name).
SOURCES: Mapping[str, Source] = {
    "timm": timm.SOURCE, "hf": huggingface.SOURCE, "onnx": exported.SOURCE, "python": own_code.SOURCE,
}  # fmt: skip
FLOWERS = "flowers"  # the architecture of the bundled models, as ARCH@FILE names it


def load(
    name: str,
    device: torch.device | str = "cpu",
    report: Report = silent,
    options: ModelOptions | None = None,
) -> Model:
    """A model of the registry, of another source, or `ARCH@FILE`: own weights for an architecture.

    Own weights are a .safetensors file or a checkpoint of torch, whatever its name; `core.models.name` documents the
    syntax of names. `options` say how the outputs are read and how images are prepared, and name a file of labels for
    own weights. Raises UnknownName, BadModel for weights or labels that do not fit, BadParameter for options that do
    not, and Unavailable for a download without connection, a source whose package is missing, and own code that was not
    allowed to run.
    """
    parts, options = parsed(name), ModelOptions.checked(**(options or ModelOptions()).changed())
    try:
        refuse_nameless(parts)
    except BadModel as error:
        raise suggestion.suggested(error, parts.file) from None
    if options.revision and parts.source != "hf":
        raise BadParameter("A revision is for models of Hugging Face.", "Leave it out, or write hf:ORG/NAME.")
    if options.weight_set and not parts.separator:
        raise BadParameter("A set of weights is chosen in a file of your own weights.", "Write ARCH@FILE.")
    if parts.source in SOURCES:
        given = SOURCES[parts.source].build(parts, options, subrange(report, 0.0, 0.8))
        report(0.8, "inspecting layers")
        return _named(from_source(name, given, device, options), options)
    if parts.separator:
        return _own_weights(parts, device, report, options)
    card = MODELS[name]
    if options.labels:
        raise BadModel(f"{name} already has labels.", "Give a labels file only with ARCH@FILE.")
    return card.load(device, report, options)


def _named(model: Model, options: ModelOptions) -> Model:
    """The model with ImageNet's labels, if it has that many classes and nothing names them."""
    from core.models.sources.imagenet import imagenet_labels

    imagenet = imagenet_labels()
    numbered = model.labels[0] == "class 0" and model.labels[-1] == f"class {len(imagenet) - 1}"
    if options.labels or model.output != "softmax" or not numbered or len(model.labels) != len(imagenet):
        return model
    return replace(model, labels=imagenet)


def _own_weights(name: ModelName, device: torch.device | str, report: Report, options: ModelOptions) -> Model:
    """The user's own weights in an architecture known by its name."""
    from core.models.sources import torchvision

    architecture = name.architecture
    if architecture not in architectures():
        error = unknown("architecture", architecture, architectures())
        both = "ARCH@FILE names weights, FILE.py:FUNCTION or PACKAGE.MODULE:FUNCTION own code."
        hint = f"{error.hint} {both}" if name.separator == ":" else error.hint
        raise suggestion.suggested(UnknownName(error.message, hint), name.file)
    if not name.file.strip():
        raise BadModel(f"{name.text!r} names no file.", f"Write {architecture}@FILE, a file of weights.")
    path = expanded(name.file)
    if architecture == FLOWERS:
        return _flowers(name.text, path, _card_beside(path), device, report, options)
    report(0.0, "reading weights")
    try:
        with opened(path, options.weight_set) as checkpoint:
            net, preprocess, notes = torchvision.fitted(architecture, checkpoint)
    except weights.WrongArchitecture as error:
        raise suggestion.suggested(error, name.file) from None
    report(0.6, "inspecting layers")
    facts = {"source": "file", "notes": notes}
    model = as_model(name.text, net, preprocess=preprocess, facts=facts, device=device, options=options)
    return _named(model, options)


def architectures() -> tuple[str, ...]:
    """The names of the architectures of ARCH@FILE, apart from those of other sources."""
    from core.models.sources import torchvision

    return FLOWERS, *torchvision.architectures()


def fitting(path: Path, *, timm: bool = True) -> tuple[str, ...]:
    """The architectures whose tensors a file has, the most similar one first; those of timm if no other fits.

    Raises BadModel if it is no weights.
    """
    with opened(path) as checkpoint:
        try:
            weights.assigned(flower_networks.architecture(1), checkpoint, FLOWERS)
        except BadModel:
            return tuple(suggestion.fitting(checkpoint, timm=timm))
    return (FLOWERS,)


def weight_sets(architecture: str, path: Path) -> tuple[str, ...]:
    """The sets of weights in a file that fit an architecture, by name; by default the first is taken.

    Raises BadModel if there is none, and what timm raises about its architectures.
    """
    from core.models.sources import torchvision

    with opened(path) as checkpoint:
        if architecture == FLOWERS:
            return weights.assigned(flower_networks.architecture(1), checkpoint, FLOWERS)[1].weight_sets
        name = parsed(architecture)
        match = timm.match(name.architecture, checkpoint) if name.source == "timm" else None
        return (match or torchvision.match(architecture, checkpoint)).weight_sets


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
        with opened(path, options.weight_set) as checkpoint:
            net, adaptation = weights.fit(flower_networks.architecture(1), checkpoint, FLOWERS)
    except weights.WrongArchitecture as error:
        raise suggestion.suggested(error, path) from None
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
        license="MIT",
        family=FLOWERS,
    )


def _torchvision_cards() -> Mapping[str, ModelCard]:
    from core.models.sources import torchvision

    return torchvision.cards()


def listed(source: str = "") -> tuple[Listed, ...]:
    """The models of a source by its prefix (`timm`), or those of MODELS. Raises what the source raises."""
    if source:
        return SOURCES[source].listed()
    return tuple(
        Listed(
            card.name,
            card.source,
            card.size,
            card.classes,
            card.parameters,
            card.megabytes,
            card.accuracy,
            card.license,
            card.family,
        )
        for card in MODELS.values()
    )


@cache
def names() -> tuple[str, ...]:
    """The names in MODELS: as stored, where this version listed them before, as importing torchvision takes long."""
    return tuple(str(one["name"]) for one in lists.cards("names", lambda: [{"name": name} for name in MODELS]))


MODELS: Registry[ModelCard] = Registry("model", more=_torchvision_cards)
MODELS.add(efficientnet_lite.NAME, efficientnet_lite.card())
for _facts in flower_networks.cards():
    MODELS.add(_facts["name"], _bundled_card(_facts))
