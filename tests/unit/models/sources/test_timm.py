"""Networks of timm: computed as timm does, prepared as its own evaluation does, with weights of a file or its own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from core.errors import BadModel, Unavailable, UnknownName
from core.models import listed, load, weight_sets
from core.models.name import parsed
from core.models.sources.timm import SOURCE, _prepared


def saved(folder: Path, architecture: str, **options: Any) -> tuple[torch.nn.Module, Path]:
    """A network of timm with random weights, and the file with them."""
    net = timm.create_model(architecture, **options).eval()
    torch.save(net.state_dict(), folder / "w.pth")
    return net, folder / "w.pth"


@pytest.mark.parametrize("architecture", ["resnet10t", "vit_tiny_patch16_224", "lcnet_035", "regnetx_002"])
def test_own_weights_compute_as_timm_does(architecture: str, tmp_path: Path) -> None:
    net, file = saved(tmp_path, architecture, num_classes=7)
    model = load(f"timm:{architecture}@{file}")
    images = torch.rand(2, 3, model.preprocess.crop, model.preprocess.crop)
    assert torch.allclose(model.net(images), net(images), atol=1e-5)
    assert model.labels == tuple(f"class {i}" for i in range(7))
    assert model.survey.usable


def test_a_transformer_for_larger_images(tmp_path: Path) -> None:
    net, file = saved(tmp_path, "vit_tiny_patch16_224", num_classes=3, img_size=320)
    model = load(f"timm:vit_tiny_patch16_224@{file}")
    assert model.preprocess.crop == 320
    images = torch.rand(1, 3, 320, 320)
    assert torch.allclose(model.net(images), net(images), atol=1e-5)


def test_a_thousand_classes_are_those_of_imagenet(tmp_path: Path) -> None:
    _, file = saved(tmp_path, "lcnet_035")
    assert load(f"timm:lcnet_035@{file}").labels[207] == "golden retriever"


@pytest.mark.parametrize(
    "name",
    [
        "resnet50d.ra2_in1k",
        "vit_base_patch16_224.augreg_in21k_ft_in1k",
        "inception_v3.tf_in1k",
        "convnext_tiny.fb_in22k_ft_in1k_384",
        "beit_base_patch16_384.in22k_ft_in22k_in1k",
        "efficientnet_b0.ra_in1k",
    ],
)
def test_images_are_prepared_as_timm_does(name: str, picture: Image.Image) -> None:
    config = timm.get_pretrained_cfg(name)
    preprocess = _prepared(config)
    transform = timm.data.create_transform(
        **timm.data.resolve_data_config({}, pretrained_cfg=config.to_dict()), is_training=False
    )
    expected, found = transform(picture), preprocess.tensor(preprocess.view(np.asarray(picture)))
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("mode", "size"), [("center", (96, 64)), ("squash", (64, 96))])
def test_images_that_are_not_square_are_prepared_as_timm_does(
    mode: str, size: tuple[int, int], picture: Image.Image
) -> None:
    facts = {"input_size": (3, *size), "crop_pct": 0.9, "crop_mode": mode, "interpolation": "bicubic"}
    preprocess = _prepared(timm.models.PretrainedCfg(**facts))
    assert preprocess.size == size
    transform = timm.data.create_transform(**{**facts, "is_training": False})
    found = preprocess.tensor(preprocess.view(np.asarray(picture)))
    assert torch.allclose(found, transform(picture), atol=1e-5)


@pytest.mark.parametrize("channels", [1, 4])
def test_own_weights_of_one_and_four_channels(channels: int, tmp_path: Path) -> None:
    net, file = saved(tmp_path, "resnet10t", num_classes=7, in_chans=channels)
    model = load(f"timm:resnet10t@{file}")
    assert model.preprocess.shape[0] == channels
    images = torch.rand(2, channels, *model.preprocess.size)
    assert torch.allclose(model.net(images), net(images), atol=1e-5)


def test_of_its_own_weights_only_tensors_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, file = saved(tmp_path, "lcnet_050")
    asked = []

    def repository(name: str, revision: str, needed: Any, extra: str, report: Any) -> Path:
        asked.append((name, revision, extra, needed(["README.md", "model.safetensors", "pytorch_model.bin"])))
        file.rename(tmp_path / "model.safetensors")  # judged by content, not by name
        return tmp_path

    monkeypatch.setattr("core.models.sources.timm.repository", repository)
    model = load("timm:lcnet_050.ra2_in1k")
    assert asked == [("timm/lcnet_050.ra2_in1k", "", "timm", ["model.safetensors"])]
    images = torch.rand(2, 3, 224, 224)
    assert torch.allclose(model.net(images), net(images), atol=1e-5)
    assert model.labels[207] == "golden retriever"
    assert model.facts["weights"] == "ra2_in1k"
    assert model.facts["license"]


def test_names_that_do_not_exist_suggest_the_nearest() -> None:
    for name, hint in (("timm:resnet19", "resnet18"), ("timm:resnet18.a1_in2k", "resnet18.a1_in1k")):
        with pytest.raises(UnknownName, match="There is no model of timm") as error:
            load(name)
        assert hint in error.value.hint


def test_what_cannot_classify_is_refused() -> None:
    with pytest.raises(BadModel, match="no classifier"):
        load("timm:vit_small_patch14_dinov2.lvd142m")
    with pytest.raises(BadModel, match="timm has no weights"):
        load("timm:resnet10t_nothing" if timm.is_model("resnet10t_nothing") else "timm:test_vit4")


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    _, file = saved(tmp_path, "lcnet_035")
    with pytest.raises(BadModel, match="does not fit timm:lcnet_050"):
        load(f"timm:lcnet_050@{file}")
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(BadModel):
        load(f"timm:lcnet_035@{file}")


def test_without_timm_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(Unavailable, match="needs the package timm") as error:
        SOURCE.build(parsed("timm:resnet18"), None, lambda *_: None)  # type: ignore[arg-type]
    assert error.value.hint == "Install it: pip install 'vitrine[timm]'."


def test_no_draw_of_the_global_generator(tmp_path: Path) -> None:
    _, file = saved(tmp_path, "lcnet_035")
    before = torch.get_rng_state()
    load(f"timm:lcnet_035@{file}")
    assert torch.equal(torch.get_rng_state(), before)


def test_the_list_says_family_and_license() -> None:
    found = {one.name: one for one in listed("timm")}
    for name in ("resnet50d.a1_in1k", "vit_base_patch16_224.augreg2_in21k_ft_in1k", "fastvit_t8.apple_in1k"):
        assert found[f"timm:{name}"].license == timm.get_pretrained_cfg(name).license
        assert f"timm.models.{found[f'timm:{name}'].family}" == type(timm.create_model(name)).__module__


def test_sets_of_weights_are_those_that_fit(tmp_path: Path) -> None:
    state = timm.create_model("lcnet_035", num_classes=3).state_dict()
    torch.save({"state_dict": state, "state_dict_ema": dict(state), "arch": "lcnet"}, tmp_path / "w.pth")
    assert weight_sets("timm:lcnet_035", tmp_path / "w.pth") == ("state_dict_ema", "state_dict")


def test_parameters_are_counted_without_values() -> None:
    for name in ("resnet18.a1_in1k", "vit_tiny_patch16_224.augreg_in21k_ft_in1k"):
        expected = sum(value.numel() for value in timm.create_model(name).parameters())
        assert SOURCE.parameters(f"timm:{name}") == expected
