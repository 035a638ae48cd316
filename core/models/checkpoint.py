"""Weights files, told apart by content: the names, shapes and types of their tensors, and the values when asked for.

Read are torch's format (a zip archive), its older one (pickles, then the values), and safetensors. Nothing in a file is
run (`unpickler`), and nothing is read that the file only claims to hold: every tensor is checked against its size.
"""

import json
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from io import SEEK_END, BytesIO
from math import prod
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from core.environment import limit
from core.errors import BadModel, printable
from core.files import regular_file
from core.models.unpickler import Code, Malformed, Pairs, StandIn, unpickled

AS_WEIGHTS = "Save `net.state_dict()` as .safetensors, or as .pth with torch.save."
OTHER_FILE = "Check that the download or copy is complete."

_MAGIC = 0x1950A86A20F9469CFC6C  # torch.serialization.MAGIC_NUMBER
_PICKLE_BYTES = 1 << 28
_ZIP_BYTES = 1 << 23  # of a zip's directory: a hundred times that of a large network
_HEADER_BYTES = 1 << 24  # of safetensors
_KEY_LENGTH = 500
_DEPTH = 32
_RANK = 8
_REPEATED = 1 << 16  # values of a tensor that repeats fewer stored ones
_TIMES = 10  # bytes read or unpacked of a file, in all, per byte of its size

_TYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int64": torch.int64,
    "int32": torch.int32,
    "int16": torch.int16,
    "int8": torch.int8,
    "uint8": torch.uint8,
    "bool": torch.bool,
}
_STORAGES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Untyped": "uint8",
    "Bool": "bool",
}
_SAFETENSORS = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
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


@dataclass(frozen=True, eq=False)
class Stored:
    """A tensor in a weights file, not read yet. One with a `flaw` cannot be read."""

    shape: tuple[int, ...] = ()
    dtype: torch.dtype = torch.float32
    stride: tuple[int, ...] = ()
    start: int = 0  # its first value in its storage
    storage: str = ""
    file: "_File | None" = None
    flaw: str = ""  # "is sparse"

    def read(self) -> Tensor:
        """The values, on the CPU. Raises BadModel if the file ends early, or would be read many times."""
        if self.flaw or self.file is None:
            raise ValueError(f"a tensor that {self.flaw}")
        if not prod(self.shape):
            return torch.empty(self.shape, dtype=self.dtype)
        size = self.dtype.itemsize
        content = self.file.read(self.storage, self.start * size, (self.start + _reach(self.shape, self.stride)) * size)
        if self.file.order != sys.byteorder:
            content = bytearray(torch.frombuffer(content, dtype=torch.uint8).view(-1, size).flip(1).numpy().tobytes())
        return torch.frombuffer(content, dtype=self.dtype).as_strided(self.shape, self.stride)


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a weights file by their names; those inside of dictionaries have the keys before them."""

    file: str  # its name in messages
    tensors: Mapping[str, Stored]
    whole: bool = False  # a whole network was pickled, not its state dict


@contextmanager
def opened(path: Path) -> Iterator[Checkpoint]:
    """The tensors of a weights file, whose values can be read until the block ends.

    Raises BadModel if the file cannot be read, or holds no tensor.
    """
    shown, called = short(str(path)), short(path.name, 60)
    with ExitStack() as stack:
        try:
            file = stack.enter_context(regular_file(path, limit("weights")))
            checkpoint = _checkpoint(_File(file, called), called, path.suffix.lower() == ".safetensors")
        except FileNotFoundError:
            raise BadModel(f"The weights file {shown!r} does not exist.", "Check its path.") from None
        except IsADirectoryError:
            hint = "Name the .safetensors or .pth file itself."
            raise BadModel(f"{shown} is a folder, not a weights file.", hint) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "this is no path"
            raise BadModel(f"The weights file {shown!r} cannot be opened: {reason}.", "Check its path.") from None
        yield checkpoint


def short(text: str, most: int = 120) -> str:
    """A text for a message: printable, and its middle left out if it is long."""
    text = printable(text)
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most // 2) :]}"


@dataclass(frozen=True)
class _Region:
    """Where the values of a storage lie in a file."""

    offset: int
    size: int
    packed: int | None = None  # bytes in the file, if they are compressed


class _File:
    """A file, its storages by name, and how much of it may still be read."""

    def __init__(self, file: IO[bytes], called: str) -> None:
        self.file = file
        self.called = called
        self.size = file.seek(0, SEEK_END)
        self.left = _TIMES * self.size
        self.order = "little"
        self.regions: dict[str, _Region] = {}

    def add(self, name: str, region: _Region) -> None:
        if region.offset < 0 or region.offset + (region.size if region.packed is None else region.packed) > self.size:
            raise Malformed("it ends early")
        self.regions[name] = region

    def read(self, name: str, start: int, stop: int) -> bytearray:
        """The bytes of a storage from `start` to `stop`, writable."""
        region = self.regions[name]
        self.left -= (stop - start) if region.packed is None else stop
        if self.left < 0:
            message = f"{self.called} unpacks to more than {_TIMES} times its size, or holds tensors that overlap."
            raise BadModel(message, AS_WEIGHTS)
        if region.packed is None:
            self.file.seek(region.offset + start)
            content = bytearray(stop - start)
            complete = self.file.readinto(content) == len(content)  # type: ignore[attr-defined]  # a buffered reader
        else:
            self.file.seek(region.offset)
            unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
            content = bytearray()
            with suppress(zlib.error):
                content += unpacker.decompress(self.file.read(region.packed), stop)
            content = content[start:]
            complete = len(content) == stop - start
        if not complete:
            raise BadModel(f"{self.called} is damaged: it ends early.", OTHER_FILE)
        return content


class _Window:
    """A file of which at most so many bytes are read at a time, whatever its content asks for."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self.file, self.most = file, most
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, count: int = -1) -> bytes:
        return self.file.read(min(count, self.most) if count >= 0 else self.most)

    def readline(self) -> bytes:
        return self.file.readline(_KEY_LENGTH)


