"""Every classification model of the installed torchvision: described, built and loaded."""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torchvision import models

from core.data.model_options import ModelOptions
from core.images import Preprocess
from core.models.download import fetch
from core.models.model import Model, ModelCard, as_model
from core.models.weights import State, classes, fit, read
from core.progress import Report, subrange

_DRAWING = (torch.Tensor.normal_, torch.Tensor.uniform_)
_NOTE = "Trained on ImageNet-1K with the recipe of torchvision's {}; downloaded when first used."


@cache
def architectures() -> tuple[str, ...]:
    """The names of all classification architectures."""
    return tuple(models.list_models(module=models))


def cards() -> Mapping[str, ModelCard]:
    """One card per architecture with its default weights; nothing is built or downloaded."""
    return {name: _card(name) for name in architectures()}


def fitted(architecture: str, state: State, file: str) -> tuple[nn.Module, Preprocess]:
    """The architecture with these weights, and the preprocessing for weights trained elsewhere.

    The number of classes and the image size follow from the state dict. The preprocessing is that of torchvision's
    first published weights, from which most training scripts start. Raises BadModel if the weights do not fit;
    `file` is their name in messages.
    """
    net = _without_auxiliaries(fit(_built(architecture, state), state, architecture, file))
    first = _prepared(next(iter(models.get_model_weights(architecture))))
    side = _options(architecture, state).get("image_size", first.crop)
    return net, first if side == first.crop else replace(first, crop=side, resize=side)


def imagenet_labels() -> tuple[str, ...]:
    """The 1,000 labels of ImageNet in torchvision's order."""
    return tuple(models.get_model_weights("resnet18").DEFAULT.meta["categories"])


def _card(name: str) -> ModelCard:
    weights = models.get_model_weights(name).DEFAULT
    return ModelCard(
        name=name,
        title=_title(type(weights).__name__.removesuffix("_Weights")),
        source="torchvision",
        classes=len(weights.meta["categories"]),
        size=_prepared(weights).crop,
        parameters=weights.meta["num_params"],
        megabytes=float(weights.meta.get("_file_size", 4 * weights.meta["num_params"] / 2**20)),
        accuracy=weights.meta.get("_metrics", {}).get("ImageNet-1K", {}).get("acc@1"),
        note=_NOTE.format(weights.name),
        load=lambda device, report, options: _load(name, device, report, options),
    )


def _load(name: str, device: torch.device | str, report: Report, options: ModelOptions) -> Model:
    weights = models.get_model_weights(name).DEFAULT
    path = fetch(weights.url, Path(torch.hub.get_dir()) / "checkpoints", subrange(report, 0.0, 0.8))
    report(0.8, "reading weights")
    state = read(path)
    net, _ = fitted(name, state, path.name)
    report(0.9, "inspecting layers")
    labels = tuple(weights.meta["categories"])
    facts = {"source": "torchvision", "weights": weights.name}
    preprocess = _prepared(weights)
    return as_model(name, net, labels=labels, preprocess=preprocess, facts=facts, device=device, options=options)


def _built(architecture: str, state: State) -> nn.Module:
    """The architecture with the sizes that its weights require; the weights are not loaded yet."""
    options = _options(architecture, state)
    with _Unset():
        net = models.get_model(architecture, weights=None, **options)
        head = [name for name, module in net.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
        count = classes(state, f"{head}.weight") or 1000
        return net if count == 1000 else models.get_model(architecture, weights=None, num_classes=count, **options)


def _without_auxiliaries(net: nn.Module) -> nn.Module:
    """The network without the auxiliary classifiers that are used in training only."""
    for name in ("aux1", "aux2", "AuxLogits"):
        if hasattr(net, name):
            setattr(net, name, None)
            net.aux_logits = False  # type: ignore[assignment]  # a plain flag, no module
    return net


def _options(architecture: str, state: State) -> dict[str, Any]:
    """The arguments of a builder that depend on its weights."""
    if architecture in {"googlenet", "inception_v3"}:
        auxiliary = any(key.startswith(("aux1.", "AuxLogits.")) for key in state)
        # Their published weights come from a library that scaled images differently; fine-tuned weights inherit that.
        return {"aux_logits": auxiliary, "transform_input": True, "init_weights": False}
    position = state.get("encoder.pos_embedding")
    if architecture.startswith("vit_") and position is not None and position.dim() == 3 and position.shape[1] > 1:
        patch = int(architecture.rsplit("_", 1)[1])
        return {"image_size": math.isqrt(position.shape[1] - 1) * patch}
    return {}


def _prepared(weights: Any) -> Preprocess:
    """The `transforms` of torchvision's weights as a `Preprocess`, which can also show the network's view."""
    preset = weights.transforms()
    return Preprocess(
        preset.crop_size[0], preset.resize_size[0], tuple(preset.mean), tuple(preset.std), preset.interpolation.value
    )


def _title(name: str) -> str:
    """A weights enum's name as a title: "ShuffleNet_V2_X0_5" is ShuffleNet V2 X0.5."""
    return re.sub(r"(?<!\d)(\d)_(\d)", r"\1.\2", name).replace("_", " ")


class _Unset(TorchFunctionMode):
    """Networks built on this thread while the block runs get uninitialised weights.

    Initialisation would change the global random state, and take seconds, for values that are replaced at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(0)

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Called by torch for every operation of this thread."""
        kwargs = dict(kwargs or {})
        if func is torch.empty:
            kwargs["device"] = "meta"
        elif func in _DRAWING and not args[0].is_meta:
            kwargs["generator"] = self.generator  # small tables are created as zeros and then initialised randomly
        return func(*args, **kwargs)
