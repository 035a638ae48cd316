"""Names of layers from those that exporters give to nodes: readable, stable, and those of the original network."""

import ast
import keyword
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import nn

_SCOPES = "pkg.torch.onnx.name_scopes"  # the modules around a node, as torch writes them with dynamo=True
_DEEPEST, _LONGEST = 12, 60  # parts of a name, and letters of a part
_TAKEN = frozenset(dir(nn.Module())) | frozenset(keyword.kwlist)


def layer_names(nodes: Sequence[Any]) -> tuple[str, ...]:
    """One name per node of a graph: that of the module it came from, followed by its operator where several did.

    A module that is called several times, or an operator that a module uses several times, is numbered.
    """
    scopes = [_scope(node) for node in nodes]
    inside = {".".join(parts[:depth]) for parts in scopes for depth in range(1, len(parts))}
    kinds: dict[str, set[str]] = {}
    for node, parts in zip(nodes, scopes, strict=True):
        kinds.setdefault(".".join(parts), set()).add(node.op_type)
    names = []
    for node, parts in zip(nodes, scopes, strict=True):
        scope = ".".join(parts)
        alone = scope and scope not in inside and len(kinds[scope]) == 1
        names.append(scope if alone else ".".join([*parts, _part(node.op_type.lower())]))
    return _numbered(names)


def _numbered(names: Sequence[str]) -> tuple[str, ...]:
    """The names, each once and none that of a module around another: repeated ones end in a number."""
    taken = {name[: dot.start()] for name in names for dot in re.finditer(r"\.", name)}
    unique = []
    for name in names:
        number, free = 0, name
        while free in taken:
            number, free = number + 1, f"{name}_{number + 1}"
        taken.add(free)
        unique.append(free)
    return tuple(unique)


def _scope(node: Any) -> list[str]:
    """The parts of the name of the module that a node came from; none for the whole network."""
    scopes = next((one.value for one in node.metadata_props if one.key == _SCOPES), "")
    try:
        paths = [str(path) for path in ast.literal_eval(scopes)] if len(scopes) < 10_000 else []
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        paths = []
    if len(paths) > 1:
        return _parts(paths[-2].split("."))
    pieces = [piece for piece in node.name[:2000].split("/") if piece]
    if len(pieces) < 2 and not node.name.startswith("/"):  # a name that other exporters made up, or none
        return _parts(pieces)
    # torch repeats the name of a sequence in those of its modules: /layer1/layer1.0/conv1/Conv
    around = pieces[:-1]
    shortened = [piece.removeprefix(f"{before}.") for before, piece in pairwise(["", *around])]
    return _parts([part for piece in shortened for part in piece.split(".")])


def _parts(texts: Sequence[str]) -> list[str]:
    return [_part(text) for text in texts if text][:_DEEPEST]


def _part(text: str) -> str:
    """A text as one part of the name of a module of torch."""
    part = re.sub(r"\W", "_", text, flags=re.ASCII)[:_LONGEST]
    return f"{part}_" if part in _TAKEN else part
