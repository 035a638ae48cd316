"""Networks of transformers for image classification: of the Hugging Face hub, or a folder of this machine."""

import re
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from core.data.model_options import ModelOptions, Output
from core.environment import app_model, limit
from core.errors import BadModel, Unavailable, VitrineError, brief
from core.files import read_bytes, read_json
from core.images import Preprocess
from core.images.preprocess import OF_COUNT, both, spelled_sides
from core.models.checkpoint import opened
from core.models.matching import Node
from core.models.name import REPOSITORY, ModelName, parsed
from core.models.source import Listed, Source, SourceNetwork, package
from core.models.sources.hub import cached, repository
from core.models.sources.initialisation import seeded
from core.models.weights import classes, fit
from core.params import Sides, expanded, one_or_two
from core.progress import Report, subrange

_PREPARATION = ("preprocessor_config.json", "processor_config.json")
_PROBLEMS: Mapping[str, Output | Literal["auto"]] = {
    "multi_label_classification": "multilabel",
    "single_label_classification": "softmax",
    "regression": "regression",
}
_RESAMPLING = ("nearest", "lanczos", "bilinear", "bicubic", "box")  # Pillow's numbers
_HEADS = frozenset({"classifier", "cls_classifier", "head"})  # of classes of transformers
_TRUNK = frozenset({"embeddings", "embedder", "encoder", "patch_embeddings", "stem", "conv_stem"})
_SAVED = "Give a folder saved by `save_pretrained`, or ORG/NAME of the hub."


def build(name: ModelName, options: ModelOptions, report: Report) -> SourceNetwork:
    """The network of a repository or folder, with the labels of its configuration and its processor's preparation.

    Nothing of it is run: its tensors are read by `core.models.checkpoint`. Raises BadModel for a folder that needs code
    of its own or is not for image classification, Unavailable without transformers or a connection, UnknownName for a
    repository that does not exist.
    """
    transformers = package("transformers", "hf")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    folder = _folder(name, options, subrange(report, 0.0, 0.7))
    facts = _json(folder / "config.json")
    if "auto_map" in facts:
        message = f"{name.display} needs code of its own, which is not run."
        hint = "If you trust it, load it in your own code and give FILE.py:FUNCTION."
        raise BadModel(message, hint)
    report(0.7, "reading weights")
    net, notes = _loaded(transformers, folder, name, options.weight_set)
    labels = _labels(net.config)
    if name.separator and len(labels) != classes(net):  # weights with a classifier of their own
        labels = ()
    preprocess, assumed, flipped = _prepared(transformers, folder, net.config)
    if flipped:
        net.register_forward_pre_hook(_blue_first)
    output = _PROBLEMS.get(str(facts.get("problem_type")), "auto")
    about = {"source": "Hugging Face", "architecture": type(net).__name__, "notes": [*notes, *assumed]}
    return SourceNetwork(net, labels, preprocess, output, about)


def _folder(name: ModelName, options: ModelOptions, report: Report) -> Path:
    """The folder with configuration and weights, downloaded unless it is one of this machine or in the hub's cache."""
    folder = expanded(name.architecture)
    if name.architecture and folder.is_dir():
        if not (folder / "config.json").is_file():
            raise BadModel(f"{name.display} contains no config.json.", _SAVED)
        return folder
    if not REPOSITORY.fullmatch(name.architecture):
        raise BadModel(f"There is no folder {brief(name.architecture, 120)!r}.", _SAVED)
    return repository(name.architecture, options.revision, lambda names: _needed(names, name), "hf", report)


def _needed(names: Sequence[str], name: ModelName) -> Sequence[str]:
    """The files to download: configuration, preparation and weights, these as safetensors where there are any."""
    safe = [one for one in names if "/" not in one and one.endswith(".safetensors") and one.startswith("model")]
    weights = safe or [one for one in names if one.startswith("pytorch_model") and one.endswith(".bin")]
    if "config.json" not in names or not (weights or name.separator):
        raise BadModel(f"{name.display} holds no model of transformers with weights for PyTorch.", _SAVED)
    extra = [one for one in names if one in (*_PREPARATION, "model.safetensors.index.json")]
    return ["config.json", *extra, *(() if name.separator else weights)]


