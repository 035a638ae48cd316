"""Weights files, told apart by content: the names, shapes and types of their tensors, and the values when asked for.

Read are torch's format (a zip archive), its older one (pickles, then the values), and safetensors. Nothing in a file is
run (`unpickler`), and nothing is read that the file only claims to hold: every tensor is checked against its size.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any

from core.environment import limit
from core.errors import BadModel
from core.files import regular_file
from core.models.containers import Storage, pickled_content, safetensors_content, zip_content
from core.models.unpickler import Code, Malformed, Pairs, StandIn
from core.models.weights_file import (
    AS_WEIGHTS,
    KEY_LENGTH,
    OTHER_FILE,
    TYPES,
    Stored,
    WeightsFile,
    reach,
    short,
    whole_numbers,
)

_DEPTH = 32
_REPEATED = 1 << 16  # values of a tensor that repeats fewer stored ones

_REBUILT = {
    "_rebuild_qtensor": "is quantised",
    "_rebuild_sparse_tensor": "is sparse",
    "_rebuild_nested_tensor": "is a nested tensor",
    "_rebuild_meta_tensor_no_storage": "has no values",
    "_rebuild_wrapper_subclass": "is no plain tensor",
    "_rebuild_device_tensor_from_numpy": "is no plain tensor",
}
_INNER = {"_rebuild_parameter", "_rebuild_parameter_with_state", "Parameter", "_rebuild_device_tensor_from_cpu_tensor"}
_OTHERS = {  # the first bytes of files that are mistaken for weights
    b"version https://git-lfs": "only points to weights in Git LFS",
    b"<": "is a web page",
    b"{": "is a text in JSON",
    b"\x89HDF": "is an HDF5 file, as Keras writes",
    b"\x1f\x8b": "is packed with gzip",
    b"BZh": "is packed with bzip2",
    b"7z\xbc\xaf": "is packed with 7-Zip",
    b"GGUF": "is a GGUF file",
    b"\x93NUMPY": "is a NumPy array",
}


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a weights file by their names; those inside of dictionaries have the keys before them."""

    file: str  # its name in messages
    tensors: Mapping[str, Stored]
    whole: bool = False  # a whole network was pickled, not its state dict
    weight_set: str = ""  # take the tensors below this name, "." for those below none; "" for the best that fit


@contextmanager
def opened(path: Path, weight_set: str = "") -> Iterator[Checkpoint]:
    """The tensors of a weights file, whose values can be read until the block ends.

    Raises BadModel if the file cannot be read, or holds no tensor.
    """
    shown, called = short(str(path)), short(path.name, 60)
    with ExitStack() as stack:
        try:
            file = stack.enter_context(regular_file(path, limit("weights")))
            checkpoint = _checkpoint(WeightsFile(file, called), called, path.suffix.lower() == ".safetensors")
        except FileNotFoundError:
            raise BadModel(f"The weights file {shown!r} does not exist.", "Check its path.") from None
        except IsADirectoryError:
            hint = "Name the .safetensors or .pth file itself."
            raise BadModel(f"{shown} is a folder, not a weights file.", hint) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "this is no path"
            raise BadModel(f"The weights file {shown!r} cannot be opened: {reason}.", "Check its path.") from None
        yield replace(checkpoint, weight_set=weight_set)


def _checkpoint(file: WeightsFile, called: str, safe: bool) -> Checkpoint:
    """The tensors of an open file; `safe` says that its name ends as that of a safetensors file."""
    file.file.seek(0)
    start = file.file.read(512)
    if not start:
        raise BadModel(f"{called} is empty.", OTHER_FILE)
    is_safe = safe or start[8:9] == b"{"
    reading = zip_content if start.startswith(b"PK") else safetensors_content if is_safe else pickled_content
    other = next((text for first, text in _OTHERS.items() if start.startswith(first)), "")
    other = "is a tar archive" if start[257:262] == b"ustar" else other
    try:
        content = reading(file)
    except Code as error:
        problem = f"holds code ({short(str(error), 80)}), not only weights; nothing in it was run"
        raise BadModel(f"{called} {problem}.", AS_WEIGHTS) from None
    except Malformed as error:
        if other:
            raise BadModel(f"{called} {other}, not a weights file.", AS_WEIGHTS) from None
        if safe and reading is safetensors_content:
            raise BadModel(f"{called} is not a complete safetensors file ({error}).", OTHER_FILE) from None
        problem = "cannot be read as weights: it is damaged or holds something else; nothing in it was run"
        raise BadModel(f"{called} {problem}.", AS_WEIGHTS) from None
    tensors, whole = _tensors(content, file)
    if not tensors:
        raise BadModel(f"{called} holds no weights.", AS_WEIGHTS)
    return Checkpoint(called, tensors, whole)


