"""Networks changed for their weights: another classifier, other channels, the first layer for tiny images.

Shapes say what a changed layer is; activations have no weights, so what stands between layers is assumed and said.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isqrt, prod

import torch
from torch import nn

from core.errors import BadModel
from core.models.matching import COUNTER, Match, Node, leaves, node_at
from core.models.weights_file import Stored, short

SMALL = 32  # pixels: the images that networks with a small first layer are trained on
_WEIGHTED = {"linear", "conv"}
_MOST_VALUES = 250_000_000  # of a new classifier
_MOST_CLASSES = 100_000


@dataclass
class Adaptation:
    """What was changed."""

    notes: list[str] = field(default_factory=list)
    small: bool = False  # the network is for tiny images


@dataclass
class _Part:
    """A layer with weights in the classifier of a file."""

    path: str  # "3", or "" if the classifier is this layer
    kind: str
    names: dict[str, str]  # "weight" → name in the file
    before: int
    after: int


def top_of(net: nn.Module) -> str:
    """The child of a network in which its classifier is: "fc", or "classifier" for the layer "classifier.6"."""
    return _last(net)[0].partition(".")[0]


def stem(net: nn.Module, match: Match) -> Adaptation:
    """Change the first layer to what the file holds: one or four channels, or a window of 3 × 3 for tiny images.

    Raises BadModel for a number of channels but 1, 3 and 4.
    """
    adaptation = Adaptation()
    path, conv = next(((name, one) for name, one in net.named_modules() if isinstance(one, nn.Conv2d)), ("", None))
    key = f"{path}.weight"
    stored = match.stored(key)
    if conv is None or stored is None or len(stored.shape) != 4:
        return adaptation
    shape, expected = stored.shape, tuple(conv.weight.shape)
    if (
        shape[:1] + shape[2:] == expected[:1] + expected[2:]
        and shape[1] not in {1, 3, 4, expected[1]}
        and match.fitting > 1
    ):
        message = f"{match.checkpoint.file} takes images of {shape[1]} channels; only one, three and four can be fed."
        raise BadModel(message, "Use weights trained on photos.")
    other = expected[1] == 3 and shape[1] in {1, 4}
    if other and hasattr(net, "transform_input"):
        net.transform_input = False  # type: ignore[assignment]  # a plain flag: it would mix three channels
    pooling = next((name for name in ("maxpool", "features.pool0") if _has(net, name)), "")
    small = shape[2:] == (3, 3) and expected[2:] == (7, 7) and bool(pooling)
    if small:
        conv.kernel_size, conv.stride, conv.padding = (3, 3), (1, 1), (1, 1)
        _replace(net, pooling, nn.Identity())
        adaptation.small = True
        adaptation.notes.append(
            f"First layer of 3 × 3: stride 1, no max pooling and images of {SMALL} × {SMALL} pixels were assumed"
        )
    if small or other:
        conv.in_channels = shape[1]
        conv.weight = nn.Parameter(torch.empty(expected[0], *shape[1:2], *conv.kernel_size, device="meta"))
    return adaptation


def head(net: nn.Module, match: Match, adaptation: Adaptation, owner: str) -> None:
    """Change the classifier to what the file holds, and match its tensors.

    Raises BadModel for a classifier that is missing or no chain of linear layers and normalisations.
    """
    path, last = _last(net)
    top = path.partition(".")[0]
    node, file, tensors = match.nodes.get(top), match.checkpoint.file, match.checkpoint.tensors
    expected = {key: value for key, value in net.state_dict().items() if key.startswith(f"{top}.")}
    wrong = {
        key
        for key, value in expected.items()
        if not key.endswith(COUNTER) and ((stored := match.stored(key)) is None or stored.shape != tuple(value.shape))
    }
    unused, own = match.below(node or {}), {f"{path}.weight", f"{path}.bias"}
    if not wrong and not unused:
        return
    stored = match.stored(f"{path}.weight")
    if not unused and wrong <= own & match.keys.keys() and stored and stored.shape[1:] == tuple(last.weight.shape[1:]):
        _replace(net, path, _resized(last, _count(stored.shape[0], file)))
        return
    taken, place, width = "", top, _width(net, top)
    if node is None:
        taken, node = _elsewhere(match, width, owner)
    inner = match.nodes.get(path)
    if path != top and inner and wrong <= own and set(unused) <= {*leaves(inner)}:
        place, width, node = path, last.weight.shape[1], inner
    parts = _parts(node, tensors)
    if not parts:
        names = ", ".join(f"'{short(name, 40)}'" for name in [*leaves(node)][:3])
        message = f"The classifier in {file} ({names} …) is not a chain of linear layers and normalisations."
        raise BadModel(message, f"Use weights whose {top} is a Linear, or a Sequential of Linear layers.")
    width = _pooled(net, width, parts, adaptation)
    if problem := _chain(parts, width):
        message = f"The classifier in {file} does not fit {owner}: {problem}."
        raise BadModel(message, f"Check that the weights are of {owner}.")
    _count(parts[-1].after, file)
    if sum(prod(tensors[name].shape) for part in parts for name in part.names.values()) > _MOST_VALUES:
        raise BadModel(f"The classifier in {file} has more than {_MOST_VALUES:,} weights.", "Use a smaller one.")
    assumed = _build(net, place, parts, match)
    chain = ", ".join(f"{part.before} → {part.after}" for part in parts if part.kind in _WEIGHTED)
    between = f", {' and '.join(sorted(assumed))} between its layers (assumed: activations are not in the file)"
    name = f"'{short(taken, 60)}' taken as the classifier '{place}'" if taken else f"Classifier '{place}'"
    adaptation.notes.append(f"{name}: linear {chain}{between if assumed else ''}")


def _build(net: nn.Module, place: str, parts: list[_Part], match: Match) -> set[str]:
    """Replace the module at `place` by these layers, with activations where there is room for one; returns those."""
    old, modules, assumed, tensors = net.get_submodule(place), nn.Sequential(), set(), match.checkpoint.tensors
    known = dict(old.named_children()) if isinstance(old, nn.Sequential) else {}
    for key in [key for key in match.keys if key.startswith(f"{place}.")]:
        del match.keys[key]
    for number, part in enumerate(parts):
        kept = known.get(part.path)
        shapes = {name: tuple(value.shape) for name, value in kept.state_dict().items()} if kept is not None else {}
        keep = bool(shapes) and all(
            shapes.get(name) == tensors[leaf].shape for name, leaf in part.names.items() if name != COUNTER
        )
        keep = keep and {name for name in shapes if name != COUNTER} <= part.names.keys()
        if part.kind == "linear":
            if isinstance(old, nn.Conv2d) or any(isinstance(one, nn.Conv2d) for one in old.modules()):
                modules.append(nn.AdaptiveAvgPool2d(1))
            modules.append(nn.Flatten(1))
        for name, file_name in part.names.items():
            match.keys[f"{place}.{len(modules)}.{name}"] = file_name
        modules.append(kept if keep and kept is not None else _layer(part))
        following = parts[number + 1] if number + 1 < len(parts) else None
        if following and _room(part, following, parts[number + 1 :], parts[: number + 1]):
            theirs = known.get(str(int(part.path) + 1)) if keep and part.path.isdigit() else None
            if theirs is None or isinstance(theirs, nn.Dropout) or [*theirs.parameters()]:
                theirs = nn.ReLU()
            assumed.add(type(theirs).__name__)
            modules.append(theirs)
    _replace(net, place, modules)
    return assumed


def _room(part: _Part, following: _Part, rest: list[_Part], done: list[_Part]) -> bool:
    """Whether an activation is assumed between two layers: one between each two linear ones, where numbers leave room.

    A normalisation directly behind a linear layer comes before its activation.
    """
    numbers = [int(one.path) if one.path.isdigit() else None for one in (part, following)]
    if numbers[0] is not None and numbers[1] is not None:
        gap = numbers[1] - numbers[0] > 1
    else:
        gap = following.kind == "linear"
    since = next((k for k, one in enumerate(reversed(done)) if one.kind in _WEIGHTED), None)
    if not gap or since is None or not any(one.kind in _WEIGHTED for one in rest):
        return False
    between = done[len(done) - since :] if since else []
    return not any(one.kind == "prelu" for one in (*between, following))


def _elsewhere(match: Match, width: int, owner: str) -> tuple[str, Node]:
    """The one classifier that lies beside the network under another name: its path and node."""
    file, tensors = match.checkpoint.file, match.checkpoint.tensors
    used = set(match.keys.values())
    found: dict[str, Node] = {}
    parents = [match.root.rsplit(".", up)[0] if match.root.count(".") >= up else "" for up in range(3)]
    for parent in dict.fromkeys(parents):
        for key, node in node_at(match.names, parent).items():
            path = f"{parent}.{key}" if parent else key
            if not isinstance(node, dict) or not used.isdisjoint(leaves(node)):
                continue
            parts = _parts(node, tensors)
            if parts and not _chain(parts, width):
                found[path] = node
        if found:
            break
    if len(found) == 1:
        return next(iter(found.items()))
    if found:
        names = " and ".join(f"'{short(path, 40)}'" for path in [*found][:3])
        raise BadModel(
            f"{file} holds several layers that could be the classifier of {owner}: {names}.", "Keep one of them."
        )
    message = f"{file} holds no classifier: what it has fits {owner} up to its last layer."
    raise BadModel(message, "Save the network together with the layer that gives the classes.")


def _parts(node: Node, tensors: Mapping[str, Stored], path: str = "") -> list[_Part] | None:
    """The layers below a node in their order; None if one is of another kind."""
    own = {name: leaf for name, leaf in node.items() if isinstance(leaf, str)}
    names = [name for name, inner in node.items() if isinstance(inner, dict)]
    if all(name.isdigit() for name in names):
        names.sort(key=int)  # safetensors are ordered by name
    parts: list[_Part] = []
    if set(own) - {COUNTER}:
        part = _part(path, own, {name: tensors[leaf].shape for name, leaf in own.items()})
        if part is None or names:
            return None
        parts.append(part)
    for name in names:
        inner = _parts(node[name], tensors, f"{path}.{name}" if path else name)
        if inner is None:
            return None
        parts += inner
    return parts


def _part(path: str, names: dict[str, str], shapes: dict[str, tuple[int, ...]]) -> _Part | None:
    """The layer that tensors of these names and shapes belong to."""
    shape, rest = shapes.get("weight", ()), {name for name in shapes if name not in {"weight", COUNTER}}
    if any(shapes[name] != shape[:1] for name in rest) or 0 in shape:
        return None
    if len(shape) in {2, 4} and rest <= {"bias"} and shape[2:] in {(), (1, 1)}:
        return _Part(path, "conv" if len(shape) == 4 else "linear", names, shape[1], shape[0])
    if len(shape) == 1 and rest in ({"running_mean", "running_var", "bias"}, {"bias"}, set()):
        kind = {3: "batch norm", 1: "layer norm", 0: "prelu"}[len(rest)]
        return _Part(path, kind, names, shape[0], shape[0])
    return None


def _layer(part: _Part) -> nn.Module:
    bias = "bias" in part.names
    if part.kind == "linear":
        return nn.Linear(part.before, part.after, bias=bias, device="meta")
    if part.kind == "conv":
        return nn.Conv2d(part.before, part.after, 1, bias=bias, device="meta")
    if part.kind == "batch norm":
        return nn.BatchNorm1d(part.after, device="meta")
    return nn.LayerNorm(part.after, device="meta") if part.kind == "layer norm" else nn.PReLU(part.after, device="meta")


def _chain(parts: list[_Part], width: int) -> str:
    """Why layers cannot follow each other, from this number of inputs; "" if they can."""
    for part in parts:
        if part.before != width and not (part.kind == "prelu" and part.before == 1):
            return f"a layer takes {part.before} values where {width} arrive"
        width = part.after if part.kind in _WEIGHTED else width
    return "" if parts[-1].kind in _WEIGHTED else "it does not end in a linear layer"


def _pooled(net: nn.Module, width: int, parts: list[_Part], adaptation: Adaptation) -> int:
    """The inputs of the classifier; a pooling before it is set to the size at which its first layer fits."""
    pooling, arriving = getattr(net, "avgpool", None), parts[0].before
    side = pooling.output_size if isinstance(pooling, nn.AdaptiveAvgPool2d) else 1
    side = side[0] if isinstance(side, tuple) else side
    if arriving == width or side is None or side < 2:
        return width
    channels = width // side**2
    smaller = isqrt(arriving // channels)
    if not 0 < smaller < side or channels * smaller**2 != arriving:
        return width
    net.avgpool = nn.AdaptiveAvgPool2d(smaller)
    adaptation.notes.append(f"Average pooling to {smaller} × {smaller} before the classifier was assumed")
    return arriving


def _last(net: nn.Module) -> tuple[str, nn.Linear | nn.Conv2d]:
    """The last layer with weights, and its path."""
    return [(name, one) for name, one in net.named_modules() if isinstance(one, nn.Linear | nn.Conv2d)][-1]


def _width(net: nn.Module, top: str) -> int:
    """The number of values that the classifier takes."""
    first = next(one for one in net.get_submodule(top).modules() if isinstance(one, nn.Linear | nn.Conv2d))
    return first.weight.shape[1]


def _count(classes: int, file: str) -> int:
    if not 0 < classes <= _MOST_CLASSES:
        raise BadModel(f"{file} has {classes:,} classes; 1 to {_MOST_CLASSES:,} can be shown.", "Check its last layer.")
    return classes


def _resized(layer: nn.Linear | nn.Conv2d, rows: int) -> nn.Module:
    bias = layer.bias is not None
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, rows, bias=bias, device="meta")
    return nn.Conv2d(layer.in_channels, rows, layer.kernel_size, bias=bias, device="meta")  # type: ignore[arg-type]


def _has(net: nn.Module, path: str) -> bool:
    return any(name == path and isinstance(module, nn.MaxPool2d) for name, module in net.named_modules())


def _replace(net: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(net.get_submodule(parent), name, module)
