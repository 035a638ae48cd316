"""Weights files told apart by content: any name, any format of torch, objects beside the weights, nothing run."""

import argparse
import collections
import dataclasses
import datetime
import enum
import functools
import os
import pathlib
import pickle
import time
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from core.errors import BadModel
from core.models.checkpoint import opened
from tests.hostile.checkpoints import small_net


class Colour(enum.Enum):
    """An enumeration of a training script."""

    RED = 1


@dataclasses.dataclass
class Settings:
    """Settings of a training script."""

    rate: float
    folder: pathlib.PurePosixPath


class Slots:
    """An object without a dictionary."""

    __slots__ = ("a",)


class Callback(collections.OrderedDict[str, Any]):
    """A dictionary of a class of its own."""


def values(path: Path) -> dict[str, Tensor]:
    with opened(path) as checkpoint:
        return {name: stored.read().clone() for name, stored in checkpoint.tensors.items()}


def agree(found: dict[str, Tensor], expected: dict[str, Tensor], before: str = "") -> None:
    assert [*found] == [f"{before}{name}" for name in expected]
    for name, value in expected.items():
        assert torch.equal(found[f"{before}{name}"], value), name
        assert found[f"{before}{name}"].dtype == value.dtype


NAMES = ("w.pth", "w.pt", "w.pth.tar", "w.ckpt", "w.bin", "w.PTH", "w", "w.safetensors.bak", "w.th")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["zip", "old", "safetensors", "pickle 2", "pickle 4", "pickle 5"])
def test_any_name_and_format(name: str, form: str, tmp_path: Path) -> None:
    state, path = small_net().state_dict(), tmp_path / name
    if form == "safetensors":
        save_file(state, path)
        found = values(path)
        agree({name: found[name] for name in state}, state)
        return
    if form.startswith("pickle"):
        path.write_bytes(pickle.dumps(dict(state), int(form[-1])))
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    agree(values(path), state)


OBJECTS = {
    "namespace": argparse.Namespace(lr=0.1, data="x"),
    "simple namespace": types.SimpleNamespace(a=1),
    "numpy scalar": np.float64(0.7),
    "numpy array": np.arange(6).reshape(2, 3),
    "numpy generator": np.random.default_rng(0),
    "path": pathlib.PurePosixPath("a/b"),
    "date": datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
    "enum": Colour.RED,
    "dataclass": Settings(0.1, pathlib.PurePosixPath("x")),
    "slots": Slots(),
    "partial": functools.partial(max, 1),
    "function": os.path.join,
    "type": dict,
    "set": {1, 2},
    "frozenset": frozenset({(1, 2)}),
    "slice": slice(1, 2),
    "complex": 1j,
    "bytearray": bytearray(b"abc"),
    "counter": collections.Counter("abca"),
    "default": collections.defaultdict(list, {"a": [1]}),
    "own dictionary": Callback(a=1),
    "random state": torch.random.get_rng_state(),
    "size": torch.Size([1, 2]),
    "type of torch": torch.float16,
    "device": torch.device("cpu"),
    "layer": nn.Linear(2, 2),
    "exception": ValueError("x"),
    "range": range(9),
    "tuple key": {(1, "a"): 2, None: 3},
}


@pytest.mark.parametrize("what", OBJECTS)
@pytest.mark.parametrize("form", ["zip", "old"])
def test_objects_beside_weights_do_not_matter(what: str, form: str, tmp_path: Path) -> None:
    state = dict(small_net().state_dict())
    content = {"before": OBJECTS[what], "model": state, "list": [OBJECTS[what]]}
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=form == "zip")
    found = {name: value for name, value in values(tmp_path / "w.pth").items() if name.startswith("model.")}
    agree(found, state, "model.")


def test_values_are_those_that_were_saved(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    flat = torch.randn(40, generator=draw)
    state = {
        "half": torch.randn(3, generator=draw).half(),
        "bfloat16": torch.randn(3, generator=draw).bfloat16(),
        "double": torch.randn(3, generator=draw).double(),
        "channels last": torch.randn(2, 3, 4, 5, generator=draw).to(memory_format=torch.channels_last),
        "transposed": torch.randn(4, 5, generator=draw).t(),
        "every second": flat[::2],
        "view": flat[7:19].view(3, 4),
        "the same view": flat[7:19].view(4, 3),
        "expanded": flat[:1].expand(6),
        "parameter": nn.Parameter(torch.randn(2, generator=draw)),
        "empty": torch.zeros(0, 3),
        "number": torch.tensor(3.5),
        "counter": torch.tensor(7),
        "true": torch.tensor([True, False]),
        "bytes": torch.tensor([1, 2], dtype=torch.uint8),
    }
    for old in (False, True):
        torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=not old)
        agree(values(tmp_path / "w.pth"), {name: value.detach() for name, value in state.items()})


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(3), "momentum": torch.zeros(1_000_000)}, tmp_path / "w.pth")
    with opened(tmp_path / "w.pth") as checkpoint:
        stored = checkpoint.tensors["a"]
        assert stored.file is not None
        before = stored.file.left
        assert stored.read().tolist() == [1, 1, 1]
        assert before - stored.file.left == 12, "bytes"


