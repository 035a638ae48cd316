"""Architectures that the tensors of a weights file fit, for messages about a file with a wrong name of one, or none.

Shapes alone are compared: no value is read. An architecture is built only if it has about as many weights as the file,
or a part of it. timm is asked, if it is installed, where no architecture of torchvision fits, then transformers.
"""

import math
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

from core.errors import BadModel, Unavailable, VitrineError
from core.models.checkpoint import Checkpoint, opened
from core.models.matching import Node, leaves, tree
from core.params import expanded

_NEAREST = 6  # architectures tried for each number of weights
_NEAREST_OF_TIMM = 20  # many of them differ in the preparation of images alone
_COPY = 0.15  # of a file's values: what holds less is no copy of the network
_WRAPPER = 0.9  # of a node's values: a part that holds more may be the network without its classifier
_LARGE_CLASSIFIERS = ("alexnet", "vgg")  # most of their weights are in a classifier, which the file may have replaced
_ALIKE = 0.3  # likeness of a family of timm that is looked at
_LESS_ALIKE = 0.3  # than a family with an architecture that fits: the others are left out
_FAR = 3  # times as many weights: not looked at
_FEWEST_FORMS = 4  # of the names in a network of timm
_TOLD = 3


def suggested(error: VitrineError, file: str | Path) -> VitrineError:
    """The error with a hint at the architectures that the tensors of a file fit; unchanged if there are none.

    Networks of Hugging Face are told by the names of their tensors, as their sizes are in a file beside the weights.
    """
    from core.models.sources.huggingface import class_named

    try:
        with opened(expanded(file)) as checkpoint:
            names = fitting(checkpoint)
            of_transformers = "" if names else class_named(tree(checkpoint))
    except VitrineError:
        return error
    if of_transformers:
        hint = f"Its tensors are named as in {of_transformers} of Hugging Face: give the folder that `save_pretrained`"
        return type(error)(error.message, f"{hint} wrote, as hf:FOLDER.")
    if not names:
        return error
    some = ", ".join(names[:_TOLD]) + (f" and {len(names) - _TOLD} more" if len(names) > _TOLD else "")
    return type(error)(error.message, f"Its tensors fit {some}: write {names[0]}@{file}.")


def fitting(checkpoint: Checkpoint, *, timm: bool = True) -> list[str]:
    """The architectures that all tensors fit, the one with the most similar number of weights first."""
    from core.models.sources import torchvision

    counts = {name: card.parameters for name, card in torchvision.cards().items()}
    try:
        names = tree(checkpoint)
        near = _near(counts, names, checkpoint, _NEAREST)
    except BadModel:
        return []
    near += [name for name in counts if name.startswith(_LARGE_CLASSIFIERS) and name not in near]
    found = [name for name in near if torchvision.fits(name, checkpoint)]
    return found or (_of_timm(names, checkpoint) if timm else [])


def _of_timm(names: Node, checkpoint: Checkpoint) -> list[str]:
    """The architectures of timm that all tensors fit, as far as its time allows; none without timm."""
    from core.models.sources import timm, timm_shapes

    places = [forms for forms in _forms(names) if len(forms) >= _FEWEST_FORMS]
    least, found = _ALIKE, []
    with suppress(Unavailable), closing(timm_shapes.counts(places)) as families:
        for likeness, counts in families if places else ():
            if likeness < least:
                break
            near = _near(counts(), names, checkpoint, _NEAREST_OF_TIMM)
            if fitting := [f"timm:{name}" for name in near if timm.fits(name, checkpoint)]:
                least = max(least, likeness - _LESS_ALIKE)
                found += fitting
    return found


def _forms(node: Node) -> list[set[str]]:
    """The forms of the names below a node, without what precedes it, and those of all nodes in it."""
    from core.models.sources.timm_shapes import form

    own, inner = set(), []
    for key, part in node.items():
        if isinstance(part, dict):
            below = _forms(part)
            own |= {f"{form(key)}.{name}" for name in below[0]}
            inner += below
        else:
            own.add(form(key))
    return [own, *inner]


def _near(counts: Mapping[str, int], names: Node, checkpoint: Checkpoint, most: int) -> list[str]:
    """The architectures with about as many weights as the network in a file may have, `most` for each number."""
    found: dict[str, float] = {}
    for size in _sizes(names, checkpoint):
        distances = {name: abs(math.log(size / count)) for name, count in counts.items() if count}
        for name in sorted((one for one in distances if distances[one] < math.log(_FAR)), key=distances.__getitem__)[
            :most
        ]:
            found[name] = min(distances[name], found.get(name, math.inf))
    return sorted(found, key=lambda one: found[one])


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
