"""Weights from files: fitted to a network, with everything said that was assumed or left out."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from core.errors import MOST, BadModel
from core.models.adaptation import Adaptation, head, stem, top_of
from core.models.checkpoint import Checkpoint
from core.models.matching import COUNTER, Match, matched, node_at, same, tree
from core.models.weights_file import AS_WEIGHTS, short


class WrongArchitecture(BadModel):
    """A weights file whose tensors are not those of the architecture."""


def fit(
    net: nn.Module,
    checkpoint: Checkpoint,
    owner: str,
    renamed: Callable[[str], str] = same,
    resized: Callable[[Match], nn.Module | None] = lambda _: None,
) -> tuple[nn.Module, Adaptation]:
    """The network with the weights of a file, in its own precision, and what was changed, assumed or left out.

    The network may be built without values; every parameter gets one of the file. `renamed` gives the present name for
    an older one, `resized` another network if the tensors ask for one, and `owner` is the network's name in messages.
    Raises WrongArchitecture if a parameter has no tensor that fits, or a tensor inside of the network no parameter, and
    BadModel for other tensors that cannot be used.
    """
    net, match, adaptation = assigned(net, checkpoint, owner, renamed, resized)
    state = net.state_dict()
    for key, own in state.items():
        state[key] = _value(checkpoint, match.keys.get(key), own)
    net.load_state_dict(state, assign=True)
    return net, adaptation


def assigned(
    net: nn.Module,
    checkpoint: Checkpoint,
    owner: str,
    renamed: Callable[[str], str] = same,
    resized: Callable[[Match], nn.Module | None] = lambda _: None,
) -> tuple[nn.Module, Match, Adaptation]:
    """The network changed for the tensors of a file, which of them it takes, and what `fit` gives; reads no values.

    Raises what `fit` raises about names and shapes.
    """
    match = matched(net, checkpoint, tree(checkpoint, renamed))
    if (other := resized(match)) is not None:
        net, match = other, matched(other, checkpoint, match.names)
    _refuse_flaws(net, match)
    adaptation = stem(net, match)
    _refuse_misfits(net, match, owner, but=f"{top_of(net)}.")
    renamings = _renamings(match)  # a changed classifier has names of its own
    head(net, match, adaptation, owner)
    match.keys = {key: match.keys[key] for key in net.state_dict() if key in match.keys}
    _refuse_misfits(net, match, owner)
    _refuse_layers_behind(net, match, owner)
    adaptation.notes[:0] = _notes(match, renamings)
    return net, match, adaptation


def classes(net: nn.Module) -> int:
    """The number of classes of a network: the outputs of its last layer with weights."""
    return [one for one in net.modules() if isinstance(one, nn.Linear | nn.Conv2d)][-1].weight.shape[0]


def _value(checkpoint: Checkpoint, name: str | None, own: Tensor) -> Tensor:
    """The value of a parameter or buffer, of a tensor in the file, and of the type of `own`."""
    if not own.is_floating_point():
        return _index(checkpoint, name, own)
    stored = checkpoint.tensors[name or ""]
    value = stored.read().to(own.dtype).contiguous()
    negative = (name or "").endswith("running_var") and bool((value < 0).any())
    if negative or not bool(torch.isfinite(value).all()):
        problem = "holds negative variances" if negative else "holds values that are not finite numbers"
        called = f"'{short(name or '', 80)}' in {checkpoint.file}"
        raise BadModel(f"{called} {problem}.", "Use another checkpoint.")
    return value


def _index(checkpoint: Checkpoint, name: str | None, own: Tensor) -> Tensor:
    """A buffer of whole numbers, which follow from the architecture: the file must agree, counters excepted."""
    own = torch.zeros_like(own, device="cpu") if own.is_meta else own
    stored = checkpoint.tensors[name] if name is not None else None
    if stored is None or stored.flaw:
        return own
    value = stored.read().double()
    if not own.dim():  # eval mode does not read a counter, but it is part of the content of the weights
        return value.reshape(()).to(own.dtype) if value.numel() == 1 and bool(value.isfinite().all()) else own
    if stored.shape != tuple(own.shape) or not torch.equal(value, own.double()):
        called = f"'{short(name or '', 80)}' in {checkpoint.file}"
        raise BadModel(f"{called} is not that of the architecture.", "Check the architecture.")
    return own


def _refuse_flaws(net: nn.Module, match: Match) -> None:
    """Raise BadModel for tensors of the network that cannot be read, or hold no floating-point numbers."""
    for key, own in net.state_dict().items():
        stored = match.stored(key)
        if stored is None or not own.is_floating_point():
            continue
        called = f"'{short(match.keys[key], 80)}' in {match.checkpoint.file}"
        if stored.flaw:
            raise BadModel(f"{called} {stored.flaw}.", AS_WEIGHTS)
        if not stored.dtype.is_floating_point:
            raise BadModel(f"{called} holds whole numbers: these weights are quantised.", "Use weights of float32.")


def _refuse_misfits(net: nn.Module, match: Match, owner: str, but: str = " ") -> None:
    """Raise WrongArchitecture if tensors are missing, of another shape or unknown, with the first two of each.

    Unknown ones count inside of the network's modules: it computed with them. Parameters whose names begin with `but`
    are left for later.
    """
    missing, other = [], []
    for key, value in net.state_dict().items():
        if key.startswith(but) or not value.is_floating_point():
            continue
        stored = match.stored(key)
        if stored is None:
            missing.append(f"'{key}'")
        elif stored.shape != tuple(value.shape):
            other.append(f"'{key}' is {_shape(stored.shape)} where {owner} has {_shape(value.shape)}")
    children = [path for path in match.nodes if path and "." not in path and f"{path}." != but]
    unknown = [name for path in children for name in match.below(match.nodes[path])]
    if not (missing or other or unknown):
        return
    names = [f"'{short(name, 60)}'" for name in unknown or match.below(match.node)]
    file, hint = match.checkpoint.file, f"Give weights of {owner}, or the architecture that these belong to."
    problems = [[_first(other, most) if other else "", f"it lacks {_first(missing, most)}" if missing else "",
                 f"{owner} has no {_first(names, most)}" if names else ""] for most in (2, 1)]  # fmt: skip
    told = [[one for one in some if one] for some in problems]
    for some in (*told, told[-1][:1]):
        message = f"{file} does not fit {owner}: {'; '.join(some)}."
        if len(f"{message} {hint}") <= MOST:
            break
    raise WrongArchitecture(message, hint)


def _refuse_layers_behind(net: nn.Module, match: Match, owner: str) -> None:
    """Raise BadModel if a linear layer beside the network takes as many values as the network has classes."""
    count, file, used = classes(net), match.checkpoint.file, set(match.keys.values())
    for path in {match.root, match.root.rpartition(".")[0]}:
        parts = [part for part in node_at(match.names, path).values() if isinstance(part, dict)]
        parts += [inner for part in parts for inner in part.values() if isinstance(inner, dict)]
        for name in (part.get("weight") for part in parts):
            if isinstance(name, str) and name not in used and match.checkpoint.tensors[name].shape[1:] == (count,):
                message = f"{file} goes on behind the classifier of {owner}: '{short(name, 80)}'."
                raise BadModel(message, "Use weights of the network itself.")


def _renamings(match: Match) -> list[str]:
    """The names that differ by more than the root, as a sentence; none if there is no such name."""
    before = f"{match.root}." if match.root else ""
    changed = [(key, name) for key, name in match.keys.items() if name != f"{before}{key}"]
    if not changed:
        return []
    key, name = changed[0]
    count = f"{len(changed)} names were" if len(changed) > 1 else "1 name was"
    return [f"{count} matched, such as '{short(name, 60)}' as '{key}'"]


def _notes(match: Match, renamings: list[str]) -> list[str]:
    """What was taken, from where, and what was left out, as sentences without a full stop."""
    notes, checkpoint = [], match.checkpoint
    if checkpoint.whole:
        notes.append("Taken from a pickled network, whose own code was not used")
    if match.root or match.averaged:
        kind = " (averaged weights)" if match.averaged else ""
        others = f"; {_quoted(match.others)} would fit as well" if match.others else ""
        notes.append(f"Tensors under '{short(match.root, 60)}'{kind} were taken{others}")
    notes += renamings
    used, fitting = {*match.keys.values()}, tuple(f"{one}." for one in match.others if one)
    strays = [name for name in checkpoint.tensors if name not in used and not name.endswith((COUNTER, "n_averaged"))]
    strays = [name for name in strays if not name.startswith(fitting)]
    if strays:
        groups = dict.fromkeys(_beside(name, match.root) for name in strays)
        notes.append(f"Left out: {len(strays)} tensor{'s' * (len(strays) > 1)} of {_quoted([*groups])}")
    return notes


def _beside(name: str, root: str) -> str:
    """The beginning of a name up to the first part that is not in the root."""
    parts, ours = name.split("."), root.split(".")
    same = next((k for k, part in enumerate(parts) if ours[k : k + 1] != [part]), 0)
    return ".".join(parts[: same + 1])


def _quoted(names: Sequence[str]) -> str:
    return _first([f"'{short(name, 60)}'" for name in names], 3)


def _first(items: Sequence[str], count: int = 2) -> str:
    rest = len(items) - count
    return ", ".join(items[:count]) + (f" and {rest} more" if rest > 0 else "")


def _shape(shape: Iterable[int]) -> str:
    return " × ".join(str(side) for side in shape) or "a single number"
