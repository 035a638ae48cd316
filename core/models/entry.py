"""The outputs of networks that return several things: the entry that holds a number for each class."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

_USUAL = ("logits", "output", "outputs", "out", "scores", "predictions")  # keys, in the order of their preference


def only_scores(net: nn.Module, given: object, images: int) -> str:
    """Let a network that gives a tuple or dictionary return one entry of it; the sentence that says which.

    `given` is what it returned for this many `images`. "" for a network that returns something else, or no entry of
    shape (images, C) or (images,).
    """
    if isinstance(given, Tensor) or not isinstance(given, Mapping | tuple | list):
        return ""
    entries = dict(given) if isinstance(given, Mapping) else dict(enumerate(given))
    fitting = [key for key, value in entries.items() if isinstance(value, Tensor) and _scores(value, images)]
    usual = [key for key in _USUAL if key in fitting]
    key = next(iter([*usual, *fitting]), None)
    if key is None:
        return ""
    # A hook and not a module around the network, so that its layers keep their names.
    net.register_forward_hook(partial(_entry, key))
    word = "dictionary" if isinstance(given, Mapping) else "tuple"
    place = f"'{key}'" if isinstance(key, str) else f"number {key + 1}"
    others = f" of {len(entries)}" if len(entries) > 1 else ""
    return f"The network gives a {word}, of which entry {place}{others} was taken."


def _entry(key: Any, _net: nn.Module, _images: object, given: Any) -> Any:
    return given[key]


def _scores(value: Tensor, images: int) -> bool:
    return value.dim() in (1, 2) and len(value) == images and value.is_floating_point()