def test_a_checkpoint_that_was_packed_again(tmp_path: Path) -> None:
    state = small_net().state_dict()
    torch.save(state, tmp_path / "w.pth")
    with zipfile.ZipFile(tmp_path / "w.pth") as old, zipfile.ZipFile(tmp_path / "x.pth", "w", 8) as new:
        for name in sorted(old.namelist(), reverse=True):
            new.writestr(f"folder/{name}", old.read(name))
    agree(values(tmp_path / "x.pth"), state)


def test_a_whole_network_is_read_without_its_code(tmp_path: Path) -> None:
    net = nn.Sequential(small_net(), nn.DataParallel(nn.BatchNorm1d(3)))
    torch.save({"net": net}, tmp_path / "w.pth")
    found = values(tmp_path / "w.pth")
    agree({name: found[f"net.{name}"] for name in net.state_dict()}, net.state_dict())
    with opened(tmp_path / "w.pth") as checkpoint:
        assert checkpoint.whole


def test_pipes_devices_and_folders_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pth")
    start = time.process_time()
    for path, said in {
        tmp_path / "pipe.pth": "is not a regular file",
        Path("/dev/zero"): "is not a regular file",
        tmp_path: "is a folder",
    }.items():
        with pytest.raises(BadModel, match=said), opened(path):
            pass
    assert time.process_time() - start < 2


def test_the_limit_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINE_WEIGHTS_MB", "1")
    torch.save({"a": torch.zeros(300_000)}, tmp_path / "w.pth")
    with pytest.raises(BadModel, match=r"1\.2 MB is over the limit of 1 MB"), opened(tmp_path / "w.pth"):
        pass


def test_an_error_within_the_block_is_not_the_file_s(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="mine"), opened(tmp_path / "w.pth"):
        raise ValueError("mine")


def test_a_file_that_shrinks_meanwhile(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(300_000)}, tmp_path / "w.safetensors")
    with opened(tmp_path / "w.safetensors") as checkpoint:
        os.truncate(tmp_path / "w.safetensors", 1000)
        with pytest.raises(BadModel, match="it ends early"):
            checkpoint.tensors["a"].read()


@pytest.mark.parametrize(("claimed", "reason"), [(93, "header is too large"), (92, "header is no JSON")])
def test_a_header_ends_within_its_file(tmp_path: Path, claimed: int, reason: str) -> None:
    (tmp_path / "w.safetensors").write_bytes(claimed.to_bytes(8, "little") + b"{" * 92)
    with pytest.raises(BadModel, match=reason), opened(tmp_path / "w.safetensors"):
        pass


def test_an_archive_with_a_comment_is_read(tmp_path: Path) -> None:
    state = small_net().state_dict()
    torch.save(state, tmp_path / "w.pth")
    with zipfile.ZipFile(tmp_path / "w.pth", "a") as archive:
        archive.comment = b"made on a Tuesday"
    agree(values(tmp_path / "w.pth"), state)


def test_numbers_of_up_to_nine_digits_are_names(tmp_path: Path) -> None:
    """Longer ones may take long to write down."""
    numbers = (0, -1, 10**9 - 1, 1 - 10**9, 10**9, -(10**9), 10**5000)
    torch.save({"state": {number: torch.ones(1) for number in numbers}}, tmp_path / "w.pth")
    assert set(values(tmp_path / "w.pth")) == {f"state.{number}" for number in numbers[:4]}


@pytest.mark.parametrize("cut", [13, 19])
def test_an_old_file_ends_within_a_number_of_values(tmp_path: Path, cut: int) -> None:
    """Files of torch before 1.6 end with the number of values in eight bytes, and the values, here three floats."""
    torch.save({"a": torch.zeros(3)}, tmp_path / "whole.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:-cut])
    with opened(tmp_path / "whole.pth") as checkpoint:
        assert checkpoint.tensors["a"].read().tolist() == [0, 0, 0]
    with pytest.raises(BadModel, match="it is damaged"), opened(tmp_path / "cut.pth"):
        pass
