"""Architectures that the tensors of a weights file fit, for messages about a file with a wrong name of one, or none.

Shapes alone are compared: no value is read. An architecture is built only if it has about as many weights as the file,
or a part of it.
"""

import math
from collections.abc import Mapping
from pathlib import Path

from core.errors import BadModel, VitrineError
from core.models.checkpoint import Checkpoint, opened
from core.models.matching import Node, leaves, tree
from core.params import expanded

_NEAREST = 6  # architectures tried for each number of weights
_COPY = 0.15  # of a file's values: what holds less is no copy of the network
_WRAPPER = 0.9  # of a node's values: a part that holds more may be the network without its classifier
_LARGE_CLASSIFIERS = ("alexnet", "vgg")  # most of their weights are in a classifier, which the file may have replaced
_TOLD = 3


def suggested(error: VitrineError, file: str | Path) -> VitrineError:
    """The error with a hint at the architectures that the tensors of a file fit; unchanged if there are none."""
    try:
        with opened(expanded(file)) as checkpoint:
            names = fitting(checkpoint)
    except VitrineError:
        return error
    if not names:
        return error
    some = ", ".join(names[:_TOLD]) + (f" and {len(names) - _TOLD} more" if len(names) > _TOLD else "")
    return type(error)(error.message, f"Its tensors fit {some}: write {names[0]}@{file}.")


def fitting(checkpoint: Checkpoint) -> list[str]:
    """The architectures that all tensors fit, the one with the most similar number of weights first."""
    from core.models.sources import torchvision

    counts = {name: card.parameters for name, card in torchvision.cards().items()}
    try:
        names = _near(counts, tree(checkpoint), checkpoint)
    except BadModel:
        return []
    return [name for name in names if torchvision.fits(name, checkpoint)]


def _near(counts: Mapping[str, int], names: Node, checkpoint: Checkpoint) -> list[str]:
    """The architectures with about as many weights as the network in a file may have."""
    found: dict[str, float] = {}
    for size in _sizes(names, checkpoint):
        distances = {name: abs(math.log(size / count)) for name, count in counts.items()}
        for name in sorted(distances, key=lambda one: distances[one])[:_NEAREST]:
            found[name] = min(distances[name], found.get(name, math.inf))
    large = [name for name in counts if name.startswith(_LARGE_CLASSIFIERS) and name not in found]
    return [*sorted(found, key=lambda one: found[one]), *large]


def _sizes(names: Node, checkpoint: Checkpoint) -> set[int]:
    """The numbers of values that may be those of one network: of the whole file, or of a part if it holds several."""

    def size(node: Node) -> int:
        return sum(math.prod(checkpoint.tensors[name].shape) for name in leaves(node))

    whole = size(names)
    networks, node = [names], names
    while parts := [part for part in node.values() if isinstance(part, dict)]:
        networks += [part for part in parts if size(part) > _COPY * whole]
        largest = max(parts, key=size)
        if size(largest) <= _WRAPPER * size(node):
            break
        node = largest
    sizes = {size(network) for network in networks}
    return {one for one in sizes | {size(one) + _more_classes(one, checkpoint) for one in networks} if one > 0}


def _more_classes(network: Node, checkpoint: Checkpoint) -> int:
    """The weights that a network's last layer would have more if it had the thousand classes of published networks."""
    shapes = [checkpoint.tensors[name].shape for name in leaves(network)]
    last = next((shape for shape in reversed(shapes) if len(shape) == 2), (0, 0))
    return (1000 - last[0]) * last[1]
