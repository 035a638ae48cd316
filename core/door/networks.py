"""Networks and images in notebooks: loading, wrapping of own networks, predictions."""

import os
import sys
import warnings
from collections.abc import Sequence
from copy import deepcopy
from math import isfinite
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from core.data.labels import class_note
from core.data.model_options import LARGEST, Interpolation, ModelOptions
from core.data.samples import samples
from core.environment import device
from core.errors import BadImage, BadModel, BadParameter
from core.explain.target_name import TargetName, target_name, target_note
from core.images import Picture, Preprocess, decode, picture_file, picture_of
from core.images.preprocess import OF_COUNT, both
from core.models import MODELS, Model, as_model
from core.models import load as load_model
from core.models.sources.trust import trust
from core.models.trial import scores_of, tried
from core.params import Sides, expanded, one_or_two
from core.progress import printed
from core.study import Study
from core.workbench import Workbench

ImageLike = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]


def load(
    name: str,
    *,
    labels: str | os.PathLike[str] | None = None,
    weight_set: str = "",
    output: str = "auto",
    threshold: float = 0.5,
    channels: str = "auto",
    size: Sides = 0,
    resize: Sides = 0,
    crop: Sides = 0,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    interpolation: str = "auto",
    fit: str = "auto",
    revision: str = "",
) -> Model:
    """A model by its name: a bundled one, of torchvision, timm or Hugging Face, or `ARCH@FILE` for your own weights.

    `FILE.py:FUNCTION` runs your own code; README.md says what each name may be.

    `labels` names a file with one label per class for your own weights, and `weight_set` the name before the weights to
    take from a file that holds several sets, such as "model_ema"; by default averaged ones are taken. `output` says
    how the outputs are read: softmax, sigmoid (one logit), multilabel (a sigmoid per label) or regression; auto is
    sigmoid for one output and softmax for several. Labels above `threshold` are predicted. Images are prepared as the
    model's own weights were trained, unless `channels` (grey, rgb, or four, the last of which is alpha, zeros or ones),
    `size` (of the input: one number, or height and width), `resize` (of the shorter side), `crop`, `mean`, `std` (one
    number, or one per channel), `interpolation` or `fit` (crop or squash) say otherwise. `revision` is a branch, tag or
    commit of a model of Hugging Face.

    Weights of torchvision are downloaded at first use. The model runs on a GPU if there is one; the environment
    variable `VITRINE_DEVICE` overrides this. Raises `VitrineError` for an unknown name, weights or options that do not
    fit, or a download without a connection.

    >>> import vitrine as vt
    >>> model = vt.load("flowers-single-6c")
    >>> model.labels
    ('blue', 'orange', 'red', 'turquoise', 'violet', 'yellow')
    """
    options = ModelOptions.checked(
        labels="" if labels is None else os.fspath(labels), weight_set=weight_set, output=output,
        threshold=threshold, channels=channels, size=size, resize=resize, crop=crop, mean=_numbers(mean),
        std=_numbers(std), interpolation=interpolation, fit=fit, revision=revision,
    )  # fmt: skip
    return load_model(trust(str(name)), device(), printed(sys.stderr), options)


