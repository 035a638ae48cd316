"""Architectures that a weights file fits, in the sentence about a file that was named for another, or for none."""

from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from core.errors import BadModel, UnknownName, VitrineError
from core.models import load
from core.models.checkpoint import Checkpoint
from core.models.suggestion import fitting
from core.models.weights_file import Stored


@cache
def shapes(name: str, classes: int = 7) -> dict[str, tuple[int, ...]]:
    """Of the tensors of a network, built by torchvision alone."""
    options = {"aux_logits": False, "init_weights": False} if name in {"googlenet", "inception_v3"} else {}
    with torch.device("meta"):
        net = models.get_model(name, weights=None, num_classes=classes, **options)
    return {key: tuple(value.shape) for key, value in net.state_dict().items()}


def stored(tensors: dict[str, tuple[int, ...]]) -> Checkpoint:
    return Checkpoint("w.pth", {name: Stored(shape) for name, shape in tensors.items()})


def prefixed(before: str, tensors: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {f"{before}{name}": shape for name, shape in tensors.items()}


NAMES = [
    "resnet34",
    "inception_v3",
    "resnet101",
    "vgg13_bn",
    "mobilenet_v3_small",
    "densenet121",
    "swin_v2_t",
    "vit_b_32",
    "googlenet",
]


@pytest.mark.parametrize("name", NAMES)
def test_weights_with_other_classes_fit_their_architecture_only(name: str) -> None:
    assert fitting(stored(shapes(name))) == [name]


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b0", "mobilenet_v2"])
def test_copies_optimisers_and_prefixes_do_not_hide_an_architecture(name: str) -> None:
    own = shapes(name)
    state = [f"optimizer.state.{k}.{kind}" for k in range(len(own)) for kind in ("exp_avg", "exp_avg_sq")]
    moments = dict(zip(state, [shape for shape in own.values() for _ in range(2)], strict=True))
    file = prefixed("state_dict.module.", own) | prefixed("ema.module.", own) | moments
    assert fitting(stored(file)) == [name]


def test_a_classifier_that_was_replaced_does_not_hide_an_architecture() -> None:
    trunk = {name: shape for name, shape in shapes("vgg16").items() if name.startswith("features.")}
    head = {"classifier.0.weight": (64, 25088), "classifier.0.bias": (64,), "classifier.2.weight": (5, 64)}
    assert fitting(stored(trunk | head | {"classifier.2.bias": (5,)})) == ["vgg16"]


def test_other_tensors_fit_none() -> None:
    assert fitting(stored({"a.weight": (3, 4), "a.bias": (3,)})) == []
    assert fitting(stored({name: (*shape, 2) for name, shape in shapes("resnet18").items()})) == []


def refusal(name: str) -> VitrineError:
    with pytest.raises((BadModel, UnknownName)) as error:
        load(name)
    return error.value


def test_the_sentence_about_a_wrong_name_says_the_right_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    net: nn.Module = models.get_model("shufflenet_v2_x1_0", weights=None, num_classes=4)
    file = Path("mine.safetensors")  # a short path: messages shorten long ones
    save_file(net.state_dict(), file)
    hint = f"Its tensors fit shufflenet_v2_x1_0: write shufflenet_v2_x1_0@{file}."
    for wrong, sentence in (
        (f"shufflenet_v2_x0_5@{file}", "does not fit shufflenet_v2_x0_5"),
        (f"flowers@{file}", "does not fit flowers"),
        (f"shuflenet@{file}", "There is no architecture called 'shuflenet'."),
        (str(file), "names no architecture."),
    ):
        error = refusal(wrong)
        assert error.hint == hint
        assert sentence in error.message
    save_file({"a": torch.ones(2)}, file)
    assert "Give weights of resnet18" in refusal(f"resnet18@{file}").hint
    assert "Write one before it" in refusal(str(file)).hint
    assert "Write one before it" in refusal(str(tmp_path / "none.pth")).hint
