"""Networks of the package timm, with its own weights or the user's."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from math import floor
from pathlib import Path
from typing import Any

import torch
from torch import nn

from core.data.model_options import ModelOptions
from core.errors import BadModel, Unavailable
from core.images import Preprocess
from core.images.preprocess import OF_COUNT
from core.models.checkpoint import Checkpoint, opened
from core.models.matching import Match
from core.models.name import ModelName
from core.models.source import Listed, Source, SourceNetwork, package
from core.models.sources.download import fetch
from core.models.sources.hub import repository
from core.models.sources.initialisation import seeded
from core.models.weights import assigned, classes, fit
from core.params import expanded, one_or_two
from core.progress import Report, subrange
from core.registry import unknown

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # of a repository, in the order of preference


def build(name: ModelName, options: ModelOptions, report: Report) -> SourceNetwork:
    """The network ARCHITECTURE.TAG with timm's weights, or with those of a file; its labels and preprocessing.

    Raises UnknownName for a name that timm does not know, Unavailable without timm or a connection, BadModel for
    weights that do not fit.
    """
    timm = package("timm", "timm")
    architecture = name.architecture
    if not timm.is_model(architecture.partition(".")[0]) or not architecture:
        raise unknown("model of timm", architecture, architectures() if architecture else ())
    config = _config(architecture)
    if name.separator:
        report(0.0, "reading weights")
        net, preprocess, notes = _with_file(architecture, config, expanded(name.file), options.weight_set)
        facts = {"source": "timm", "notes": notes}
        return SourceNetwork(
            net, _labels(config) if classes(net) == config.num_classes else (), preprocess, facts=facts
        )
    weights = _weights(architecture, config, subrange(report, 0.0, 0.8))
    report(0.8, "reading weights")
    # A foreign format is read by timm itself; of everything else nothing but tensors is taken.
    given = {"file": str(weights)} if config.custom_load else {"state_dict": _tensors(weights)}
    with seeded():
        net = timm.create_model(architecture, pretrained=True, pretrained_cfg_overlay=given)
    facts = {"source": "timm", "weights": config.tag or "default", "license": config.license or ""}
    return SourceNetwork(net, _labels(config), _prepared(config), facts=facts)


@cache
def architectures() -> tuple[str, ...]:
    """The names of all architectures, and of those with weights as ARCHITECTURE.TAG."""
    timm = package("timm", "timm")
    return (*timm.list_models(), *timm.list_models(pretrained=True))


@cache
def families() -> tuple[tuple[str, ...], ...]:
    """The names of all architectures, those of a family together."""
    timm = package("timm", "timm")
    found: dict[str, list[str]] = {}
    for name in timm.list_models():
        found.setdefault(_family(timm, name), []).append(name)
    return tuple(tuple(names) for names in found.values())


def _family(timm: Any, owner: str) -> str:
    """The name of the module that defines an architecture."""
    return str(timm.model_entrypoint(owner).__module__.rpartition(".")[2])


def _config(architecture: str) -> Any:
    """What timm says about weights: their source, classes, image size, mean …"""
    models = package("timm.models", "timm")
    try:
        config = models.get_pretrained_cfg(architecture) or models.PretrainedCfg(architecture=architecture)
    except RuntimeError:  # a tag that it does not know
        tags = [one for one in architectures() if one.startswith(f"{architecture.partition('.')[0]}.")]
        raise unknown("model of timm", architecture, tags) from None
    return config


def _weights(architecture: str, config: Any, report: Report) -> Path:
    """The file of timm's weights, downloaded on first use. Raises BadModel for an architecture without any."""
    if not config.num_classes:
        message = f"timm's weights of {architecture} have no classifier: it gives features, not classes."
        raise BadModel(message, f"Give your own with timm:{architecture}@FILE, or choose weights tuned for classes.")
    if config.hf_hub_id:
        wanted = (config.hf_hub_filename,) if config.hf_hub_filename else _WEIGHTS

        def needed(names: Sequence[str]) -> Sequence[str]:
            found = [one for one in wanted if one in names][:1]
            if not found:
                raise Unavailable(f"{config.hf_hub_id} holds no {wanted[0]}.", "Choose other weights of timm.")
            return found

        folder = repository(config.hf_hub_id, "", needed, "timm", report)
        return next(folder / one for one in wanted if (folder / one).is_file())
    if config.url:
        return fetch(config.url, Path(torch.hub.get_dir()) / "checkpoints", report)
    tags = [one for one in architectures() if one.startswith(f"{architecture.partition('.')[0]}.")]
    hint = f"Choose {' or '.join(tags[:3])}." if tags else f"Give your own with timm:{architecture}@FILE."
    raise BadModel(f"timm has no weights for {architecture}.", hint)


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    with opened(path) as checkpoint:
        return {name: stored.read() for name, stored in checkpoint.tensors.items()}


