"""Networks of every source with every kind of outputs: each method works, or says in one sentence why not."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
import transformers
from numpy.polynomial.legendre import leggauss
from torch import Tensor, nn

from core.data.model_options import ModelOptions, Output
from core.explain import EXPLAINERS, Query, explain
from core.explain.targets import Classes
from core.images import Preprocess
from core.models import Model
from core.models.model import from_source
from core.models.name import parsed
from core.models.source import SourceNetwork
from core.models.sources.exported import SOURCE as EXPORTED
from core.progress import silent
from tests import exported, nets

SIDE = 32
BLACK = (-torch.tensor(Preprocess.mean) / torch.tensor(Preprocess.std)).view(3, 1, 1)
HEADS: dict[Output, int] = {"softmax": 4, "sigmoid": 1, "multilabel": 3, "regression": 2}


def timm_resnet(outputs: int) -> nn.Module:
    block = timm.models.resnet.BasicBlock
    return timm.models.ResNet(block, (1, 1, 1, 1), num_classes=outputs, channels=(8, 8, 12, 12))


def timm_transformer(outputs: int) -> nn.Module:
    small = {"img_size": SIDE, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3}
    return timm.create_model("vit_tiny_patch16_224", num_classes=outputs, **small)


def hf_resnet(outputs: int) -> nn.Module:
    shape = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], num_labels=outputs)
    return transformers.ResNetForImageClassification(shape)


def hf_transformer(outputs: int) -> nn.Module:
    shape = transformers.ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48, image_size=SIDE, patch_size=8,
        num_labels=outputs,
    )  # fmt: skip
    return transformers.ViTForImageClassification(shape)


def hf_convnext(outputs: int) -> nn.Module:
    shape = transformers.ConvNextConfig(hidden_sizes=[8, 12], depths=[1, 1], num_stages=2, num_labels=outputs)
    return transformers.ConvNextForImageClassification(shape)


class Several(nn.Module):
    """Own code that gives its features, too."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1), nn.ReLU())
        self.head = nn.Linear(12, outputs)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(images)
        return features, self.head(features.mean((2, 3)))


def onnx(outputs: int) -> nn.Module:
    """What is exported; its file is opened instead."""
    return exported.small(outputs)


def black_box(outputs: int) -> nn.Module:
    """The same, run by onnxruntime."""
    return exported.small(outputs)


SOURCES = {
    made.__name__: made
    for made in (timm_resnet, timm_transformer, hf_resnet, hf_transformer, hf_convnext, Several, onnx, black_box)
}
WITH_GRADIENTS = [source for source in SOURCES if source != "black_box"]
# What explains none but networks of ReLUs and convolutions; everything else works on all.
RELU = {"deconvnet", "guided_backprop", "guided_grad_cam", "guided_grad_cam_pp", "vebi"}
RULES = {"excitation_bp", "contrastive_ebp", "lrp"}
OUTPUTS_ALONE = {
    "occlusion", "rise", "lime_image", "kernel_shap", "feature_ablation", "superpixel_tree", "random", "edge_detector",
    "centre_gaussian",
}  # fmt: skip
WITHOUT = {
    "black_box": set(EXPLAINERS) - OUTPUTS_ALONE,
    "timm_resnet": {"cam"},  # on such small images its last stage has a single position
    **{source: {"cam", *RELU, *RULES} for source in ("timm_transformer", "hf_transformer", "hf_convnext")},
}


@cache
def model(source: str, head: Output) -> Model:
    net = nets.seeded(lambda: SOURCES[source](HEADS[head]))
    given = SourceNetwork(net, (), Preprocess(SIDE, SIDE), facts={"source": source})
    if source in ("onnx", "black_box"):
        with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            if source == "black_box":
                patch.setattr("core.models.sources.exported.steps_of", None)
            path = exported.saved(net, Path(folder) / "net.onnx")
            given = EXPORTED.build(parsed(str(path)), ModelOptions(), silent)
    return from_source(source, given, "cpu", ModelOptions(output=head))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("source", SOURCES)