def _loaded(transformers: Any, folder: Path, name: ModelName, weight_set: str) -> tuple[nn.Module, list[str]]:
    """The network of a folder's configuration with its weights or those of a file, and what was assumed."""
    config, classifier = _classifier(transformers, folder, name)
    files = [expanded(name.file)] if name.separator else _weights(folder, name)
    try:
        # Names of older versions are matched by transformers itself.
        net, info = classifier.from_pretrained(
            None, config=config, state_dict=_tensors(files), dtype=torch.float32, output_loading_info=True
        )
        lacking = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    except VitrineError:
        raise
    except Exception as error:
        if name.separator:
            net, lacking = _empty(classifier, config), ["all"]
        else:
            reason = brief(" ".join(str(error).split()), 120)
            message = f"The weights of {name.display} cannot be loaded ({reason})."
            raise BadModel(message, _SAVED) from error
    if name.separator and (lacking or weight_set):  # from other training code, with other names or another classifier
        with opened(files[0], weight_set) as checkpoint:
            net, adaptation = fit(_empty(classifier, config), checkpoint, name.architecture)
        return net, adaptation.notes
    if lacking:
        missing = ", ".join(f"'{brief(key, 60)}'" for key in lacking[:2])
        message = f"The weights of {name.display} lack {missing}{' and more' if len(lacking) > 2 else ''}."
        raise BadModel(message, "Choose a model that was trained for image classification.")
    return net, []


def _classifier(transformers: Any, folder: Path, name: ModelName) -> tuple[Any, Any]:
    """The configuration in a folder, and the class of its network."""
    mapping = transformers.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        found = mapping[type(config)]
    except Exception as error:
        reason = brief(" ".join(str(error).split()), 120)
        message = f"{name.display} is no model for image classification that transformers knows ({reason})."
        raise BadModel(message, _SAVED) from error
    known = found if isinstance(found, tuple) else (found,)
    saved = getattr(config, "architectures", None) or ()
    return config, next((one for one in known if one.__name__ in saved), known[0])


def _empty(classifier: Any, config: Any) -> nn.Module:
    """The network of a configuration before its weights are read."""
    with seeded():
        net: nn.Module = classifier(config)
    return net


def _weights(folder: Path, name: ModelName) -> list[Path]:
    """The weights files of a folder: all parts, as safetensors where there are any."""
    found = sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not found:
        raise BadModel(f"{name.display} contains no weights for PyTorch.", _SAVED)
    return found


def _tensors(files: Sequence[Path]) -> dict[str, torch.Tensor]:
    """All tensors of files, by name."""
    tensors: dict[str, torch.Tensor] = {}
    for file in files:
        with opened(file) as checkpoint:
            tensors |= {name: stored.read() for name, stored in checkpoint.tensors.items()}
    return tensors


def _json(path: Path) -> Mapping[str, Any]:
    """The object in a JSON file. Raises BadModel if it is none."""
    try:
        content = read_json(path, limit("text"))
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        raise BadModel(f"{path.name} in {path.parent.name} is not readable as JSON.", "Save the model again.")
    return content


def _labels(config: Any) -> tuple[str, ...]:
    """The names of the classes; none if they are numbered only."""
    names = [str(name) for _, name in sorted(config.id2label.items())]
    return () if names == [f"LABEL_{index}" for index in range(len(names))] else tuple(names)


def _prepared(transformers: Any, folder: Path, config: Any) -> tuple[Preprocess, list[str], bool]:
    """The preparation of a folder's image processor, what was assumed, and whether blue is its first channel."""
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        facts = processor.to_dict()
    except Exception:  # noqa: BLE001 - whatever is wrong with the file, there is no preparation in it
        given = getattr(config, "image_size", 224)
        pair = list(given) if isinstance(given, list | tuple) else [given]
        side = one_or_two(pair[0], pair[-1]) if all(isinstance(one, int) for one in pair) else 224
        note = "The preparation of images is not stored beside the weights: ImageNet's mean and deviation were assumed"
        return Preprocess(side, side), [note], False
    return (*_preparation(facts), bool(facts.get("do_flip_channel_order")))


def _preparation(facts: Mapping[str, Any]) -> tuple[Preprocess, list[str]]:
    """The preparation that an image processor's settings describe, and what was assumed."""
    size, notes = facts.get("size") or {}, []
    shortest = size.get("shortest_edge") or 0
    squash = not shortest
    height = int(size.get("height") or 224)
    resize = int(shortest) or one_or_two(height, int(size.get("width") or height))
    crop = _sides(facts["crop_size"]) if facts.get("do_center_crop") and facts.get("crop_size") else resize
    kind = str(facts.get("image_processor_type") or "")
    if isinstance(resize, int) and isinstance(crop, int) and not squash and facts.get("crop_pct"):
        crop, resize, squash = _by_share(resize, float(facts["crop_pct"]), crop, convnext=kind.startswith("ConvNext"))
    if kind.startswith("Levit") and isinstance(resize, int):
        resize = int(resize * 256 / 224)
    if any(side < least for side, least in zip(both(resize), both(crop), strict=True)):
        if not squash:
            notes = [f"Images are resized to {spelled_sides(crop)}, which the crop needs"]
        resize = crop
    scale = 255 * float(facts.get("rescale_factor") or 1 / 255) if facts.get("do_rescale", True) else 255.0
    offset = 1.0 if facts.get("rescale_offset") else 0.0
    normalised = facts.get("do_normalize", True)
    means = facts.get("image_mean") if normalised else None
    stds = facts.get("image_std") if normalised else None
    mean = tuple((value + offset) / scale for value in _per_channel(means, 0.0))
    std = tuple(value / scale for value in _per_channel(stds, 1.0))
    if len(mean) != len(std) or len(mean) not in OF_COUNT:
        message = f"The image processor has {len(mean)} means and {len(std)} standard deviations."
        raise BadModel(message, "Networks of one, three and four channels can be opened.")
    resample = facts.get("resample")
    resample = int(resample) if isinstance(resample, int) else 2
    interpolation = _RESAMPLING[resample] if 0 <= resample < len(_RESAMPLING) else "bilinear"
    return Preprocess(crop, resize, mean, std, interpolation, squash, OF_COUNT[len(mean)]), notes


