"""Networks of transformers for image classification: of the Hugging Face hub, or a folder of this machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from core.data.model_options import ModelOptions, Output
from core.environment import limit
from core.errors import BadModel, VitrineError, brief
from core.files import read_json
from core.images import Preprocess
from core.models.checkpoint import opened
from core.models.name import REPOSITORY, ModelName
from core.models.source import Source, SourceNetwork, package
from core.models.sources.hub import repository
from core.models.sources.initialisation import seeded
from core.models.weights import classes, fit
from core.params import expanded
from core.progress import Report, subrange

_PREPARATION = ("preprocessor_config.json", "processor_config.json")
_PROBLEMS: Mapping[str, Output | Literal["auto"]] = {
    "multi_label_classification": "multilabel",
    "single_label_classification": "softmax",
    "regression": "regression",
}
_RESAMPLING = ("nearest", "lanczos", "bilinear", "bicubic", "box")  # Pillow's numbers
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
    net, notes = _loaded(transformers, folder, name)
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


def _loaded(transformers: Any, folder: Path, name: ModelName) -> tuple[nn.Module, list[str]]:
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
    if lacking and name.separator:  # from other training code, with other names or another classifier
        with opened(files[0]) as checkpoint:
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
        side = getattr(config, "image_size", 224)
        side = side if isinstance(side, int) else 224
        note = "The preparation of images is not stored beside the weights: ImageNet's mean and deviation were assumed"
        return Preprocess(side, side), [note], False
    return (*_preparation(facts), bool(facts.get("do_flip_channel_order")))


def _preparation(facts: Mapping[str, Any]) -> tuple[Preprocess, list[str]]:
    """The preparation that an image processor's settings describe, and what was assumed."""
    size, notes = facts.get("size") or {}, []
    shortest = size.get("shortest_edge") or 0
    squash = not shortest
    resize = int(shortest or size.get("height") or 224)
    crop = _side(facts["crop_size"]) if facts.get("do_center_crop") and facts.get("crop_size") else resize
    kind = str(facts.get("image_processor_type") or "")
    if not squash and facts.get("crop_pct"):
        crop, resize, squash = _by_share(resize, float(facts["crop_pct"]), crop, convnext=kind.startswith("ConvNext"))
    if kind.startswith("Levit"):
        resize = int(resize * 256 / 224)
    if not squash and resize < crop:
        resize, notes = crop, [f"Images are resized to {crop}, which the crop needs"]
    if squash and (size.get("width") or resize) != resize:
        width = size["width"]
        message = f"This model takes images of {width} × {resize} pixels."
        raise BadModel(message, "Only networks for square images can be opened.")
    scale = 255 * float(facts.get("rescale_factor") or 1 / 255) if facts.get("do_rescale", True) else 255.0
    offset = 1.0 if facts.get("rescale_offset") else 0.0
    normalised = facts.get("do_normalize", True)
    means = facts.get("image_mean") if normalised else None
    stds = facts.get("image_std") if normalised else None
    mean = [(value + offset) / scale for value in _three(means, 0.0)]
    std = [value / scale for value in _three(stds, 1.0)]
    resample = facts.get("resample")
    resample = int(resample) if isinstance(resample, int) else 2
    interpolation = _RESAMPLING[resample] if 0 <= resample < len(_RESAMPLING) else "bilinear"
    preprocess = Preprocess(crop, max(resize, crop), _triple(mean), _triple(std), interpolation, squash)
    return preprocess, notes


def _by_share(side: int, share: float, crop: int, *, convnext: bool) -> tuple[int, int, bool]:
    """Crop, resize and squash of processors that crop a share of the image."""
    large = 384  # from which ConvNeXt's squashes instead
    if convnext and side >= large:
        return side, side, True
    return (side if convnext else crop), int(side / share), False


def _side(size: Any) -> int:
    return int(size if isinstance(size, int) else size.get("height") or size.get("shortest_edge"))


def _three(values: Any, default: float) -> list[float]:
    if values is None:
        return [default] * 3
    numbers = [float(value) for value in (values if isinstance(values, list | tuple) else [values])]
    return numbers * 3 if len(numbers) == 1 else numbers[:3]


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue


def _blue_first(_net: nn.Module, images: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Called before every forward: the network was trained with the channels in the other order."""
    return (images[0].flip(1), *images[1:])


SOURCE = Source("Hugging Face", build)
