"""Hostile weights files: small, and each asks for far more than it holds, runs code, or is not what it says."""

import io
import json
import pickle
import random
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

HUGE = 1 << 40
RUN = "__import__('builtins').__dict__.update(code_was_run=True)"  # leaves a trace


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.made = function, arguments

    def __reduce__(self) -> Any:
        return self.made


def small_net() -> nn.Sequential:
    """A network of a few hundred values."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 3))


def saved(value: Any, **options: Any) -> bytes:
    """A value as torch saves it."""
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def records(content: bytes) -> dict[str, bytes]:
    """The records of a zip archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive of these records."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def safetensors(header: object, data: bytes = b"", size: int | None = None) -> bytes:
    """A safetensors file of any header; `size` is what it claims the header's to be."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


def torch_zip(pickled: bytes, data: bytes = bytes(64)) -> bytes:
    """torch's format around a pickle written by hand, with one storage."""
    return zipped({"a/data.pkl": pickled, "a/data/0": data, "a/version": b"3\n"})


def tensor(
    count: int = 4, start: int = 0, shape: str = "K\4\x85", stride: str = "K\1\x85", kind: str = "FloatStorage"
) -> bytes:
    """The operations that build a tensor of a storage "0" of `count` values; shape and stride are operations, too."""
    number = b"\x8a\x08" + struct.pack("<q", count)
    place = b"\x8a\x08" + struct.pack("<q", start)
    storage = b"(X\7\0\0\0storagectorch\n" + kind.encode() + b"\nX\1\0\0\x000X\3\0\0\0cpu" + number + b"tQ"
    sizes = shape.encode("latin-1") + stride.encode("latin-1")
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + place + sizes + b"\x89ccollections\nOrderedDict\n)RtR"


def state(value: bytes, key: bytes = b"X\1\0\0\0a") -> bytes:
    """A pickle of a dictionary with one key."""
    return b"\x80\2}" + key + value + b"s."


def nested_tuple(depth: int = 60) -> bytes:
    """The operations of a tuple of two equal tuples, and so on: hashing or printing it takes 2^depth steps."""
    return b")" + b"2\x86" * depth


def files() -> Iterator[tuple[str, bytes]]:
    """Names and contents of hostile files. None may crash, hang, swell or run; each is read or gets a sentence."""
    yield from _pickles()
    yield from _tensors()
    yield from _archives()
    yield from _headers()
    yield from _others()