def wrap(
    network: nn.Module,
    *,
    labels: Sequence[str] | str | os.PathLike[str] | None = None,
    size: Sides = 224,
    mean: Sequence[float] = Preprocess.mean,
    std: Sequence[float] = Preprocess.std,
    resize: Sides | None = None,
    interpolation: str = "bilinear",
    channels: str = "auto",
    output: str = "auto",
    threshold: float = 0.5,
    name: str = "",
) -> Model:
    """A model from any torch module that maps images (N, C, H, W) to one score per class, (N, classes).

    Images are resized to a shorter side of `resize` (default: `size`), cropped to the central `size` pixels, scaled to
    0…1, and normalised by `mean` and `std`, one number per channel; `size` may be height and width. The network may
    take one, three or four channels: it is tried, or `channels` says it, as in `load`. `interpolation` is bilinear,
    bicubic, nearest, lanczos or box. `output` and `threshold` say how scores are read, as in `load`: a single score is
    a logit, of the classes negative and positive. `labels` are the names of the classes, or a file with one per line.
    The model holds a copy in eval mode without gradients of weights; the network itself is unchanged and can be trained
    further. Raises `VitrineError` for a network that does not run on such an image.

    >>> import torch, vitrine as vt
    >>> network = torch.nn.Sequential(
    ...     torch.nn.Conv2d(3, 8, 5), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
    ...     torch.nn.Linear(8, 2),
    ... )
    >>> model = vt.wrap(network, labels=["cat", "dog"], size=64, mean=[0.5] * 3, std=[0.25] * 3)
    >>> vt.explain(model, vt.examples()["single-violet"], "grad_cam", target="dog").values.shape
    (64, 64)
    """
    if not isinstance(network, nn.Module):
        given = "A class" if isinstance(network, type) else f"A value of type {type(network).__name__}"
        raise BadModel(f"{given} is not a network.", "Give an instance of torch.nn.Module.")
    name = name or type(network).__name__
    preprocess = _preprocess(size, size if resize is None else resize, mean, std, interpolation)
    file = os.fspath(labels) if isinstance(labels, str | os.PathLike) else ""
    options = ModelOptions.checked(labels=file, output=output, threshold=threshold, channels=channels)
    try:
        copy = deepcopy(network)
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadModel(f"{name} cannot be copied ({reason}).", "Build it anew and load its state dict.") from error
    scores = scores_of(tried(copy.eval().to(device()), name, preprocess, options), name)
    classes = int(scores.shape[1]) if scores.dim() == 2 else 1
    named = () if isinstance(labels, str | os.PathLike) else tuple(str(label) for label in labels or ())
    if named and len(named) != classes and not (classes == 1 and len(named) == 2):
        raise BadModel(f"{len(named)} labels are given, and {name} has {classes} classes.", "Give a label per class.")
    return as_model(name, copy, labels=named, preprocess=preprocess, device=device(), options=options)


def models() -> pd.DataFrame:
    """The models that `load` knows by name, a row for each; weights of torchvision are not downloaded for this.

    >>> import vitrine as vt
    >>> vt.models().loc["flowers-single-6c", "title"]
    'Flowers: six colours of petals'
    """
    columns = ["name", "title", "source", "classes", "size", "parameters", "megabytes", "accuracy", "note"]
    rows = [[getattr(card, column) for column in columns] for card in MODELS.values()]
    return pd.DataFrame(rows, columns=columns).set_index("name")


def predict(model: Model, image: ImageLike, *, top: int = 5) -> pd.DataFrame:
    """The `top` most probable classes of an image: their labels and probabilities, indexed by class, highest first.

    A regression has values in the order of its outputs in their place.

    >>> import vitrine as vt
    >>> model = vt.load("flowers-single-6c")
    >>> vt.predict(model, vt.examples()["single-violet"]).iloc[0]["label"]
    'violet'
    """
    classes = bench_of(model).top(picture_from(image), max(1, top))
    return pd.DataFrame(classes, columns=["class", "label", model.quantity]).set_index("class")


def examples() -> dict[str, Path]:
    """The bundled images by name: photos for ImageNet models, synthetic flowers for the flower networks.

    >>> import vitrine as vt
    >>> vt.examples()["single-violet"].name
    'single-violet.png'
    """
    return {sample.name: sample.path for sample in samples()}


def bench_of(model: Model) -> Workbench:
    """A workbench for a model, with an empty cache; BadModel for anything else than a model."""
    if isinstance(model, nn.Module):
        raise BadModel(f"{type(model).__name__} is a bare network.", "Make it a model with vitrine.wrap(network, …).")
    if not isinstance(model, Model):
        raise BadModel(f"A {type(model).__name__} is not a model.", "Get one from vitrine.load or vitrine.wrap.")
    return Workbench(model)