def _checkpoint(file: _File, called: str, safe: bool) -> Checkpoint:
    """The tensors of an open file; `safe` says that its name ends as that of a safetensors file."""
    file.file.seek(0)
    start = file.file.read(512)
    if not start:
        raise BadModel(f"{called} is empty.", OTHER_FILE)
    reading = _zip if start.startswith(b"PK") else _safetensors if safe or start[8:9] == b"{" else _pickles
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
        if safe and reading is _safetensors:
            raise BadModel(f"{called} is not a complete safetensors file ({error}).", OTHER_FILE) from None
        problem = "cannot be read as weights: it is damaged or holds something else; nothing in it was run"
        raise BadModel(f"{called} {problem}.", AS_WEIGHTS) from None
    tensors, whole = _tensors(content, file)
    if not tensors:
        raise BadModel(f"{called} holds no weights.", AS_WEIGHTS)
    return Checkpoint(called, tensors, whole)


# Formats


def _zip(file: _File) -> Any:
    """The pickle of a zip archive of torch; its storages are added to the file."""
    try:
        with zipfile.ZipFile(_Window(file.file, _ZIP_BYTES)) as archive:
            records = {record.filename: record for record in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error, OverflowError) as error:
        raise Malformed(str(error)) from None
    names = [name for name in records if name == "data.pkl" or name.endswith("/data.pkl")]
    if not names:
        message = f"{file.called} is a zip archive without a checkpoint of torch."
        raise BadModel(message, "Unpack it, and name the weights file itself.")
    folder = min(names, key=len).removesuffix("data.pkl")
    if f"{folder}constants.pkl" in records:
        raise BadModel(f"{file.called} is a TorchScript program; nothing in it was run.", AS_WEIGHTS)
    for name, record in records.items():
        kept = name in {f"{folder}data.pkl", f"{folder}byteorder"} or name.startswith(f"{folder}data/")
        if kept and not record.is_dir():
            file.add(name.removeprefix(folder), _region(file, record))
    if "byteorder" in file.regions:
        file.order = file.read("byteorder", 0, min(6, file.regions["byteorder"].size)).decode("ascii", "replace")
    if file.order not in {"little", "big"}:
        raise Malformed("its order of bytes is unknown")
    size = file.regions["data.pkl"].size
    if size > _PICKLE_BYTES:
        raise Malformed("it holds too many objects")
    return unpickled(BytesIO(file.read("data.pkl", 0, size)), partial(_storage, file, "data/"))


