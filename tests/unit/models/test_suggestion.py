"""Architectures that a weights file fits, in the sentence about a file that was named for another, or for none."""

import json
import sys
from functools import cache
from pathlib import Path

import pytest
import timm
import torch
import transformers
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from core.errors import BadModel, UnknownName, VitrineError
from core.models import load
from core.models.checkpoint import Checkpoint
from core.models.sources import timm_shapes
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


def shapes_of_timm(name: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        net = timm.create_model(name, num_classes=7)
    return {key: tuple(value.shape) for key, value in net.state_dict().items()}


@pytest.fixture
def families(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Some small families of timm, and an empty folder of the user."""
    names = (("lcnet_035", "lcnet_050"), ("mixer_b16_224", "mixer_s16_224"), ("resnet18d", "resnet26d", "resnet50d"))
    monkeypatch.setattr("core.models.sources.timm.families", lambda: names)
    monkeypatch.setenv("VITRINE_HOME", str(tmp_path))


@pytest.mark.parametrize("name", ["lcnet_050", "mixer_s16_224", "resnet26d"])
@pytest.mark.usefixtures("families")
def test_weights_of_timm_fit_their_architecture_only(name: str) -> None:
    assert fitting(stored(prefixed("state_dict.module.", shapes_of_timm(name)))) == [f"timm:{name}"]
    assert fitting(stored(shapes_of_timm(name)), timm=False) == []


@pytest.mark.usefixtures("families")
def test_what_is_known_of_timm_is_stored_and_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm_shapes, "_WORTH_STORING", 0.0)
    file = stored(shapes_of_timm("resnet26d"))
    assert fitting(file) == ["timm:resnet26d"]
    known = json.loads((tmp_path / "timm" / f"{timm.__version__}.json").read_text())
    assert set(known) == {"lcnet_035", "mixer_b16_224", "resnet18d", "resnet26d", "resnet50d"}
    count = sum(
        value.numel() for key, value in timm.create_model("resnet18d").state_dict().items() if "num_b" not in key
    )
    assert known["resnet18d"][0] == count
    monkeypatch.setattr(timm_shapes, "_shape", lambda name: pytest.fail(f"{name} is built again"))
    assert fitting(file) == ["timm:resnet26d"]


@pytest.mark.usefixtures("families")
def test_when_the_time_is_up_the_rest_of_timm_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm_shapes, "SECONDS", -1.0)
    assert fitting(stored(shapes_of_timm("resnet26d"))) == []


def test_without_timm_there_is_no_suggestion_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    file = stored(shapes_of_timm("lcnet_050"))
    monkeypatch.setitem(sys.modules, "timm", None)
    assert fitting(file) == []


@pytest.mark.usefixtures("families")
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


KINDS = {
    "ViTForImageClassification": {
        "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8
    },
    "ResNetForImageClassification": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]},
    "SwinForImageClassification": {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2]},
    "ConvNextForImageClassification": {"num_stages": 2, "hidden_sizes": [8, 16], "depths": [1, 1]},
    "MobileNetV2ForImageClassification": {"depth_multiplier": 0.35},
}  # fmt: skip


@pytest.mark.parametrize("title", KINDS)
@pytest.mark.parametrize("before", ["", "state_dict.model."])
@pytest.mark.usefixtures("families")
def test_weights_of_hugging_face_are_told_by_their_names(title: str, before: str, tmp_path: Path) -> None:
    made = getattr(transformers, title)
    net = made(made.config_class(image_size=32, **KINDS[title]))
    file = tmp_path / "w.safetensors"
    save_file({f"{before}{name}": value.contiguous() for name, value in net.state_dict().items()}, file)
    hint = f"named as in {title} of Hugging Face: give the folder that `save_pretrained` wrote, as hf:FOLDER."
    assert hint in refusal(f"resnet18@{file}").hint


@pytest.mark.usefixtures("families")
def test_without_transformers_there_is_no_suggestion_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file({"vit.embeddings.a": torch.ones(2), "classifier.weight": torch.ones(2, 2)}, file)
    assert "ViTForImageClassification" in refusal(f"resnet18@{file}").hint
    monkeypatch.setitem(sys.modules, "transformers.models.auto.modeling_auto", None)
    assert "Hugging Face" not in refusal(f"resnet18@{file}").hint
