"""The card beside weights may hold anything: it then says nothing."""

import os
from pathlib import Path

import pytest
from safetensors.torch import save_file

from core.models import load
from core.models.sources import flower_networks


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "two.safetensors"
    save_file(flower_networks.architecture(2).state_dict(), file)
    return file


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000, b'{"labels":' * 200_000, b'{"labels": 5}', b'{"labels": ["a"]}', b"\xff", b"", b"null",
        b'{"labels": ["\\ud800", "b"]}', b'{"labels": ["a", "b"], "accuracy": 1e999}',
    ],
)  # fmt: skip
def test_a_card_that_cannot_be_read_is_none(weights: Path, content: bytes) -> None:
    weights.with_suffix(".json").write_bytes(content)
    assert load(f"flowers@{weights}").labels == ("class 0", "class 1")


def test_a_pipe_as_a_card_is_none(weights: Path) -> None:
    os.mkfifo(weights.with_suffix(".json"))
    assert len(load(f"flowers@{weights}").labels) == 2