def _region(file: _File, record: zipfile.ZipInfo) -> _Region:
    """Where the content of a record begins: after a header that repeats its name."""
    file.file.seek(max(0, record.header_offset))
    header = file.file.read(30)
    if len(header) < 30 or header[:4] != b"PK\3\4" or record.flag_bits & 1:
        raise Malformed("a record is damaged or encrypted")
    offset = record.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))
    if record.compress_type == zipfile.ZIP_STORED:
        return _Region(offset, record.file_size)
    if record.compress_type != zipfile.ZIP_DEFLATED:
        raise Malformed("a record is compressed in another way")
    return _Region(offset, record.file_size, record.compress_size)


def _pickles(file: _File) -> Any:
    """The object of a file in torch's older format, or of a plain pickle; its storages are added to the file."""
    file.file.seek(0)
    source = _Window(file.file, _PICKLE_BYTES)
    claimed: dict[str, int] = {}
    storage = partial(_storage, file, "", claimed=claimed)
    content = unpickled(source, storage)
    if content != _MAGIC:
        return content
    unpickled(source, storage)  # the version of the format
    system = unpickled(source, storage)
    if isinstance(system, Pairs) and any(key == "little_endian" and value is False for key, value in system):
        file.order = "big"
    content, keys = unpickled(source, storage), unpickled(source, storage)
    if not isinstance(keys, list):
        raise Malformed("the list of storages is missing")
    for key in keys:
        name, head = str(key)[:_KEY_LENGTH], source.read(8)
        if name not in claimed or len(head) < 8:
            raise Malformed("it ends early")
        file.add(name, _Region(source.tell(), claimed[name]))
        source.seek(file.regions[name].offset + claimed[name])
    return content