def _with_file(architecture: str, config: Any, path: Path, weight_set: str) -> tuple[nn.Module, Preprocess, list[str]]:
    """The architecture with weights of a file, their preprocessing, and what was assumed."""
    owner, side = architecture.partition(".")[0], 0

    def resized(match: Match) -> nn.Module | None:
        nonlocal side
        side = _side(match)
        return _resized(owner, config, match)

    with opened(path, weight_set) as checkpoint:
        net, adaptation = fit(_built(owner, config), checkpoint, f"timm:{owner}", resized=resized)
    preprocess = _prepared(config)
    if side and side != preprocess.crop:
        preprocess = replace(preprocess, crop=side, resize=floor(side / config.crop_pct))
    return net, preprocess, adaptation.notes


def fits(architecture: str, checkpoint: Checkpoint) -> bool:
    """Whether names and shapes of the tensors in a file are those of an architecture; reads no values."""
    try:
        match(architecture, checkpoint)
    except Exception:  # noqa: BLE001 - timm refuses the size of other images with errors of any kind
        return False
    return True


def match(architecture: str, checkpoint: Checkpoint) -> Match:
    """The tensors of a file that an architecture takes; reads no values. Raises as `build`."""
    owner, config = architecture.partition(".")[0], _config(architecture)

    def resized(match: Match) -> nn.Module | None:
        with torch.device("meta"):
            return _resized(owner, config, match)

    return assigned(empty(architecture), checkpoint, f"timm:{owner}", resized=resized)[1]


def empty(architecture: str) -> nn.Module:
    """An architecture without values, which takes neither memory nor the time of drawing them."""
    with torch.device("meta"):
        return _built(architecture.partition(".")[0], _config(architecture))


def _built(owner: str, config: Any, **options: Any) -> nn.Module:
    """An architecture before its weights are read."""
    timm = package("timm", "timm")
    with seeded():
        net: nn.Module = timm.create_model(owner, pretrained=False, num_classes=config.num_classes or 1000, **options)
    return net


def _resized(owner: str, config: Any, match: Match) -> nn.Module | None:
    """The architecture for images of the size that weights were trained on; None if it is its own."""
    side = _side(match)
    return _built(owner, config, img_size=side) if side and side != config.input_size[-1] else None


def _side(match: Match) -> int:
    """The side of the images that a vision transformer's weights were trained on; 0 for other networks."""
    position, patches = match.stored("pos_embed"), match.stored("patch_embed.proj.weight")
    if position is None or patches is None or len(position.shape) != 3 or len(patches.shape) != 4:
        return 0
    grids = [
        round(count**0.5) for count in (position.shape[1], position.shape[1] - 1) if round(count**0.5) ** 2 == count
    ]
    return grids[0] * patches.shape[-1] if grids and grids[0] <= 256 else 0


def _prepared(config: Any) -> Preprocess:
    """The preprocessing that timm evaluates these weights with."""
    channels, *size = config.input_size
    crop, resize = one_or_two(*size), one_or_two(*(floor(side / config.crop_pct) for side in size))
    mean, std = tuple(config.mean), tuple(config.std)
    own = Preprocess(crop, resize, mean, std, config.interpolation, config.crop_mode == "squash", OF_COUNT[len(mean)])
    return own.fed(OF_COUNT[channels]) if channels in OF_COUNT else own


def _labels(config: Any) -> tuple[str, ...]:
    """The names of the classes; none where timm does not know them, and for ImageNet's thousand, which are known."""
    if config.label_names:
        descriptions = config.label_descriptions or {}
        return tuple(str(descriptions.get(name, name)) for name in config.label_names)
    data = package("timm.data", "timm")
    subset = data.infer_imagenet_subset(config.to_dict())
    if subset is None or config.num_classes == 1000:  # named as torchvision does
        return ()
    info = data.ImageNetInfo(subset)
    return tuple(info.index_to_description(index) for index in range(info.num_classes()))


@cache
def listed() -> tuple[Listed, ...]:
    """All weights of timm for square images with a classifier. Raises Unavailable without timm."""
    timm = package("timm", "timm")
    configs = {name: timm.get_pretrained_cfg(name) for name in timm.list_models(pretrained=True)}
    return tuple(
        Listed(
            f"timm:{name}",
            "timm",
            config.input_size[1],
            config.num_classes,
            license=config.license or "",
            family=_family(timm, name.partition(".")[0]),
        )
        for name, config in configs.items()
        if config.num_classes and config.input_size[1] == config.input_size[2]
    )


def parameters(name: str) -> int:
    """The number of parameters of a listed model, which is built without values for that."""
    return sum(one.numel() for one in empty(name.removeprefix("timm:")).parameters())


SOURCE = Source("timm", build, listed, parameters)
