"""Weights from files: read without running code in them, and checked against the architecture."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import BadModel

State = dict[str, Tensor]

SUFFIXES = (".safetensors", ".pth", ".pt")

_NESTED = ("state_dict", "model_state_dict", "model")  # keys under which checkpoints store the weights
_AS_WEIGHTS = "Save `net.state_dict()` as .safetensors, or as .pth with torch.save."
_OTHER_FILE = "Check that the download or copy is complete."


def read(path: Path) -> State:
    """The tensors of a `.safetensors` file, or of a state dict in a `.pth` or `.pt` file, on the CPU.

    No code in the file is run. A state dict may be part of a checkpoint, or have the "module." prefix of parallel
    training. Raises BadModel with the reason if there is no state dict.
    """
    try:
        size = path.stat().st_size
        kind = "folder" if path.is_dir() else "file" if path.is_file() else "device"
    except (OSError, ValueError) as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else "cannot be opened"
        raise BadModel(f"The weights file {str(path)[:200]!r} {reason}.", "Check its path.") from None
    if kind != "file":
        raise BadModel(f"{path} is a {kind}, not a weights file.", "Name the .safetensors or .pth file itself.")
    if not size:
        raise BadModel(f"{path.name} is empty.", _OTHER_FILE)
    if path.suffix not in SUFFIXES:
        raise BadModel(f"{path.name} is neither a .safetensors nor a .pth file.", _AS_WEIGHTS)
    return _plain(_safetensors(path) if path.suffix == ".safetensors" else _pickled(path), path.name)


def fit(net: nn.Module, state: State, owner: str, file: str) -> nn.Module:
    """Load these weights into the network in its own precision; BadModel if they do not fit or are not finite.

    The network takes over the tensors without a copy; `owner` and `file` are the names used in messages.
    """
    expected = net.state_dict()
    counters = {key: value for key, value in expected.items() if key.endswith("num_batches_tracked")}
    state = {**counters, **state}  # older files lack these counters, and eval mode does not read them
    if problems := _misfits(expected, state, owner):
        raise BadModel(
            f"{file} does not fit {owner}: {'; '.join(problems)}.", "Name the architecture it was saved from."
        )
    ready = {key: value.to(expected[key].dtype) for key, value in state.items()}
    for key, value in ready.items():
        if not bool(torch.isfinite(value).all()):
            raise BadModel(f"'{key}' in {file} holds values that are not finite numbers.", "Use another checkpoint.")
    net.load_state_dict(ready, assign=True)
    return net


def classes(state: State, weight: str) -> int:
    """The number of rows of the head's weight in a state dict; 0 if it is missing."""
    return int(state[weight].shape[0]) if weight in state and state[weight].dim() else 0


def _safetensors(path: Path) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(path.read_bytes())  # memory-mapped, the network would change when the file is written to
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise BadModel(f"{path.name} is not a complete safetensors file ({error}).", _OTHER_FILE) from None


def _pickled(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - on malformed bytes the reader raises errors of any kind
        text = str(error)
        if code := re.search(r"(?:GLOBAL|class) (\S+) (?:was not an allowed|whose module \S+ is blocked)", text):
            problem = f"holds code or objects ({code[1][:80]}), not only weights; nothing in it was run"
            raise BadModel(f"{path.name} {problem}.", _AS_WEIGHTS) from None
        if "TorchScript" in text:
            raise BadModel(f"{path.name} is a TorchScript program; nothing in it was run.", _AS_WEIGHTS) from None
        problem = "cannot be read as weights: it is damaged or holds something else; nothing in it was run"
        raise BadModel(f"{path.name} {problem}.", _AS_WEIGHTS) from None


def _plain(loaded: object, file: str) -> State:
    """The state dict in the content of a file: unwrapped, without prefix, plain tensors only."""
    if isinstance(loaded, Mapping):
        loaded = next((loaded[key] for key in _NESTED if isinstance(loaded.get(key), Mapping)), loaded)
    if not isinstance(loaded, Mapping) or not loaded:
        raise BadModel(f"{file} holds no weights.", _AS_WEIGHTS)
    state: State = {}
    for key, value in loaded.items():
        if not isinstance(key, str) or not _is_plain(value):
            raise BadModel(f"{str(key)[:80]!r} in {file} is not a plain tensor.", _AS_WEIGHTS)
        state[key] = value.detach()
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def _is_plain(value: Any) -> bool:
    """Whether this is a dense tensor on the CPU, backed by as many bytes as its shape claims."""
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.device.type != "cpu":
        return False
    if value.is_quantized or value.is_complex():
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def _misfits(expected: Mapping[str, Tensor], state: State, owner: str) -> list[str]:
    """Reasons why a state dict does not fit: tensors missing, of another shape, or unknown; the first two of each."""
    missing = [f"'{key}'" for key in expected if key not in state]
    other = [
        f"'{key}' is {_shape(state[key])} where {owner} has {_shape(expected[key])}"
        for key in expected
        if key in state and state[key].shape != expected[key].shape
    ]
    unexpected = [f"'{key[:80]}'" for key in state if key not in expected]
    problems = []
    if other:
        problems.append(_first(other))
    if missing:
        problems.append(f"it lacks {_first(missing)}")
    if unexpected:
        problems.append(f"{owner} has no {_first(unexpected)}")
    return problems


def _first(items: Sequence[str], count: int = 2) -> str:
    rest = len(items) - count
    return ", ".join(items[:count]) + (f" and {rest} more" if rest > 0 else "")


def _shape(value: Tensor) -> str:
    return " × ".join(str(side) for side in value.shape) or "a single number"
