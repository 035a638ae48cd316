"""The trial of a network: the images it takes, what it gives for two of them, and which entry of that are scores."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from core.data.model_options import Channels, ModelOptions
from core.errors import BadModel, VitrineError
from core.images import Preprocess
from core.images.preprocess import COUNTS, spelled_sides

USUAL = ("logits", "output", "outputs", "out", "scores", "predictions")  # keys, in the order of their preference
_TAKES: Mapping[Channels, str] = {
    "grey": "The network takes one channel: the luminance of the image",
    "rgb": "The network takes three channels: red, green and blue",
    "alpha": "The network takes four channels: the fourth is the image's alpha, 1 where it has none",
}


@dataclass(frozen=True)
class Trial:
    """Two images that a network takes, and what it gives for them."""

    own: Preprocess  # the network's own, for the channels that it takes
    preprocess: Preprocess  # changed as options say
    channels: str  # what was assumed about the channels, as a sentence
    notes: tuple[str, ...]  # what was assumed about the options
    images: Tensor
    outputs: object
    order: torch.memory_format  # of the images


def tried(net: nn.Module, name: str, own: Preprocess, options: ModelOptions) -> Trial:
    """The trial of a network with images of its size, and of its channels: its own, or those that it takes.

    Their memory format is channels last on a CPU, where it makes convolutions up to twice as fast, if the network can.
    Raises BadParameter for options that do not fit, BadModel if the network takes no such images.
    """
    failure = ""
    for channels in _candidates(own, options):
        fed = own.fed(channels)
        sized, _ = fed.changed(replace(options, channels=channels, mean=(), std=()))
        images = _noise(net, sized.shape)
        try:
            order, outputs = _run(net, images)
        except VitrineError:
            raise
        except Exception as error:  # noqa: BLE001 - networks of users raise errors of any kind
            failure = failure or " ".join(str(error).split())[:120] or type(error).__name__
            continue
        preprocess, notes = fed.changed(replace(options, channels=channels))
        changed = COUNTS[channels] != len(own.mean) and options.channels == "auto"
        return Trial(
            fed, preprocess, _assumed(own, preprocess, options) if changed else "", notes, images, outputs, order
        )
    size = spelled_sides(own.changed(replace(options, mean=(), std=()))[0].size)
    raise BadModel(f"{name} fails on images of {size} pixels: {failure}.", _hint(net, options))


def scores_of(trial: Trial, name: str) -> Tensor:
    """The outputs (N, C) or (N,) of a trial. Raises BadModel for anything else."""
    given = trial.outputs
    if isinstance(given, Tensor) and given.dim() in (1, 2) and len(given) == len(trial.images):
        return given
    kind = f"shape {tuple(given.shape)}" if isinstance(given, Tensor) else f"a {type(given).__name__}"
    size = spelled_sides(trial.preprocess.size)
    message = f"{name} gives {kind} for two images of {size} pixels, not a number for each class."
    raise BadModel(message, "Use a network that maps images (N, C, H, W) to outputs (N, classes).")


def with_scores(net: nn.Module, trial: Trial) -> tuple[Trial, str]:
    """Let a network that gives a tuple or dictionary return one entry of it: its trial then, and a sentence on that.

    The same trial and "" for a network that returns something else, or no entry of shape (images, C) or (images,).
    """
    given, images = trial.outputs, len(trial.images)
    if isinstance(given, Tensor) or not isinstance(given, Mapping | tuple | list):
        return trial, ""
    entries = dict(given) if isinstance(given, Mapping) else dict(enumerate(given))
    fitting = [key for key, value in entries.items() if isinstance(value, Tensor) and _scores(value, images)]
    usual = [key for key in USUAL if key in fitting]
    key = next(iter([*usual, *fitting]), None)
    if key is None:
        return trial, ""
    # A hook and not a module around the network, so that its layers keep their names.
    net.register_forward_hook(partial(_entry, key))
    word = "dictionary" if isinstance(given, Mapping) else "tuple"
    place = f"'{key}'" if isinstance(key, str) else f"number {key + 1}"
    others = f" of {len(entries)}" if len(entries) > 1 else ""
    note = f"The network gives a {word}, of which entry {place}{others} was taken."
    return replace(trial, outputs=entries[key]), note


def _candidates(own: Preprocess, options: ModelOptions) -> Iterator[Channels]:
    """The channels to try, the likeliest first."""
    if options.channels != "auto":
        yield options.channels
        return
    likely: tuple[Channels, ...] = ("rgb", "grey", "alpha")
    yield from dict.fromkeys((own.channels, *likely))


@torch.no_grad()
def _run(net: nn.Module, images: Tensor) -> tuple[torch.memory_format, object]:
    """The memory format in which the network takes images, and its outputs. Raises what the network raises."""
    if images.device.type == "cpu":
        try:
            return torch.channels_last, net(images.contiguous(memory_format=torch.channels_last))
        except Exception:  # noqa: BLE001 - it may rely on the memory order, as `view` does
            pass
    return torch.contiguous_format, net(images)


def _assumed(own: Preprocess, preprocess: Preprocess, options: ModelOptions) -> str:
    """What was assumed about the channels, as a sentence."""
    channels = preprocess.channels
    averaged = len({*own.mean, *own.std}) > 2 and not (options.mean and options.std)
    if channels == "grey" and averaged:
        mean, std = (f"{values[0]:.4g}" for values in (preprocess.mean, preprocess.std))
        return f"{_TAKES[channels]}, with mean {mean} and std {std}, the averages over the colours (assumed)."
    return _TAKES[channels] + (" (assumed)." if channels == "alpha" else ".")


def _hint(net: nn.Module, options: ModelOptions) -> str:
    """What to do with a network that takes no image that was tried."""
    first = next((one for one in net.modules() if isinstance(one, nn.Conv2d)), None)
    taken = first.in_channels if first else 0
    if options.channels == "auto" and taken not in {0, *COUNTS.values()}:
        return f"It takes {taken} channels; images have one, three or four."
    if taken and options.channels != "auto" and taken != COUNTS[options.channels]:
        return f"It takes {taken} channel{'s' * (taken > 1)}: leave the option channels at auto."
    return "Give the size of the images it was trained on."


def _noise(net: nn.Module, shape: tuple[int, int, int]) -> Tensor:
    """Two fixed images on the network's device."""
    device = next((p.device for p in net.parameters()), torch.device("cpu"))
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)).to(device)


def _entry(key: Any, _net: nn.Module, _images: object, given: Any) -> Any:
    return given[key]


def _scores(value: Tensor, images: int) -> bool:
    return value.dim() in (1, 2) and len(value) == images and value.is_floating_point()
