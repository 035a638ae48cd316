"""Formats of weights files: torch's zip archive, its older format and plain pickles, and safetensors."""

import json
import struct
import zipfile
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from math import prod
from typing import Any

import torch

from core.errors import BadModel
from core.models.unpickler import Malformed, Pairs, StandIn, unpickled
from core.models.weights_file import (
    AS_WEIGHTS,
    KEY_LENGTH,
    TIMES,
    TYPES,
    Limited,
    Region,
    Stored,
    WeightsFile,
    short,
    strides,
    whole_numbers,
)

_MAGIC = 0x1950A86A20F9469CFC6C  # torch.serialization.MAGIC_NUMBER
_PICKLE_BYTES = 1 << 28
_ZIP_BYTES = 1 << 23  # of a zip's directory: a hundred times that of a large network
_HEADER_BYTES = 1 << 24  # of safetensors

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


def zip_content(file: WeightsFile) -> Any:
    """The pickle of a zip archive of torch; its storages are added to the file."""
    try:
        with zipfile.ZipFile(Limited(file.file, _ZIP_BYTES)) as archive:
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


def _region(file: WeightsFile, record: zipfile.ZipInfo) -> Region:
    """Where the content of a record begins: after a header that repeats its name."""
    file.file.seek(max(0, record.header_offset))
    header = file.file.read(30)
    if len(header) < 30 or header[:4] != b"PK\3\4" or record.flag_bits & 1:
        raise Malformed("a record is damaged or encrypted")
    offset = record.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))
    if record.compress_type == zipfile.ZIP_STORED:
        return Region(offset, record.file_size)
    if record.compress_type != zipfile.ZIP_DEFLATED:
        raise Malformed("a record is compressed in another way")
    return Region(offset, record.file_size, record.compress_size)


def pickled_content(file: WeightsFile) -> Any:
    """The object of a file in torch's older format, or of a plain pickle; its storages are added to the file."""
    file.file.seek(0)
    source = Limited(file.file, _PICKLE_BYTES)
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
        name, head = str(key)[:KEY_LENGTH], source.read(8)
        if name not in claimed or len(head) < 8:
            raise Malformed("it ends early")
        file.add(name, Region(source.tell(), claimed[name]))
        source.seek(file.regions[name].offset + claimed[name])
    return content


def safetensors_content(file: WeightsFile) -> Any:
    """The tensors of a safetensors file, as Pairs."""
    file.file.seek(0)
    (size,) = struct.unpack("<Q", file.file.read(8).ljust(8, b"\0"))
    if size > min(_HEADER_BYTES, file.size - 8):
        raise Malformed("its header is too large")
    try:
        entries = json.loads(file.file.read(size), object_pairs_hook=list)
    except (ValueError, RecursionError):
        raise Malformed("its header is no JSON") from None
    file.add("", Region(8 + size, file.size - 8 - size))
    tensors, claimed = Pairs(), 0
    for name, entry in (entry for entry in _pairs(entries) if entry[0] != "__metadata__"):
        facts = dict(_pairs(entry))
        shape, offsets = whole_numbers(facts.get("shape")), whole_numbers(facts.get("data_offsets"))
        dtype = TYPES.get(_SAFETENSORS.get(str(facts.get("dtype")), ""))
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
            tensors.append((name, Stored(shape, dtype, strides(shape), start // dtype.itemsize, "", file)))
    if len({name for name, _ in tensors}) < len(tensors):
        raise Malformed("a name occurs twice")
    return tensors


def _pairs(entries: Any) -> list[tuple[str, Any]]:
    """The entries of an object of JSON that was read as a list of pairs."""
    if not isinstance(entries, list) or not all(isinstance(entry, tuple) for entry in entries):
        raise Malformed("its header is damaged")
    return entries


@dataclass(frozen=True)
class Storage:
    """What a pickle says of a storage: its values follow elsewhere in the file."""

    name: str
    dtype: torch.dtype | None
    count: int  # of values
    start: int = 0  # its first value, if it is part of another


def _storage(file: WeightsFile, folder: str, identity: Any, claimed: dict[str, int] | None = None) -> Any:
    """The storage that a persistent id of torch names; anything else is passed on."""
    if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != "storage":
        return identity[1] if isinstance(identity, tuple) and len(identity) > 1 else None
    _, kind, key, _, count, *view = identity
    if not (isinstance(kind, StandIn) and isinstance(count, int) and 0 <= count <= file.size * TIMES):
        raise Malformed("a storage is damaged")
    name = f"{folder}{str(key)[:KEY_LENGTH]}" if isinstance(key, str | int) else ""
    dtype = TYPES.get(_STORAGES.get(kind.name.rpartition(".")[2].removesuffix("Storage"), ""))
    if claimed is not None and dtype is not None:
        claimed[name] = max(claimed.get(name, 0), count * dtype.itemsize)
    if view and view[0] is not None:
        _, start, count = whole if (whole := _view(view[0])) else (0, 0, 0)
        return Storage(name, dtype, count, start)
    return Storage(name, dtype, count)


def _view(metadata: Any) -> tuple[Any, int, int] | None:
    """The key, start and count of a storage that is part of another one."""
    if isinstance(metadata, tuple) and len(metadata) == 3 and whole_numbers(metadata[1:]):
        return metadata
    return None