def test_each_method_works_or_says_why_not(source: str, head: Output) -> None:
    asked, refused = model(source, head), set()
    for name, method in EXPLAINERS.items():
        if reason := method.unmet(asked):
            refused.add(name)
            assert reason.endswith("."), name
            continue
        found = explain(name, nets.query(asked, count=1, side=SIDE), nets.quick(method))
        assert found.maps.shape == (1, SIDE, SIDE), name
        assert torch.isfinite(found.maps).all(), name
    assert refused == WITHOUT.get(source, set())


def outputs_of(source: str, head: Output, images: Tensor) -> Tensor:
    """The outputs of the network as it is, one column per class that can be asked about."""
    given = nets.seeded(lambda: SOURCES[source](HEADS[head])).eval()(images)
    z = given if isinstance(given, Tensor) else given.logits if hasattr(given, "logits") else given[1]
    return torch.cat([-z, z], 1) if head == "sigmoid" else z


def probability(z: Tensor, head: Output) -> Tensor:
    return {"softmax": lambda: z.softmax(1), "regression": lambda: z}.get(head, z.sigmoid)()


def answer(source: str, head: Output, name: str, target: int = 1, **settings: Any) -> Tensor:
    return explain(name, nets.query(model(source, head), count=2, target=target, side=SIDE), settings).maps.double()


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("source", SOURCES)
def test_occlusion_is_the_drop_of_the_probability(source: str, head: Output) -> None:
    images = nets.images(2, side=SIDE)
    window = 8  # 56 pixels of an image of 224
    found = answer(source, head, "occlusion", window=56, stride=56, fill="black")
    with torch.no_grad():
        clean = probability(outputs_of(source, head, images), head)[:, 1]
        for top in range(0, SIDE, window):
            for left in range(0, SIDE, window):
                hidden = images.clone()
                hidden[:, :, top : top + window, left : left + window] = BLACK
                drop = clean - probability(outputs_of(source, head, hidden), head)[:, 1]
                cell = found[:, top : top + window, left : left + window]
                assert torch.allclose(cell, drop.double().view(2, 1, 1).expand_as(cell), atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("source", WITH_GRADIENTS)
def test_integrated_gradients_are_their_quadrature(source: str, head: Output) -> None:
    found = answer(source, head, "integrated_gradients", steps=12, start="black")
    nodes, weights = (torch.from_numpy(values).float().view(-1, 1, 1, 1) / 2 for values in leggauss(12))
    for image, one in zip(nets.images(2, side=SIDE), found, strict=True):
        points = (BLACK + (nodes + 0.5) * (image - BLACK)).requires_grad_()
        slopes = torch.autograd.grad(outputs_of(source, head, points)[:, 1].sum(), points)[0]
        expected = ((weights * slopes).sum(0) * (image - BLACK)).sum(0).double()
        assert torch.allclose(one, expected, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_grad_cam_is_its_formula(head: Output) -> None:
    images, net = nets.images(2, side=SIDE), nets.seeded(lambda: Several(HEADS[head])).eval()
    kept = net.features(images)
    z = net.head(kept.mean((2, 3)))
    z = torch.cat([-z, z], 1) if head == "sigmoid" else z
    slopes = torch.autograd.grad(z[:, 1].sum(), kept)[0]
    small = (slopes.mean((2, 3), keepdim=True) * kept).sum(1, keepdim=True).relu()
    expected = F.interpolate(small, (SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0].double()
    assert torch.allclose(answer("Several", head, "grad_cam"), expected, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_grad_cam_of_an_exported_network_is_its_formula(head: Output) -> None:
    images, net = nets.images(2, side=SIDE), nets.seeded(lambda: exported.small(HEADS[head])).eval()
    kept = net[:5](images)
    z = net[5:](kept)
    z = torch.cat([-z, z], 1) if head == "sigmoid" else z
    slopes = torch.autograd.grad(z[:, 1].sum(), kept)[0]
    small = (slopes.mean((2, 3), keepdim=True) * kept).sum(1, keepdim=True).relu()
    expected = F.interpolate(small, (SIDE, SIDE), mode="bilinear", align_corners=False)[:, 0].double()
    assert model("onnx", head).survey.default == "4"
    assert torch.allclose(answer("onnx", head, "grad_cam"), expected, atol=1e-5)


@pytest.mark.parametrize("source", WITH_GRADIENTS)
def test_both_sides_of_one_logit_are_each_others_negative(source: str) -> None:
    one, other = (answer(source, "sigmoid", "input_x_gradient", target) for target in (0, 1))
    assert torch.allclose(one, -other, atol=1e-6)


class Sized(nn.Module):
    """Own code for images of any size and number of channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(channels, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1), nn.ReLU())
        self.head = nn.Linear(12, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images).mean((2, 3)))


def timm_of(channels: int, size: tuple[int, int]) -> nn.Module:
    small = {"img_size": size, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3}
    return timm.create_model("vit_tiny_patch16_224", num_classes=4, in_chans=channels, **small)


def hf_of(channels: int, size: tuple[int, int]) -> nn.Module:
    shape = transformers.ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48, image_size=list(size),
        patch_size=8, num_channels=channels, num_labels=4,
    )  # fmt: skip
    return transformers.ViTForImageClassification(shape)


def hf_resnet_of(channels: int, _size: tuple[int, int]) -> nn.Module:
    shape = transformers.ResNetConfig(
        num_channels=channels, embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], num_labels=4
    )
    return transformers.ResNetForImageClassification(shape)


INPUTS = {
    "one channel": (1, (32, 32)),
    "four channels": (4, (32, 32)),
    "wide": (3, (32, 48)),
    "high": (3, (40, 24)),
    "wide and grey": (1, (24, 56)),
}
MADE = {
    "own code": lambda channels, _: Sized(channels),
    "timm_transformer": timm_of,
    "hf_transformer": hf_of,
    "hf_resnet": hf_resnet_of,
}


def made(source: str, kind: str) -> nn.Module:
    return nets.seeded(lambda: MADE[source](*INPUTS[kind])).eval()


@cache
def of_input(source: str, kind: str) -> Model:
    crop = INPUTS[kind][1]
    given = SourceNetwork(made(source, kind), (), Preprocess(crop, crop), facts={"source": source})
    return from_source(source, given, "cpu", ModelOptions())


def seen(kind: str) -> Tensor:
    channels, size = INPUTS[kind]
    return torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(7))


def asked_about(source: str, kind: str, name: str, **settings: Any) -> Tensor:
    images = seen(kind)
    query = Query(of_input(source, kind), images, Classes(torch.ones(2, dtype=torch.int64)))
    found = explain(name, query, settings).maps.double()
    assert found.shape == (2, *INPUTS[kind][1])
    return found


def raw(source: str, kind: str, images: Tensor) -> Tensor:
    given = made(source, kind)(images)
    return given if isinstance(given, Tensor) else given.logits


def black(source: str, kind: str) -> Tensor:
    preprocess = of_input(source, kind).preprocess
    assert len(preprocess.mean) == INPUTS[kind][0]
    return (-torch.tensor(preprocess.mean) / torch.tensor(preprocess.std)).view(-1, 1, 1)


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("source", MADE)
def test_each_method_takes_such_images_or_says_why_not(source: str, kind: str) -> None:
    asked = of_input(source, kind)
    query = Query(asked, seen(kind)[:1], Classes(torch.ones(1, dtype=torch.int64)))
    for name, method in EXPLAINERS.items():
        if not method.unmet(asked):
            found = explain(name, query, nets.quick(method)).maps
            assert found.shape == (1, *INPUTS[kind][1]), name
            assert torch.isfinite(found).all(), name


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("source", MADE)
def test_occlusion_of_such_images(source: str, kind: str) -> None:
    images, (height, width) = seen(kind), INPUTS[kind][1]
    window = round(56 * min(height, width) / 224)
    found = asked_about(source, kind, "occlusion", window=56, stride=56, fill="black")
    with torch.no_grad():
        clean = raw(source, kind, images).softmax(1)[:, 1]
        for top in range(0, height, window):
            for left in range(0, width, window):
                cell = (..., slice(top, top + window), slice(left, left + window))
                hidden = images.clone()
                hidden[cell] = black(source, kind)
                drop = (clean - raw(source, kind, hidden).softmax(1)[:, 1]).double()
                assert torch.allclose(found[cell], drop.view(2, 1, 1).expand_as(found[cell]), atol=1e-5)


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("source", MADE)
def test_integrated_gradients_of_such_images(source: str, kind: str) -> None:
    found = asked_about(source, kind, "integrated_gradients", steps=12, start="black")
    nodes, weights = (torch.from_numpy(values).float().view(-1, 1, 1, 1) / 2 for values in leggauss(12))
    for image, one in zip(seen(kind), found, strict=True):
        away = image - black(source, kind)
        points = (black(source, kind) + (nodes + 0.5) * away).requires_grad_()
        slopes = torch.autograd.grad(raw(source, kind, points)[:, 1].sum(), points)[0]
        assert torch.allclose(one, ((weights * slopes).sum(0) * away).sum(0).double(), atol=1e-5)


@pytest.mark.parametrize("kind", INPUTS)
def test_grad_cam_of_such_images_in_a_network_of_convolutions(kind: str) -> None:
    net = made("own code", kind)
    kept = net.features(seen(kind))
    slopes = torch.autograd.grad(net.head(kept.mean((2, 3)))[:, 1].sum(), kept)[0]
    small = (slopes.mean((2, 3), keepdim=True) * kept).sum(1, keepdim=True).relu()
    expected = F.interpolate(small, INPUTS[kind][1], mode="bilinear", align_corners=False)[:, 0].double()
    assert torch.allclose(asked_about("own code", kind, "grad_cam"), expected, atol=1e-5)


@pytest.mark.parametrize("kind", INPUTS)
def test_grad_cam_of_such_images_in_a_transformer(kind: str) -> None:
    """The tokens of a layer lie on a grid of the image's proportions."""
    net, images, kept = made("timm_transformer", kind), seen(kind), []
    layer = of_input("timm_transformer", kind).survey.default
    net.get_submodule(layer).register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    slopes = torch.autograd.grad(net(images)[:, 1].sum(), kept)[0]
    cells = [side // 8 for side in INPUTS[kind][1]]
    values, slopes = (
        part[:, -cells[0] * cells[1] :].transpose(1, 2).unflatten(2, cells) for part in (kept[0].detach(), slopes)
    )
    small = (slopes.mean((2, 3), keepdim=True) * values).sum(1, keepdim=True).relu()
    expected = F.interpolate(small, INPUTS[kind][1], mode="bilinear", align_corners=False)[:, 0].double()
    assert torch.allclose(asked_about("timm_transformer", kind, "grad_cam"), expected, atol=1e-5)


@pytest.mark.parametrize("source", ["timm_resnet", "hf_resnet", "Several"])
def test_a_network_runs_once_to_be_tried_and_twice_to_be_surveyed(source: str) -> None:
    net = nets.seeded(lambda: SOURCES[source](HEADS["softmax"]))
    passes: list[int] = []
    net.register_forward_pre_hook(lambda _net, images: passes.append(len(images[0])))
    from_source(source, SourceNetwork(net, (), Preprocess(SIDE, SIDE)), "cpu", ModelOptions())
    assert passes == [2, 2, 2]
