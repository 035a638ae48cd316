"""The table "I have, I type" of the README: every row opens a model, or is refused with the way out."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import transformers
from torch import nn
from torchvision import models

from core.cli import main
from tests import exported

README = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
TABLE = README.partition("| I have | I type |")[2].partition("\n\n")[0]
ROWS = re.findall(r"^\| .+ \| `--model ([^`]+)` \|$", TABLE, re.MULTILINE)
MINE = """
from torch import nn

def build():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, {outputs}))
"""


def saved(net: nn.Module, path: Path) -> Path:
    torch.save(net.state_dict(), path)
    return path


def hub_folder(folder: Path) -> Path:
    """What the hub or `save_pretrained` gives: a small transformer."""
    shape = transformers.ViTConfig(
        hidden_size=12, num_hidden_layers=1, num_attention_heads=3, intermediate_size=12, image_size=32, patch_size=8,
        num_labels=5,
    )  # fmt: skip
    transformers.ViTForImageClassification(shape).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def prepared(what: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of a row, and downloads from this machine; the labels are those of three classes."""
    (folder / "labels.txt").write_text("ant\nbee\ncow\n")
    (folder / "mine.py").write_text(MINE.format(outputs=1 if "sigmoid" in what else 3))
    if "resnet18@" in what:
        make = timm.create_model if what.startswith("timm:") else models.get_model
        saved(make("resnet18", num_classes=3), folder / "weights.pth")
    elif "mine.py" in what:
        space: dict[str, Any] = {}
        exec((folder / "mine.py").read_text(), space)
        saved(space["build"](), folder / "weights.pth")
    elif what.startswith("network.onnx"):
        exported.saved(exported.small(3), folder / "network.onnx")
    elif "hf:" in what:
        hub = hub_folder(folder / "saved")
        monkeypatch.setattr("core.models.sources.huggingface.repository", lambda *_: hub)
    elif what.startswith("timm:"):
        saved(timm.create_model(what.partition(":")[2].partition(".")[0]), folder / "model.safetensors")
        monkeypatch.setattr("core.models.sources.timm.repository", lambda *_: folder)
    else:
        weights = saved(models.get_model(what), folder / "published.pth")
        monkeypatch.setattr("core.models.sources.torchvision.fetch", lambda *_: weights)


def test_the_table_is_there() -> None:
    assert len(ROWS) == 12


@pytest.mark.parametrize("typed", ROWS)
def test_every_row_opens_a_model(
    typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    prepared(typed, tmp_path, monkeypatch)
    assert main(["check", "--model", *shlex.split(typed), "--json"]) == 0, capsys.readouterr().err
    facts = json.loads(capsys.readouterr().out)
    assert facts["model"] == shlex.split(typed)[0]
    assert facts["layers"]
