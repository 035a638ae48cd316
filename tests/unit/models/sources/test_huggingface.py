"""Networks of transformers: computed and prepared as transformers does, and none of their code run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from core.data.model_options import ModelOptions
from core.errors import BadModel, Unavailable, VitrineError
from core.models import load

NAMES = {0: "ant", 1: "bee", 2: "cow"}


def resnet(**config: Any) -> torch.nn.Module:
    config = {"id2label": NAMES, **config}
    shape = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], **config)
    return transformers.ResNetForImageClassification(shape).eval()


def vit(**config: Any) -> torch.nn.Module:
    shape = transformers.ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48, image_size=32, patch_size=8,
        id2label=NAMES, **config,
    )  # fmt: skip
    return transformers.ViTForImageClassification(shape).eval()


def saved(net: Any, folder: Path, processor: Any = None) -> str:
    """The name of a folder with the network, and its image processor."""
    net.save_pretrained(folder)
    processor = processor or transformers.ViTImageProcessor(
        size={"height": 32, "width": 32}, image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.4]
    )
    processor.save_pretrained(folder)
    return f"hf:{folder}"


@pytest.mark.parametrize("make", [resnet, vit])
def test_the_network_gives_the_logits_of_transformers(make: Any, tmp_path: Path) -> None:
    net = make()
    model = load(saved(net, tmp_path / "saved"))
    images = torch.rand(2, 3, 32, 32)
    assert torch.allclose(model.net(images), net(images).logits, atol=1e-6)
    assert model.labels == ("ant", "bee", "cow")
    assert (model.output, model.notes) == ("softmax", ())
    assert (model.preprocess.crop, model.preprocess.mean) == (32, (0.5, 0.4, 0.3))
    assert model.survey.usable


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("ViTImageProcessor", {"size": {"height": 48, "width": 48}, "resample": 3}),
        ("ViTImageProcessor", {"size": {"height": 48, "width": 48}, "do_normalize": False}),
        ("DeiTImageProcessor", {"size": {"height": 64, "width": 64}, "crop_size": {"height": 48, "width": 48}}),
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 56}, "crop_pct": 0.875}),
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}}),
        ("LevitImageProcessor", {"size": {"shortest_edge": 56}, "crop_size": {"height": 56, "width": 56}}),
        ("BitImageProcessor", {"size": {"shortest_edge": 64}, "crop_size": {"height": 48, "width": 48}}),
        ("CLIPImageProcessor", {"size": {"shortest_edge": 48}, "crop_size": {"height": 48, "width": 48}}),
        ("MobileNetV2ImageProcessor", {"size": {"shortest_edge": 64}, "crop_size": {"height": 48, "width": 48}}),
        ("EfficientNetImageProcessor", {"size": {"height": 48, "width": 48}, "include_top": False}),
        ("BeitImageProcessor", {"size": {"height": 48, "width": 48}, "do_center_crop": False}),
        ("SiglipImageProcessor", {"size": {"height": 48, "width": 48}}),
        ("ViTImageProcessor", {"size": {"height": 32, "width": 56}}),
        ("DeiTImageProcessor", {"size": {"height": 64, "width": 72}, "crop_size": {"height": 32, "width": 56}}),
    ],
)
def test_images_are_prepared_as_its_processor_does(
    kind: str, settings: dict[str, Any], picture: Image.Image, tmp_path: Path
) -> None:
    processor = getattr(transformers, kind)(**settings)
    preprocess = load(saved(resnet(), tmp_path / "saved", processor)).preprocess
    expected = processor(picture, return_tensors="pt")["pixel_values"][0]
    found = preprocess.tensor(preprocess.view(np.asarray(picture)))
    assert found.shape == expected.shape
    # Processors on torch resize tensors, ours Pillow's images: roundings to whole greys may differ.
    step = 1.01 / 255 / min(preprocess.std)
    assert float((found - expected).abs().mean()) < 0.25 * step
    assert float((found - expected).abs().max()) < 4 * step


@pytest.mark.parametrize(("channels", "kind"), [(1, "grey"), (4, "alpha")])
def test_networks_of_one_and_four_channels_that_are_not_square(channels: int, kind: str, tmp_path: Path) -> None:
    shape = transformers.ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48, image_size=[32, 56],
        patch_size=8, num_channels=channels, id2label=NAMES,
    )  # fmt: skip
    net = transformers.ViTForImageClassification(shape).eval()
    processor = transformers.ViTImageProcessor(
        size={"height": 32, "width": 56}, image_mean=[0.5] * channels, image_std=[0.2] * channels
    )
    model = load(saved(net, tmp_path / "saved", processor))
    assert (model.preprocess.channels, model.preprocess.shape) == (kind, (channels, 32, 56))
    assert (model.preprocess.mean, model.preprocess.std) == ((0.5,) * channels, (0.2,) * channels)
    images = torch.rand(2, channels, 32, 56)
    assert torch.allclose(model.net(images), net(images).logits, atol=1e-6)
    assert {layer.cells for layer in model.survey.usable} == {(4, 7)}


def test_channels_in_the_other_order_are_turned(tmp_path: Path) -> None:
    net = resnet()
    processor = transformers.MobileViTImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, do_flip_channel_order=True
    )
    model = load(saved(net, tmp_path / "saved", processor))
    images = torch.rand(2, 3, 32, 32)
    assert torch.allclose(model.net(images), net(images.flip(1)).logits, atol=1e-6)


@pytest.mark.parametrize(
    ("problem", "output"),
    [("multi_label_classification", "multilabel"), ("regression", "regression"), (None, "softmax")],
)
def test_its_configuration_says_how_outputs_are_read(problem: str, output: str, tmp_path: Path) -> None:
    name = saved(resnet(problem_type=problem), tmp_path / "saved")
    assert load(name).output == output
    if output != "regression":
        assert load(name, options=ModelOptions(output="softmax")).output == "softmax"


def test_numbered_labels_are_none(tmp_path: Path) -> None:
    model = load(saved(resnet(id2label={0: "LABEL_0", 1: "LABEL_1"}), tmp_path / "saved"))
    assert model.labels == ("class 0", "class 1")


def test_old_checkpoints_and_parts(tmp_path: Path) -> None:
    net = resnet()
    name = saved(net, tmp_path / "saved")
    whole = tmp_path / "saved" / "model.safetensors"
    tensors, images = load_file(whole), torch.rand(2, 3, 32, 32)
    whole.unlink()
    keys = sorted(tensors)
    for number, some in enumerate((keys[:9], keys[9:])):
        save_file({key: tensors[key] for key in some}, whole.with_name(f"model-0000{number + 1}-of-00002.safetensors"))
    assert torch.allclose(load(name).net(images), net(images).logits, atol=1e-6)
    for part in whole.parent.glob("*.safetensors"):
        part.unlink()
    torch.save(tensors, whole.with_name("pytorch_model.bin"))
    assert torch.allclose(load(name).net(images), net(images).logits, atol=1e-6)


def test_own_weights_for_its_configuration(tmp_path: Path) -> None:
    name = saved(resnet(), tmp_path / "saved")
    other = resnet(id2label={k: f"c{k}" for k in range(5)})
    torch.save({"state_dict": {f"net.{key}": value for key, value in other.state_dict().items()}}, tmp_path / "w.pth")
    model = load(f"{name}@{tmp_path / 'w.pth'}", options=ModelOptions(size=32))
    images = torch.rand(2, 3, 32, 32)
    assert torch.allclose(model.net(images), other(images).logits, atol=1e-6)
    assert len(model.labels) == 5
    assert model.notes == ("Tensors under 'state_dict.net' were taken.",)


def test_without_a_processor_the_assumption_is_said(tmp_path: Path) -> None:
    net = vit()
    net.save_pretrained(tmp_path / "saved")
    model = load(f"hf:{tmp_path / 'saved'}")
    assert model.preprocess.crop == 32
    assert any("ImageNet's mean" in note for note in model.notes)


def test_code_of_a_repository_is_not_run(tmp_path: Path) -> None:
    name = saved(resnet(), tmp_path / "saved")
    config = tmp_path / "saved" / "config.json"
    facts = json.loads(config.read_text("utf-8"))
    classes = {"AutoConfig": "evil.Config", "AutoModelForImageClassification": "evil.Net"}
    config.write_text(json.dumps({**facts, "auto_map": classes}), "utf-8")
    ran = tmp_path / "ran"
    (tmp_path / "saved" / "evil.py").write_text(f"open({str(ran)!r}, 'w')\n", "utf-8")
    with pytest.raises(BadModel, match="needs code of its own, which is not run") as error:
        load(name)
    assert "FILE.py:FUNCTION" in error.value.hint
    assert not ran.exists()


def broken(folder: Path, how: str) -> None:
    weights, config = folder / "model.safetensors", folder / "config.json"
    if how == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "no weights":
        weights.unlink()
    elif how == "no config":
        config.unlink()
    elif how == "text":
        config.write_text("not JSON")
    elif how == "lacking":
        save_file({key: value for key, value in load_file(weights).items() if "classifier" not in key}, weights)
    elif how == "language":
        config.write_text(json.dumps({"model_type": "bert"}))
    elif how == "unknown":
        config.write_text(json.dumps({"model_type": "something new"}))
    elif how == "list":
        config.write_text("[]")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("truncated", "model.safetensors"),
        ("no weights", "contains no weights"),
        ("no config", "contains no config.json"),
        ("text", "is not readable as JSON"),
        ("list", "is not readable as JSON"),
        ("lacking", "lack 'classifier.1.bias', 'classifier.1.weight'."),
        ("language", "is no model for image classification"),
        ("unknown", "is no model for image classification"),
    ],
)
def test_damaged_folders_get_a_sentence(how: str, said: str, tmp_path: Path) -> None:
    name = saved(resnet(), tmp_path / "saved")
    broken(tmp_path / "saved", how)
    with pytest.raises(VitrineError) as error:
        load(name)
    assert said in error.value.message
    assert error.value.hint
    assert len(str(error.value)) < 300
    assert str(tmp_path) not in str(error.value)


def test_a_missing_folder_is_said() -> None:
    with pytest.raises(BadModel, match="There is no folder '/nowhere/at all'"):
        load("hf:/nowhere/at all")


def test_without_transformers_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(Unavailable, match="needs the package transformers") as error:
        load("hf:google/vit-base-patch16-224")
    assert error.value.hint == "Install it: pip install 'vitrine[hf]'."