def picture_from(image: ImageLike) -> Picture:
    """A picture from a path, a file's bytes, a Pillow image or an array of uint8."""
    if isinstance(image, str | os.PathLike):
        return picture_file(expanded(Path(image)))
    if isinstance(image, bytes | bytearray | memoryview):
        return decode(bytes(image), "image")
    if isinstance(image, Image.Image):
        return picture_of(image, Path(getattr(image, "filename", "") or "image").name)
    hint = "Give a path, bytes, an image of Pillow's, or a uint8 array of shape (height, width, 3)."
    if not isinstance(image, np.ndarray):
        raise BadImage(f"A value of type {type(image).__name__} is not an image.", hint)
    if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] in {3, 4})):
        raise BadImage(f"An array of type {image.dtype} and shape {image.shape} is not an image.", hint)
    if not image.size:
        raise BadImage(f"An array of shape {image.shape} has no pixels.", hint)
    return picture_of(Image.fromarray(image), "image")


def class_from(owner: Model | Study, wanted: str | int) -> int:
    """The class index of a label or number; a text that is the number of another class, too, gives a warning.

    Raises as `core.data.labels.class_index`.
    """
    index = owner.target(wanted)
    if isinstance(wanted, str):
        _warn(class_note(wanted, owner.labels))
    return index


def target_from(model: Model, wanted: str | int) -> TargetName:
    """The target of a text as `target_name` reads it; one that could mean another gives a warning, too."""
    target = target_name(wanted, model)
    if isinstance(wanted, str):
        _warn(target_note(wanted, model))
    return target


def _warn(note: str) -> None:
    """Warn of a text that had two meanings, at the line of the user."""
    if note:
        frame, level = sys._getframe(), 1
        while frame.f_back and str(frame.f_globals.get("__name__")).startswith("core."):
            frame, level = frame.f_back, level + 1
        warnings.warn(f"{note} An int means the number.", stacklevel=level)


def _preprocess(
    size: Sides, resize: Sides, mean: Sequence[float], std: Sequence[float], interpolation: str
) -> Preprocess:
    """The preprocessing with validated values."""
    crop, scaled = _sides_of("size", size), _sides_of("resize", resize)
    if any(side < least for side, least in zip(both(scaled), both(crop), strict=True)):
        raise BadParameter(f"resize is {resize}, less than the size {size}.", "Images would not fill the input.")
    choices = get_args(Interpolation)
    if interpolation not in choices:
        raise BadParameter(f"interpolation cannot be {interpolation!r}.", f"Choose one of {', '.join(choices)}.")
    means, stds = _numbers_of("mean", mean), _numbers_of("std", std)
    if min(stds) <= 0:
        raise BadParameter(f"std cannot be {stds}.", "Give numbers above zero.")
    if len(means) != len(stds):
        raise BadParameter(f"mean and std have {len(means)} and {len(stds)} numbers.", "Give one of each per channel.")
    return Preprocess(crop, scaled, means, stds, interpolation, channels=OF_COUNT[len(means)])


def _sides_of(name: str, given: Sides) -> Sides:
    """The side of a square, or height and width. Raises BadParameter."""
    sides = given if isinstance(given, tuple | list) else (given,)
    whole = all(isinstance(side, int | np.integer) and not isinstance(side, bool) for side in sides)
    if not whole or len(sides) not in {1, 2} or not all(1 <= side <= LARGEST for side in sides):
        hint = f"Give a whole number of pixels from 1 to {LARGEST:,}, or two: height and width."
        raise BadParameter(f"{name} cannot be {given!r}.", hint)
    return one_or_two(int(sides[0]), int(sides[-1]))


def _numbers(values: float | Sequence[float]) -> Sequence[float] | tuple[float]:
    return (values,) if isinstance(values, int | float) else values


def _numbers_of(name: str, values: Sequence[float]) -> tuple[float, ...]:
    """One number per channel, or one for all. Raises BadParameter."""
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) not in OF_COUNT or not all(isfinite(value) for value in numbers):
        hint = "Give one number, three for red, green and blue, or four."
        raise BadParameter(f"{name} cannot be {values!r}.", hint)
    return numbers