def _by_share(side: int, share: float, crop: int, *, convnext: bool) -> tuple[int, int, bool]:
    """Crop, resize and squash of processors that crop a share of the image."""
    large = 384  # from which ConvNeXt's squashes instead
    if convnext and side >= large:
        return side, side, True
    return (side if convnext else crop), int(side / share), False


def _sides(size: Any) -> Sides:
    if isinstance(size, int):
        return size
    height = int(size.get("height") or size.get("shortest_edge"))
    return one_or_two(height, int(size.get("width") or height))


def _per_channel(values: Any, default: float) -> list[float]:
    if values is None:
        return [default] * 3
    return [float(value) for value in values] if isinstance(values, list | tuple) else [float(values)] * 3


def _blue_first(_net: nn.Module, images: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Called before every forward: the network was trained with the channels in the other order."""
    return (images[0].flip(1), *images[1:])


def listed() -> tuple[Listed, ...]:
    """The models for image classification in the cache of the hub, and in the folder that the app was started with.

    Raises Unavailable without the package of the hub.
    """
    folders = {f"hf:{name}": folder for name, folder in cached("hf").items()}
    started = parsed(app_model())
    if started.source == "hf" and not started.separator and expanded(started.architecture).is_dir():
        folders = {app_model(): expanded(started.architecture), **folders}
    return tuple(found for name, folder in folders.items() if (found := _listed(name, folder)))


def _listed(name: str, folder: Path) -> Listed | None:
    """What the files of a folder say of its model; None if it is none for image classification, or lacks a file."""
    try:
        config, files = _json(folder / "config.json"), _weights(folder, parsed(name))
        preparation = next((_json(folder / one) for one in _PREPARATION if (folder / one).is_file()), {})
        shape = _preparation(preparation)[0].size
    except (VitrineError, TypeError, ValueError, AttributeError):
        return None
    kinds = config.get("architectures")
    if not isinstance(kinds, list) or "auto_map" in config:
        return None
    if not any(str(kind).endswith("ForImageClassification") for kind in kinds):
        return None
    numbers = config.get("id2label") or range(2)  # as transformers assumes
    return Listed(
        name,
        "Hugging Face",
        shape[0],
        len(numbers) if isinstance(numbers, Mapping | range) else 0,
        _parameters(files),
        sum(file.stat().st_size for file in files) / 2**20,
        license=_license(folder / "README.md"),
        family=str(config.get("model_type") or ""),
    )


def _parameters(files: Sequence[Path]) -> int | None:
    """The number of values in weights files, none of which is read; None if one is damaged."""
    count = 0
    for file in files:
        try:
            with opened(file) as checkpoint:
                count += sum(prod(stored.shape) for stored in checkpoint.tensors.values())
        except VitrineError:
            return None
    return count


def _license(card: Path) -> str:
    """The license that the head of a model card names; "" without one."""
    try:
        head = read_bytes(card, limit("text")).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
    found = re.search(r"\A---\s*\n(?:(?!---).*\n)*?license:[ \t]*([\w.+-]+)", head)
    return found[1] if found else ""


def class_named(names: Node) -> str:
    """The class of transformers whose tensors have names like these; "" for none, and without transformers.

    Its classifiers keep the network below the name of its kind, beside the last layer.
    """
    try:
        listed_classes = package("transformers.models.auto.modeling_auto", "hf")
    except Unavailable:
        return ""
    kinds = {
        kind.replace("-", "_"): title if isinstance(title, str) else title[0]
        for kind, title in listed_classes.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES.items()
    }
    nodes = [names]
    while nodes:
        node = nodes.pop(0)
        parts = {name: part for name, part in node.items() if isinstance(part, dict)}
        for name, part in parts.items():
            if name in kinds and not _TRUNK.isdisjoint(part) and not _HEADS.isdisjoint(parts):
                return kinds[name]
        nodes += parts.values()
    return ""


SOURCE = Source("Hugging Face", build, listed)
