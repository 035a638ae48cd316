"""Hostile and damaged weights files: each is read, or gets one sentence, soon and in little memory."""

import builtins
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from core.errors import BadModel
from core.models.checkpoint import opened
from core.models.weights import fit
from tests.hostile import checkpoints

FILES = dict(checkpoints.files())
SOUND = {"deflated.pth", "network.pth", "zip-bomb.pth", "big-endian.pth", "claimed-directory.pth"}  # weights, still
CASES = 300  # of damage; more find more


def outcome(path: Path) -> str:
    """What a file leads to: a sentence, or "" if its weights fit the small network."""
    try:
        with opened(path) as checkpoint:
            net, _ = fit(checkpoints.small_net(), checkpoint, "small")
    except BadModel as error:
        sentence = error
    else:
        with torch.no_grad():
            assert net.eval()(torch.zeros(2, 3, 3, 3)).shape[0] == 2
        return ""
    assert sentence.hint
    assert len(sentence.message) < 300
    assert sentence.message.isprintable()
    return sentence.message


def test_there_are_many() -> None:
    assert len(FILES) >= 100


@pytest.mark.parametrize("name", FILES)
def test_hostile_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])
    monkeypatch.setattr(os, "system", lambda *_: pytest.fail("code in the file was run"))
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    said = outcome(path)
    assert time.process_time() - start < 8
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600_000, "kilobytes"
    assert not hasattr(builtins, "code_was_run")
    assert said or name in SOUND
    assert ("nothing in it was run" in said) or not name.startswith("code")


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_damaged_files(tmp_path: Path) -> None:
    path: Callable[[str], Path] = tmp_path.joinpath
    said = []
    for seed in range(CASES):
        name, content = checkpoints.mutated(seed)
        path(name).write_bytes(content)
        start = time.process_time()
        try:
            said.append(outcome(path(name)))
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
        assert time.process_time() - start < 4, seed
    assert len({text[:40] for text in said}) > 5, "all kinds of damage"
