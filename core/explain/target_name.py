"""Names of targets: classes added up and subtracted, or a unit, as texts, titles and tensors."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Literal
from urllib.parse import quote

import torch

from core.data.labels import class_note, class_text, folded
from core.data.model_options import Output
from core.errors import BadParameter, UnknownName
from core.explain.targets import Classes, Difference, Groups, Target, Units
from core.models.model import Model
from core.params import whole

Quantity = Literal["probability", "value", "log-odds", "log-ratio", "expected labels", "activation"]

_SIGNS = re.compile("[+−-]")
_TITLED = 5  # classes that a title names in full, of a group in a difference as of one alone
_LONGEST = 60  # characters of the name of a file


@dataclass(frozen=True)
class TargetName:
    """What is explained of a picture: a class, a sum or difference of classes, or a unit of a layer.

    As text it is in numbers, `207`, `207+208`, `207-281` or `layer4:17`: in links, results and names of arrays.
    """

    added: tuple[int, ...]  # classes; of a layer its unit
    subtracted: tuple[int, ...] = ()
    layer: str = ""

    def __str__(self) -> str:
        return f"{self.layer}:{self.added[0]}" if self.layer else self._joined([str(i) for i in self.classes])

    @property
    def classes(self) -> tuple[int, ...]:
        """The classes that it is made of, none for a unit."""
        return () if self.layer else self.added + self.subtracted

    @property
    def index(self) -> int | None:
        """The class, if it is one class alone."""
        return self.classes[0] if len(self.classes) == 1 else None

    @property
    def kind(self) -> Literal["class", "classes", "unit"]:
        """The word for what its text names."""
        return "unit" if self.layer else "class" if len(self.classes) == 1 else "classes"

    @property
    def file(self) -> str:
        """Its text as part of the name of a file."""
        text = f"{quote(self.layer, safe='')}.{self.added[0]}" if self.layer else str(self)
        return text if len(text) <= _LONGEST else f"{text[:40]}~{sha256(text.encode()).hexdigest()[:12]}"

    def title(self, labels: Sequence[str]) -> str:
        """What people read: "golden retriever − tabby", "layer4 · F17", of a large group the number and a label."""
        if self.layer:
            return f"{self.layer} · F{self.added[0]}"

        def named(classes: tuple[int, ...], sign: str) -> str:
            if len(classes) <= _TITLED:
                return sign.join(labels[index] for index in classes)
            return f"{len(classes)} classes ({labels[classes[0]]}, …)"

        added, subtracted = named(self.added, " + "), named(self.subtracted, " − ")
        return f"{added} − {subtracted}" if subtracted else added

    def text(self, labels: Sequence[str]) -> str:
        """A text that `target_name` reads as this target."""
        return str(self) if self.layer else self._joined([class_text(index, labels) for index in self.classes])

    def quantity(self, output: Output) -> Quantity:
        """The word for its score "prob" from outputs of this meaning."""
        if self.layer:
            return "activation"
        if output == "regression":
            return "value"
        if self.subtracted:
            return "log-ratio" if output == "multilabel" else "log-odds"
        return "expected labels" if output == "multilabel" and len(self.added) > 1 else "probability"

    def known(self, model: Model) -> bool:
        """Whether the model has its classes, or its unit."""
        layer = model.survey.layer(self.layer) if self.layer else None
        count = layer.units if layer else 0 if self.layer else len(model.labels)
        return all(index < count for index in self.added + self.subtracted)

    def targets(self, device: torch.device | str = "cpu") -> Target:
        """The target of one image."""

        def sum_of(classes: tuple[int, ...]) -> Target:
            indices = torch.tensor([classes], device=device)
            return Classes(indices[:, 0]) if len(classes) == 1 else Groups(indices)

        if self.layer:
            return Units(torch.tensor(self.added, device=device), self.layer)
        added = sum_of(self.added)
        return Difference(added, sum_of(self.subtracted)) if self.subtracted else added

    def _joined(self, names: Sequence[str]) -> str:
        signs = ["", *["+"] * (len(self.added) - 1), *["-"] * len(self.subtracted)]
        return "".join(sign + name for sign, name in zip(signs, names, strict=True))


def target_name(wanted: str | int, model: Model) -> TargetName:
    """The target that a text means for a model; an int is a class.

    In this order: a class as `core.data.labels.class_index` reads it, classes joined by "+" and "-", a unit
    LAYER:NUMBER. Raises UnknownName or BadParameter for any other text, one with two meanings, or a class named twice.
    """
    try:
        return TargetName((model.target(wanted),))
    except UnknownName as error:
        problem = error
    text = str(wanted)
    readings = _readings(text, model.labels)
    if len(readings) > 1:
        first, second = (_titled(reading) for reading in readings)
        raise BadParameter(f"{text!r} may be {first} or {second}.", "Name the classes by numbers, such as 3-5.")
    if readings:
        return _target(readings[0], model)
    layer, _, number = text.rpartition(":")
    if layer and whole(number) is not None:
        layer, unit = model.resolve_unit(text)
        return TargetName((unit,), layer=layer)
    pieces = [piece for part in _SIGNS.split(text) if (piece := part.strip())]
    unknown = [piece for piece in pieces if not _is_class(piece, model.labels)]
    if 0 < len(unknown) < len(pieces):
        model.target(unknown[0])
    raise problem


def linked_target(text: str, model: Model) -> TargetName:
    """The target of a text in which numbers are classes whatever the labels, as `str` writes it; else `target_name`."""
    terms = re.findall(r"([+-]|^)(\d{1,9})(?=[+-]|$)", text)
    if terms and not terms[0][0] and "".join(sign + number for sign, number in terms) == text:
        reading = [(sign, int(number)) for sign, number in terms]
        if all(index < len(model.labels) for _, index in reading):
            return _made(reading, model.labels)
    return target_name(text, model)


def target_note(text: str, model: Model) -> str:
    """A sentence for a text that is the label of a class and could mean another class or several; else ""."""
    if note := class_note(text, model.labels):
        return note
    readings = _readings(text, model.labels)
    if text in model.labels and readings:
        taken = model.labels.index(text)
        return f"'{text}' is the label of class {taken}, and could mean {_titled(readings[0])}; the label was taken."
    pieces = [piece for _, piece in readings[0]] if len(readings) == 1 else []
    return " ".join(filter(None, (class_note(piece, model.labels) for piece in pieces)))


Reading = list[tuple[str, str]]  # the sign before each class, and the text that names it


def _readings(text: str, labels: tuple[str, ...]) -> list[Reading]:
    """The ways, at most two, to read a text as classes with "+" and "-" between them, which labels have, too."""
    longest = max(map(len, labels)) + 8  # signs may be repeated, and have spaces around
    starts = [0, *(match.end() for match in _SIGNS.finditer(text)), len(text) + 1]
    ways: dict[int, list[Reading]] = {starts[-1]: [[]]}  # of the text from each start on
    for number in reversed(range(len(starts) - 1)):
        start = starts[number]
        sign = "" if start == 0 else "+" if text[start - 1] == "+" else "-"
        ways[start] = []
        for following in range(number + 1, len(starts)):
            piece = text[start : starts[following] - 1].strip()
            if following > number + 1 and len(piece) > longest:
                break
            if ways[starts[following]] and _is_class(piece, labels):
                ways[start] += [[(sign, piece), *rest] for rest in ways[starts[following]]]
        del ways[start][2:]
    return [reading for reading in ways[0] if len(reading) > 1]


def _is_class(piece: str, labels: tuple[str, ...]) -> bool:
    """Whether a text names a class: by its number, its label, or as ImageNet's by its WordNet id."""
    number = whole(piece)
    if number is not None and number < len(labels):
        return True
    return folded(piece) in _spellings(labels) or re.fullmatch(r"n\d{8}", piece) is not None


@lru_cache(maxsize=8)
def _spellings(labels: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(folded, labels))


def _target(reading: Reading, model: Model) -> TargetName:
    return _made([(sign, model.target(piece)) for sign, piece in reading], model.labels)


def _made(terms: Sequence[tuple[str, int]], labels: Sequence[str]) -> TargetName:
    """The target of classes with their signs. Raises BadParameter for a class that occurs twice."""
    classes = [index for _, index in terms]
    twice = [index for index, count in Counter(classes).items() if count > 1]
    if twice:
        raise BadParameter(f"{labels[twice[0]]} is named twice in one target.", "Name each class once.")
    subtracted = tuple(index for sign, index in terms if sign == "-")
    return TargetName(tuple(index for sign, index in terms if sign != "-"), subtracted)


def _titled(reading: Reading) -> str:
    return "".join(f" {sign} {piece}" if sign else piece for sign, piece in reading).replace(" - ", " − ")
