"""Files of weights: how much of them is read, and the tensors in them, not read yet."""

import sys
import zlib
from contextlib import suppress
from dataclasses import dataclass
from io import SEEK_END
from math import prod
from typing import IO, Any

import torch
from torch import Tensor

from core.errors import BadModel, printable
from core.models.unpickler import Malformed

AS_WEIGHTS = "Save `net.state_dict()` as .safetensors, or as .pth with torch.save."
OTHER_FILE = "Check that the download or copy is complete."

KEY_LENGTH = 500
TIMES = 10  # bytes read or unpacked of a file, in all, per byte of its size
_RANK = 8

TYPES = {
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


@dataclass(frozen=True, eq=False)
class Stored:
    """A tensor in a weights file, not read yet. One with a `flaw` cannot be read."""

    shape: tuple[int, ...] = ()
    dtype: torch.dtype = torch.float32
    stride: tuple[int, ...] = ()
    start: int = 0  # its first value in its storage
    storage: str = ""
    file: "WeightsFile | None" = None
    flaw: str = ""  # "is sparse"

    def read(self) -> Tensor:
        """The values, on the CPU. Raises BadModel if the file ends early, or would be read many times."""
        if self.flaw or self.file is None:
            raise ValueError(f"a tensor that {self.flaw}")
        if not prod(self.shape):
            return torch.empty(self.shape, dtype=self.dtype)
        size = self.dtype.itemsize
        content = self.file.read(self.storage, self.start * size, (self.start + reach(self.shape, self.stride)) * size)
        if self.file.order != sys.byteorder:
            content = bytearray(torch.frombuffer(content, dtype=torch.uint8).view(-1, size).flip(1).numpy().tobytes())
        return torch.frombuffer(content, dtype=self.dtype).as_strided(self.shape, self.stride)


@dataclass(frozen=True)
class Region:
    """Where the values of a storage lie in a file."""

    offset: int
    size: int
    packed: int | None = None  # bytes in the file, if they are compressed


class WeightsFile:
    """A file, its storages by name, and how much of it may still be read."""

    def __init__(self, file: IO[bytes], called: str) -> None:
        self.file = file
        self.called = called
        self.size = file.seek(0, SEEK_END)
        self.left = TIMES * self.size
        self.order = "little"
        self.regions: dict[str, Region] = {}

    def add(self, name: str, region: Region) -> None:
        """Note where a storage lies. Raises Malformed if that is outside of the file."""
        if region.offset < 0 or region.offset + (region.size if region.packed is None else region.packed) > self.size:
            raise Malformed("it ends early")
        self.regions[name] = region

    def read(self, name: str, start: int, stop: int) -> bytearray:
        """The bytes of a storage from `start` to `stop`, writable."""
        region = self.regions[name]
        self.left -= (stop - start) if region.packed is None else stop
        if self.left < 0:
            message = f"{self.called} unpacks to more than {TIMES} times its size, or holds tensors that overlap."
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


class Limited:
    """A file of which at most so many bytes are read at a time, whatever its content asks for."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self.file, self.most = file, most
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, count: int = -1) -> bytes:
        """So many bytes, or as many as there may be."""
        return self.file.read(min(count, self.most) if count >= 0 else self.most)

    def readline(self) -> bytes:
        """A line, or its beginning."""
        return self.file.readline(KEY_LENGTH)


def short(text: str, most: int = 120) -> str:
    """A text for a message: printable, and its middle left out if it is long."""
    text = printable(text)
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most // 2) :]}"


def whole_numbers(values: Any) -> tuple[int, ...] | None:
    """A short sequence of whole numbers from zero; None if it is none."""
    if not isinstance(values, list | tuple) or len(values) > _RANK:
        return None
    return (*values,) if all(type(value) is int and 0 <= value < 1 << 48 for value in values) else None


def reach(shape: tuple[int, ...], stride: tuple[int, ...]) -> int:
    """The number of values from the first to the last of a tensor."""
    return 1 + sum((side - 1) * step for side, step in zip(shape, stride, strict=True)) if prod(shape) else 0


def strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a tensor whose values lie in their order."""
    return tuple(prod(shape[place + 1 :]) for place in range(len(shape)))