def _tensors(content: Any, file: WeightsFile) -> tuple[dict[str, Stored], bool]:
    """All tensors in an object by their names, and whether it holds a pickled network.

    Every object is visited once, so that neither circles nor repetition matter.
    """
    tensors: dict[str, Stored] = {}
    whole, seen = False, set[int]()
    waiting: list[tuple[str, int, Any]] = [("", 0, content)]
    while waiting:
        name, depth, value = waiting.pop()
        tensor = _tensor(value, file)
        if tensor is not None:
            tensors[name] = tensor
        elif depth < _DEPTH and id(value) not in seen and isinstance(value, list | tuple | StandIn):
            seen.add(id(value))
            items = _items(value)
            whole |= isinstance(value, StandIn) and any(key == "" for key, _ in items)
            inside = [(f"{name}.{key}" if name and key else name or key, depth + 1, item) for key, item in items]
            waiting += reversed([one for one in inside if len(one[0]) <= KEY_LENGTH])
    return tensors, whole


def _items(value: Any) -> list[tuple[str, Any]]:
    """What an object holds, by name; what belongs to the object itself, as the parameters of a module, by ""."""
    if isinstance(value, StandIn):
        pairs: list[Any] = [*value.pairs, *(_state(value) if not value.pairs else [])]
        if isinstance(value.args, tuple) and len(value.args) == 1 and isinstance(value.args[0], list):
            pairs += value.args[0]  # an OrderedDict of Python 2
    else:
        pairs = [*value] if isinstance(value, Pairs) else [*enumerate(value)]
    items = [pair for pair in pairs if isinstance(pair, tuple | list) and len(pair) == 2]
    return [(str(key), item) for key, item in items if isinstance(key, str) or (type(key) is int and abs(key) < 10**9)]


def _state(value: StandIn) -> list[tuple[str, Any]]:
    """The attributes of an object; those of a network's own dictionaries count as its own."""
    state = value.state if isinstance(value.state, Pairs) else Pairs()
    own = ("_parameters", "_buffers", "_modules")
    return [("" if key in own else key, item) for key, item in state if isinstance(key, str)]


def _tensor(value: Any, file: WeightsFile) -> Stored | None:
    """The tensor that an object stands for; None if it is no tensor."""
    for _ in range(_DEPTH):
        if isinstance(value, Stored) or not isinstance(value, StandIn) or not isinstance(value.args, tuple):
            break
        module, _, function = value.name.rpartition(".")
        if function in {"_rebuild_from_type_v2", "_rebuild_from_type"} and len(value.args) >= 3:
            value = StandIn(getattr(value.args[0], "name", ""), value.args[2])
        elif function in _INNER and value.args:
            value = value.args[0]
        elif module == "torch._utils" and function in {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3"}:
            return _rebuilt(value.args, file, function)
        else:
            flaw = _REBUILT.get(function) if module == "torch._utils" else None
            return Stored(flaw=flaw) if flaw else None
    return value if isinstance(value, Stored) else None


def _rebuilt(args: tuple[Any, ...], file: WeightsFile, function: str) -> Stored:
    """A tensor from the arguments of torch's function, with a flaw if its storage does not hold it."""
    storage, start, *sides = args[:4] if len(args) >= 4 else (None, None, None, None)
    shape, stride = (whole_numbers(_plain(side)) for side in sides)
    if isinstance(storage, StandIn) and storage.name == "torch.storage._load_from_bytes":
        storage, file = _nested(storage, file)
    if shape is None or stride is None or len(shape) != len(stride) or not isinstance(storage, Storage):
        return Stored(flaw="is no plain tensor")
    if not isinstance(start, int) or start < 0:
        return Stored(flaw="is no plain tensor")
    if function == "_rebuild_tensor_v3" and len(args) > 6:
        dtype = TYPES.get(getattr(args[6], "name", "").removeprefix("torch."))
    else:
        dtype = storage.dtype
    if any(isinstance(one, Pairs) and any(value is True for _, value in one) for one in args[6:]):
        return Stored(shape, flaw="is a conjugated or negated view")
    if dtype is None:
        return Stored(shape, flaw="is of a type that cannot be read")
    region, size = file.regions.get(storage.name), dtype.itemsize
    count, extent = prod(shape), reach(shape, stride)
    unit = storage.dtype.itemsize if storage.dtype else 1
    held = min(storage.count * unit, region.size - storage.start * unit) if region else 0
    if (start + extent) * size > held or count > max(held // size, _REPEATED):
        return Stored(shape, flaw="claims more values than the file holds")
    return Stored(shape, dtype, stride, start + storage.start * unit // size, storage.name, file)


def _nested(storage: StandIn, file: WeightsFile) -> tuple[Any, WeightsFile]:
    """The storage in bytes that torch wrote into a plain pickle, and these bytes as a file."""
    content = storage.args[0] if isinstance(storage.args, tuple) and storage.args else None
    if isinstance(content, StandIn) and content.name == "_codecs.encode" and isinstance(content.args, tuple):
        text = content.args[0] if content.args else None  # how bytes are pickled for Python 2
        content = text.encode("latin-1", "replace") if isinstance(text, str) else None
    if not isinstance(content, bytes):
        return None, file
    file = WeightsFile(BytesIO(content), file.called)
    try:
        return pickled_content(file), file
    except (Malformed, Code):
        return None, file


def _plain(value: Any) -> Any:
    """The sequence in a torch.Size."""
    return value.args[0] if isinstance(value, StandIn) and value.name == "torch.Size" and value.args else value
