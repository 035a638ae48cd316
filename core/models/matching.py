"""The assignment of the tensors in a weights file to the parameters of a network.

Names in a file have prefixes (of parallel training, of the attribute that held the network, of the dictionary around
the state dict) and wrappers in the middle. Both are found by aligning the network's modules with the names in the file,
not by a list of prefixes: what fits the network best is taken.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

from torch import nn

from core.errors import BadModel
from core.models.checkpoint import Checkpoint
from core.models.weights_file import AS_WEIGHTS, Stored, short

Node = dict[str, Any]  # of names in a file: part → Node, or the full name of a tensor
Place = tuple[str, Node, bool]  # path, node, and whether the weights in it are an average

TOP = "."  # the name of a set of weights below no name
COUNTER = "num_batches_tracked"  # older files lack these counters, and eval mode does not read them

_AVERAGED = re.compile(r"(?:^|_)(?:ema|swa|avg|averaged?|shadow)(?:_|$)", re.IGNORECASE)
_MOST_TENSORS = 30_000
_MOST_PARTS = 24  # of a name
_MOST_PLACES = 100  # where a network is looked for
_WRAPPERS = 4  # one inside the other
_BESIDE = 8  # wrappers beside each other


@dataclass
class Match:
    """Tensors of a file for the parameters and buffers of a network."""

    checkpoint: Checkpoint
    names: Node  # all of the file
    root: str = ""  # the names in the file have this before those of the network
    node: Node = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)  # name in the network → name in the file
    nodes: dict[str, Node] = field(default_factory=dict)  # the same for modules
    fitting: int = 0  # tensors of the same shape
    averaged: bool = False
    others: list[str] = field(default_factory=list)  # roots that fit as well

    @property
    def weight_sets(self) -> tuple[str, ...]:
        """The names of the sets of weights in the file that fit the network, as `opened` takes them."""
        return tuple(root or TOP for root in (self.root, *self.others))

    def stored(self, key: str) -> Stored | None:
        """The tensor for a parameter; None if there is none."""
        return self.checkpoint.tensors[self.keys[key]] if key in self.keys else None

    def direct(self) -> int:
        """The number of names that are those of the network but for the root."""
        before = f"{self.root}." if self.root else ""
        return sum(name == f"{before}{key}" for key, name in self.keys.items())

    def below(self, node: Node) -> list[str]:
        """The tensors below a node that belong to no parameter, single numbers and counters excepted."""
        used = set(self.keys.values())
        return [name for name in leaves(node) if name not in used and prod(self.checkpoint.tensors[name].shape) > 1]


def same(name: str) -> str:
    """The name itself: no parameter has an older name."""
    return name


def tree(checkpoint: Checkpoint, renamed: Callable[[str], str] = same) -> Node:
    """The names of all tensors, split at their dots; `renamed` gives the present name for an older one."""
    if len(checkpoint.tensors) > _MOST_TENSORS:
        raise BadModel(f"{checkpoint.file} holds more than {_MOST_TENSORS:,} tensors.", AS_WEIGHTS)
    root: Node = {}
    for name in checkpoint.tensors:
        *parents, last = renamed(name).split(".")
        node: Any = root
        for part in parents if len(parents) < _MOST_PARTS else ():
            node = node.setdefault(part, {}) if isinstance(node, dict) else node
        if isinstance(node, dict) and len(parents) < _MOST_PARTS:
            node.setdefault(last, name)
    return root


def matched(net: nn.Module, checkpoint: Checkpoint, names: Node) -> Match:
    """The tensors that fit the network best. Averaged weights come before those they are an average of, as in timm.

    Raises BadModel if the file has no such set of weights as the checkpoint names.
    """
    shapes = {key: tuple(value.shape) for key, value in net.state_dict().items() if not key.endswith(COUNTER)}
    found = []
    for path, node, averaged in _chosen(_places(names, {name for name, _ in net.named_children()}), checkpoint):
        match = Match(checkpoint, names, path, node, averaged=averaged)
        _align(net, node, "", match)
        stored = {key: match.stored(key) for key in shapes}
        match.fitting = sum(one is not None and one.shape == shapes[key] for key, one in stored.items())
        found.append(match)
    best = max(found, key=lambda match: (match.fitting, match.averaged, match.direct()))
    taken = set(best.keys.values())
    alike = [match for match in found if match.fitting == best.fitting and taken.isdisjoint(match.keys.values())]
    best.others = [match.root for match in alike]
    return best


def leaves(node: Node) -> Iterator[str]:
    """The full names of all tensors below a node."""
    for value in node.values():
        if isinstance(value, dict):
            yield from leaves(value)
        else:
            yield value


def node_at(root: Node, path: str) -> Node:
    """The node at a path; empty if there is none."""
    node: Any = root
    for part in path.split(".") if path else ():
        node = node.get(part) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else {}


def _places(root: Node, children: set[str]) -> list[Place]:
    """Nodes that may be the network, at most some of the largest.

    They hold one of its children by name, or by number, as a Sequential made of its children does.
    """
    places = []
    waiting: list[Place] = [("", root, False)]
    while waiting:
        path, node, averaged = waiting.pop()
        averaged |= isinstance(node.get("n_averaged"), str)
        if not children.isdisjoint(node) or sum(key.isdigit() for key in node) > 1:
            places.append((path, node, averaged))
        inside = [(key, value) for key, value in node.items() if isinstance(value, dict)]
        waiting += [
            (f"{path}.{key}" if path else key, value, averaged or bool(_AVERAGED.search(key)))
            for key, value in reversed(inside)
        ]
    if len(places) > _MOST_PLACES:
        places = sorted(places, key=lambda place: -sum(1 for _ in leaves(place[1])))[:_MOST_PLACES]
    return places or [("", root, False)]


def _chosen(places: list[Place], checkpoint: Checkpoint) -> list[Place]:
    """The places of the set of weights that a checkpoint names; all if it names none."""
    wanted = checkpoint.weight_set
    if not wanted:
        return places
    found = [one for one in places if (one[0] or TOP) == wanted or one[0].startswith(f"{wanted}.")]
    if not found:
        paths = [path for path, _, _ in places]
        outer = [path for path in paths if not any(other and path.startswith(f"{other}.") for other in paths)]
        sets = " or ".join(f"'{short(path or TOP, 60)}'" for path in outer[:3])
        raise BadModel(f"{checkpoint.file} has no weights under {short(wanted, 60)!r}.", f"It has some under {sets}.")
    return found


def _align(module: nn.Module, node: Node, path: str, match: Match) -> None:
    """Find the module's tensors and those of its children in a node; `path` ends in a dot, or is empty."""
    match.nodes[path.removesuffix(".")] = node
    children = dict(module.named_children())
    temporary = module._non_persistent_buffers_set  # not in state dicts; has no public name
    own = [
        name
        for name, value in (*module._parameters.items(), *module._buffers.items())
        if value is not None and name not in temporary
    ]
    known = {*children, *own}
    for name in own:
        if isinstance(leaf := _inside(node, name, known), str):
            match.keys[f"{path}{name}"] = leaf
    numbered = known.isdisjoint(node) and bool(node) and all(key.isdigit() for key in node)
    for number, (name, child) in enumerate(children.items()):
        part = node.get(str(number)) if numbered else _inside(node, name, known)
        if isinstance(part, dict):
            _align(child, part, f"{path}{name}.", match)


def _inside(node: Node, name: str, known: set[str]) -> Node | str | None:
    """What a node holds by this name, itself or inside of wrappers: parts that the network does not know."""
    level = [node]
    for _ in range(_WRAPPERS):
        found: list[Node | str] = [one[name] for one in level if name in one]
        if found:
            return found[0] if len(found) == 1 else None
        level = [part for one in level for key, part in one.items() if key not in known and isinstance(part, dict)]
        if len(level) > _BESIDE:
            return None
    return None