def _pickles() -> Iterator[tuple[str, bytes]]:
    none, head = b"N", b"\x80\2"
    yield "nested-key.pth", torch_zip(state(none, nested_tuple()))
    yield "nested-key-plain.pth", state(none, nested_tuple())
    yield "nested-set.pth", b"\x80\4\x8f(" + nested_tuple() + b"\x90."
    yield "nested-frozenset.pth", b"\x80\4(" + nested_tuple() + b"\x91."
    yield "nested-value.pth", torch_zip(state(nested_tuple(200)))
    yield "nested-name.pth", b"\x80\4" + nested_tuple() + b"\x8c\1a\x93."
    yield "deep-list.pth", head + b"]" * 100_000 + b"a" * 99_999 + b"."
    yield "deep-dict.pth", head + b"}X\1\0\0\0a" * 50_000 + b"}" + b"s" * 50_000 + b"."
    yield "deep-tuple.pth", head + b")" + b"\x85" * 200_000 + b"."
    yield "circle.pth", head + b"]q\0h\0a."
    yield "circle-dict.pth", head + b"}q\0X\1\0\0\0ah\0s."
    yield "huge-memo.pth", head + b"Nr\xff\xff\xff\xff."
    yield "huge-text.pth", head + b"X\xff\xff\xff\x7fabc."
    yield "huge-bytes.pth", b"\x80\4\x8e" + struct.pack("<Q", HUGE) + b"abc."
    yield "huge-number.pth", head + b"\x8b\xff\xff\xff\x7fabc."
    yield "long-decimal.pth", b"I" + b"9" * 100_000 + b"\n."
    yield "long-line.pth", b"c" + b"a" * 1_000_000 + b"\nb\n."
    yield "many-operations.pth", head + b"N0" * 2_000_000 + b"N."
    yield "many-marks.pth", head + b"(" * 500_000 + b"."
    yield "underflow.pth", head + b"a."
    yield "no-mark.pth", head + b"t."
    yield "no-memo.pth", head + b"h\7."
    yield "no-stop.pth", head + b"N"
    yield "extension.pth", head + b"\x82\1."
    yield "buffer.pth", b"\x80\5\x97."
    yield "protocol-200.pth", b"\x80\xc8N."
    yield "bad-utf8.pth", head + b"X\2\0\0\0\xff\xfe."
    yield "surrogate-key.pth", torch_zip(state(tensor(), b"X\3\0\0\0\xed\xa0\x80"))
    yield "long-key.pth", torch_zip(state(tensor(), b"X" + struct.pack("<I", 400_000) + b"a." * 200_000))
    yield "number-key.pth", torch_zip(state(tensor(), b"\x8a\xff" + b"\x7f" * 255))
    yield "code.pth", pickle.dumps(Call(eval, RUN), 2)
    yield "code-4.pth", pickle.dumps(Call(exec, RUN), 4)
    yield "code-object.pth", b"(cos\nsystem\nS'true'\no."
    yield "code-instance.pth", b"(S'true'\nios\nsystem\n."
    yield "code-import.pth", pickle.dumps(Call(__import__, "antigravity"), 2)
    yield "code-in-torch.pth", saved({"a": torch.zeros(2), "b": Call(open, "/dev/null")})
    yield "big-array.pth", pickle.dumps(Call(bytearray, HUGE), 2)
    yield "big-range.pth", pickle.dumps(Call(list, Call(range, HUGE)), 2)


def _tensors() -> Iterator[tuple[str, bytes]]:
    large = "\x8a\x06" + "\0" * 5 + "\1"  # 2^40
    yield "expanded.pth", torch_zip(state(tensor(shape=large + "\x85", stride="K\0\x85")))
    yield "beyond.pth", torch_zip(state(tensor(shape=large + "\x85")))
    yield "far-stride.pth", torch_zip(state(tensor(shape="K\2\x85", stride=large + "\x85")))
    yield "far-start.pth", torch_zip(state(tensor(start=HUGE)))
    yield "negative-start.pth", torch_zip(state(tensor(start=-1)))
    yield "negative-count.pth", torch_zip(state(tensor(count=-1)))
    yield "huge-count.pth", torch_zip(state(tensor(count=HUGE)))
    yield "negative-stride.pth", torch_zip(state(tensor(stride="J\xff\xff\xff\xff\x85")))
    yield (
        "many-dimensions.pth",
        torch_zip(state(tensor(shape="(" + "K\1" * 1000 + "t", stride="(" + "K\1" * 1000 + "t"))),
    )
    yield "no-shape.pth", torch_zip(state(tensor(shape="N", stride="N")))
    yield "true-shape.pth", torch_zip(state(tensor(shape="\x88\x85")))
    yield "other-storage.pth", torch_zip(state(tensor(kind="EvilStorage")))
    yield "no-storage.pth", zipped({"a/data.pkl": state(tensor())})
    yield "nothing-rebuilt.pth", torch_zip(state(b"ctorch._utils\n_rebuild_tensor_v2\n)R"))
    yield "storage-of-text.pth", torch_zip(b"\x80\2X\1\0\0\0aQ.")
    yield "sparse.pth", saved({"0.weight": torch.eye(4).to_sparse()})
    yield "meta.pth", saved({"0.weight": torch.empty(4, 3, 3, 3, device="meta")})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch will do without them one day
        quantised = torch.quantize_per_tensor(torch.ones(4, 3, 3, 3), 0.1, 0, torch.qint8)
        yield "quantised.pth", saved({"0.weight": quantised})
    yield "complex.pth", saved({"0.weight": torch.ones(4, 3, 3, 3, dtype=torch.complex64)})
    yield "float8.pth", saved({"0.weight": torch.ones(4, 3, 3, 3).to(torch.float8_e5m2)})
    yield "whole-numbers.pth", saved({key: value.to(torch.int8) for key, value in small_net().state_dict().items()})
    yield "infinite.pth", saved({key: value * torch.inf for key, value in small_net().state_dict().items()})
    yield "network.pth", saved(small_net())
    yield "module-storages.pth", saved({f"{k}.weight": torch.zeros(1000)[:1] for k in range(50)})


