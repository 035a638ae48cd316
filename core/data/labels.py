"""The lookup of classes: by label, WordNet id or index."""

import re
from collections.abc import Sequence

from core.errors import BadParameter, UnknownName
from core.params import whole
from core.registry import unknown
from core.resources import ASSETS

WORDNET_IDS = ASSETS / "imagenet_wordnet_ids.txt"


def class_index(wanted: str | int, labels: Sequence[str], owner: str) -> int:
    """The index of the class given by `wanted`; `owner` names the holder of the labels in messages.

    In this order: a label in its exact spelling, an index, a label whatever its case, spaces, "-" and "_", the WordNet
    id of an ImageNet class. An int is always an index. Raises BadParameter, naming the indices, for a label
    that several classes have, UnknownName with the nearest labels for anything else.
    """
    text = str(wanted)
    exact = [] if isinstance(wanted, int) else [i for i, label in enumerate(labels) if label == text]
    if exact:
        return _only(exact, text)
    index = whole(text)
    if index is not None and index < len(labels):
        return index
    if index is not None or isinstance(wanted, int):
        raise UnknownName(f"There is no class {text}.", f"{owner} has classes 0 to {len(labels) - 1}.")
    if alike := [i for i, label in enumerate(labels) if _folded(label) == _folded(text)]:
        return _only(alike, text)
    if re.fullmatch(r"n\d{8}", text):
        ids = WORDNET_IDS.read_text("ascii").split()  # in the order of the classes
        if len(ids) == len(labels) and text in ids:
            return ids.index(text)
    raise unknown("class", text, labels)


def _only(indices: Sequence[int], text: str) -> int:
    if len(indices) > 1:
        message = f"The label {text!r} is shared by the classes {' and '.join(map(str, indices[:4]))}."
        raise BadParameter(message, "Give the number of the one you mean.")
    return indices[0]


def _folded(label: str) -> str:
    return re.sub(r"[\s_-]+", " ", label).strip().casefold()