def _safetensors(file: _File) -> Any:
    """The tensors of a safetensors file, as Pairs."""
    file.file.seek(0)
    (size,) = struct.unpack("<Q", file.file.read(8).ljust(8, b"\0"))
    if size > min(_HEADER_BYTES, file.size - 8):
        raise Malformed("its header is too large")
    try:
        entries = json.loads(file.file.read(size), object_pairs_hook=list)
    except (ValueError, RecursionError):
        raise Malformed("its header is no JSON") from None
    file.add("", _Region(8 + size, file.size - 8 - size))
    tensors, claimed = Pairs(), 0
    for name, entry in (entry for entry in _pairs(entries) if entry[0] != "__metadata__"):
        facts = dict(_pairs(entry))
        shape, offsets = _whole(facts.get("shape")), _whole(facts.get("data_offsets"))
        dtype = _TYPES.get(_SAFETENSORS.get(str(facts.get("dtype")), ""))
        if shape is None or offsets is None or len(offsets) != 2:
            raise Malformed(f"the entry of {short(name, 40)!r} is damaged")
        start, stop = offsets
        claimed += stop - start
        if stop < start or stop > file.regions[""].size or claimed > file.regions[""].size:
            raise Malformed(f"{short(name, 40)!r} lies outside of the file")
        if dtype is None:
            tensors.append((name, Stored(shape, flaw=f"is of type {short(str(facts.get('dtype')), 20)}")))
        elif prod(shape) * dtype.itemsize != stop - start or start % dtype.itemsize:
            raise Malformed(f"the shape of {short(name, 40)!r} does not fit its bytes")
        else:
            tensors.append((name, Stored(shape, dtype, _strides(shape), start // dtype.itemsize, "", file)))
    if len({name for name, _ in tensors}) < len(tensors):
        raise Malformed("a name occurs twice")
    return tensors


def _pairs(entries: Any) -> list[tuple[str, Any]]:
    """The entries of an object of JSON that was read as a list of pairs."""
    if not isinstance(entries, list) or not all(isinstance(entry, tuple) for entry in entries):
        raise Malformed("its header is damaged")
    return entries


# Tensors


@dataclass(frozen=True)
class _Storage:
    """What a pickle says of a storage: its values follow elsewhere in the file."""

    name: str
    dtype: torch.dtype | None
    count: int  # of values
    start: int = 0  # its first value, if it is part of another


def _storage(file: _File, folder: str, identity: Any, claimed: dict[str, int] | None = None) -> Any:
    """The storage that a persistent id of torch names; anything else is passed on."""
    if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != "storage":
        return identity[1] if isinstance(identity, tuple) and len(identity) > 1 else None
    _, kind, key, _, count, *view = identity
    if not (isinstance(kind, StandIn) and isinstance(count, int) and 0 <= count <= file.size * _TIMES):
        raise Malformed("a storage is damaged")
    name = f"{folder}{str(key)[:_KEY_LENGTH]}" if isinstance(key, str | int) else ""
    dtype = _TYPES.get(_STORAGES.get(kind.name.rpartition(".")[2].removesuffix("Storage"), ""))
    if claimed is not None and dtype is not None:
        claimed[name] = max(claimed.get(name, 0), count * dtype.itemsize)
    if view and view[0] is not None:
        _, start, count = whole if (whole := _view(view[0])) else (0, 0, 0)
        return _Storage(name, dtype, count, start)
    return _Storage(name, dtype, count)


def _view(metadata: Any) -> tuple[Any, int, int] | None:
    """The key, start and count of a storage that is part of another one."""
    if isinstance(metadata, tuple) and len(metadata) == 3 and _whole(metadata[1:]):
        return metadata
    return None


def _tensors(content: Any, file: _File) -> tuple[dict[str, Stored], bool]:
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
            waiting += reversed([one for one in inside if len(one[0]) <= _KEY_LENGTH])
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


def _tensor(value: Any, file: _File) -> Stored | None:
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


def _rebuilt(args: tuple[Any, ...], file: _File, function: str) -> Stored:
    """A tensor from the arguments of torch's function, with a flaw if its storage does not hold it."""
    storage, start, *sides = args[:4] if len(args) >= 4 else (None, None, None, None)
    shape, stride = (_whole(_plain(side)) for side in sides)
    if isinstance(storage, StandIn) and storage.name == "torch.storage._load_from_bytes":
        storage, file = _nested(storage, file)
    if shape is None or stride is None or len(shape) != len(stride) or not isinstance(storage, _Storage):
        return Stored(flaw="is no plain tensor")
    if not isinstance(start, int) or start < 0:
        return Stored(flaw="is no plain tensor")
    if function == "_rebuild_tensor_v3" and len(args) > 6:
        dtype = _TYPES.get(getattr(args[6], "name", "").removeprefix("torch."))
    else:
        dtype = storage.dtype
    if any(isinstance(one, Pairs) and any(value is True for _, value in one) for one in args[6:]):
        return Stored(shape, flaw="is a conjugated or negated view")
    if dtype is None:
        return Stored(shape, flaw="is of a type that cannot be read")
    region, size = file.regions.get(storage.name), dtype.itemsize
    count, reach = prod(shape), _reach(shape, stride)
    unit = storage.dtype.itemsize if storage.dtype else 1
    held = min(storage.count * unit, region.size - storage.start * unit) if region else 0
    if (start + reach) * size > held or count > max(held // size, _REPEATED):
        return Stored(shape, flaw="claims more values than the file holds")
    return Stored(shape, dtype, stride, start + storage.start * unit // size, storage.name, file)


def _nested(storage: StandIn, file: _File) -> tuple[Any, _File]:
    """The storage in bytes that torch wrote into a plain pickle, and these bytes as a file."""
    content = storage.args[0] if isinstance(storage.args, tuple) and storage.args else None
    if isinstance(content, StandIn) and content.name == "_codecs.encode" and isinstance(content.args, tuple):
        text = content.args[0] if content.args else None  # how bytes are pickled for Python 2
        content = text.encode("latin-1", "replace") if isinstance(text, str) else None
    if not isinstance(content, bytes):
        return None, file
    file = _File(BytesIO(content), file.called)
    try:
        return _pickles(file), file
    except (Malformed, Code):
        return None, file


def _plain(value: Any) -> Any:
    """The sequence in a torch.Size."""
    return value.args[0] if isinstance(value, StandIn) and value.name == "torch.Size" and value.args else value


def _whole(values: Any) -> tuple[int, ...] | None:
    """A short sequence of whole numbers from zero; None if it is none."""
    if not isinstance(values, list | tuple) or len(values) > _RANK:
        return None
    return (*values,) if all(type(value) is int and 0 <= value < 1 << 48 for value in values) else None


def _reach(shape: tuple[int, ...], stride: tuple[int, ...]) -> int:
    """The number of values from the first to the last of a tensor."""
    return 1 + sum((side - 1) * step for side, step in zip(shape, stride, strict=True)) if prod(shape) else 0


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[place + 1 :]) for place in range(len(shape)))