def _archives() -> Iterator[tuple[str, bytes]]:
    whole = records(saved(small_net().state_dict()))
    name = next(name for name in whole if name.endswith("data/0"))
    packed = zipped({**whole, name: bytes(30_000_000)}, zipfile.ZIP_DEFLATED)
    yield "zip-bomb.pth", packed
    yield "pickle-bomb.pth", zipped({"a/data.pkl": b"\x80\2" + b"N0" * 20_000_000 + b"N."}, zipfile.ZIP_DEFLATED)
    yield "lzma.pth", zipped(whole, zipfile.ZIP_LZMA)
    yield "deflated.pth", zipped(whole, zipfile.ZIP_DEFLATED)
    yield "no-pickle.pth", zipped({"a/version": b"3\n"})
    yield "empty.zip", zipped({})
    yield "script.pth", zipped({"a/data.pkl": b"\x80\2N.", "a/constants.pkl": b"\x80\2)."})
    yield "byte-order.pth", zipped({**whole, name.replace("data/0", "byteorder"): b"middle"})
    yield "big-endian.pth", zipped({**whole, name.replace("data/0", "byteorder"): b"big"})
    yield "many-records.pth", zipped({f"a/{k}": b"" for k in range(60_000)})
    plain = saved(small_net().state_dict())
    end = plain.rindex(b"PK\5\6")
    first = plain.index(b"PK\1\2")
    yield "claimed-size.pth", plain[: first + 20] + struct.pack("<II", HUGE >> 9, HUGE >> 9) + plain[first + 28 :]
    yield "claimed-offset.pth", plain[: first + 42] + struct.pack("<I", HUGE >> 9) + plain[first + 46 :]
    yield "claimed-directory.pth", plain[: end + 12] + struct.pack("<I", 0xFFFFFFF0) + plain[end + 16 :]
    yield "encrypted.pth", plain[: first + 8] + b"\1" + plain[first + 9 :]
    yield "cut.pth", plain[: len(plain) // 2]
    yield "only-end.pth", b"PK\3\4" + plain[end:]
    old = saved(small_net().state_dict(), _use_new_zipfile_serialization=False)
    yield "cut-old.pth", old[:-100]
    yield "headless-old.pth", old[: old.index(b".") + 1]
    yield "trash-old.pth", old[:200] + bytes(len(old) - 200)


def _headers() -> Iterator[tuple[str, bytes]]:
    def entry(shape: object, offsets: object, dtype: object = "F32") -> dict[str, object]:
        return {"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}

    yield "header-size.safetensors", safetensors({}, size=HUGE)
    yield "header-most.safetensors", safetensors({}, size=2**64 - 1)
    yield "header-deep.safetensors", safetensors(b"[" * 200_000)
    yield "header-number.safetensors", safetensors(b'{"a": ' + b"9" * 100_000 + b"}")
    yield "header-list.safetensors", safetensors([1, 2])
    yield "header-text.safetensors", safetensors({"a": "b"})
    yield "header-latin.safetensors", safetensors(b'{"\xff": 1}')
    yield "shape-huge.safetensors", safetensors(entry([HUGE, HUGE], [0, 4]), bytes(4))
    yield "shape-negative.safetensors", safetensors(entry([-1], [0, 4]), bytes(4))
    yield "shape-wraps.safetensors", safetensors(entry([1 << 33, 1 << 31], [0, 0]))
    yield "shape-true.safetensors", safetensors(entry([True], [0, 4]), bytes(4))
    yield "shape-text.safetensors", safetensors(entry("4", [0, 4]), bytes(4))
    yield "shape-long.safetensors", safetensors(entry([1] * 10_000, [0, 4]), bytes(4))
    yield "offsets-beyond.safetensors", safetensors(entry([1], [1000, 1004]), bytes(4))
    yield "offsets-back.safetensors", safetensors(entry([1], [4, 0]), bytes(4))
    yield "offsets-one.safetensors", safetensors(entry([1], [0]), bytes(4))
    yield "offsets-odd.safetensors", safetensors(entry([1], [1, 5]), bytes(8))
    yield "overlap.safetensors", safetensors(entry([4], [0, 16]) | {"b": entry([4], [0, 16])["a"]}, bytes(16))
    twice = json.dumps(entry([1], [0, 4])["a"])
    yield "name-twice.safetensors", safetensors(f'{{"a": {twice}, "a": {twice}}}'.encode(), bytes(8))
    yield "type-unknown.safetensors", safetensors(entry([1], [0, 4], "F3"), bytes(4))
    yield "type-float8.safetensors", safetensors(entry([4], [0, 4], "F8_E4M3"), bytes(4))
    yield "type-list.safetensors", safetensors(entry([1], [0, 4], ["F32"]), bytes(4))


def _others() -> Iterator[tuple[str, bytes]]:
    yield "nothing.pth", b""
    yield "nothing.safetensors", b""
    yield "one-byte", b"\x80"
    yield "zeros.bin", bytes(10_000)
    yield "page.ckpt", b"<!DOCTYPE html>" + b" " * 1000
    yield "gzip.pth", b"\x1f\x8b" + zlib.compress(bytes(1000))
    yield "tar.pth.tar", bytes(257) + b"ustar" + bytes(1000)
    yield "pointer.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
    yield "noise.pt", random.Random(0).randbytes(5000)


def mutated(seed: int) -> tuple[str, bytes]:
    """A name and the bytes of a small, sound file that were damaged at random: flips, cuts, splices, operations."""
    draw = random.Random(seed)
    values: dict[str, Tensor] = small_net().state_dict()
    sound = [
        ("w.pth", saved(values)),
        ("w.pth", saved({"model": values, "epoch": 3}, _use_new_zipfile_serialization=False)),
        ("w.safetensors", safetensors(*_safe(values))),
        ("w.ckpt", pickle.dumps({key: value.tolist() for key, value in values.items()}, draw.choice((0, 2, 4)))),
    ]
    name, content = draw.choice(sound)
    inner = records(content) if content.startswith(b"PK") and draw.random() < 0.5 else {}
    data = bytearray(next((value for key, value in inner.items() if key.endswith("data.pkl")), content))
    for _ in range(draw.randint(1, 8)):
        place = draw.randrange(len(data)) if data else 0
        kind = draw.randrange(5)
        if kind == 0 and data:
            data[place] ^= 1 << draw.randrange(8)
        elif kind == 1 and data:
            data[place] = draw.choice(
                b"(.]}0aAbBcCdefFgGhHiIjJlLoOpPqQrRsStTuUVXX\x80\x81\x85\x86\x87\x88\x8a\x8b\x93\x94"
            )
        elif kind == 2:
            del data[place : place + draw.randint(1, 40)]
        elif kind == 3:
            data[place:place] = draw.randbytes(draw.randint(1, 12))
        else:
            start = draw.randrange(len(data) + 1)
            data[place:place] = data[start : start + draw.randint(1, 60)]
    if draw.random() < 0.1:
        data = data[: draw.randrange(len(data) + 1)]
    if inner:
        inner = {key: bytes(data) if key.endswith("data.pkl") else value for key, value in inner.items()}
        return name, zipped(inner)
    return name, bytes(data)


def _safe(values: dict[str, Tensor]) -> tuple[dict[str, object], bytes]:
    header: dict[str, object] = {}
    data = b""
    for key, value in values.items():
        content = value.numpy().tobytes()
        kind = "F32" if value.is_floating_point() else "I64"
        header[key] = {"dtype": kind, "shape": [*value.shape], "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    return header, data
