"""Networks of every source with every kind of outputs: each method works, or says in one sentence why not."""

from functools import cache
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
import transformers
from numpy.polynomial.legendre import leggauss
from torch import Tensor, nn

from core.data.model_options import ModelOptions, Output
from core.explain import EXPLAINERS, explain
from core.images import Preprocess
from core.models import Model
from core.models.model import from_source
from core.models.source import SourceNetwork
from tests import nets

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


SOURCES = {
    made.__name__: made for made in (timm_resnet, timm_transformer, hf_resnet, hf_transformer, hf_convnext, Several)
}
# What explains none but networks of ReLUs and convolutions; everything else works on all.
RELU = {"deconvnet", "guided_backprop", "guided_grad_cam", "guided_grad_cam_pp"}
RULES = {"excitation_bp", "contrastive_ebp", "lrp"}
WITHOUT = {
    "timm_resnet": {"cam"},  # on such small images its last stage has a single position
    **{source: {"cam", *RELU, *RULES} for source in ("timm_transformer", "hf_transformer", "hf_convnext")},
}


@cache
def model(source: str, head: Output) -> Model:
    net = nets.seeded(lambda: SOURCES[source](HEADS[head]))
    given = SourceNetwork(net, (), Preprocess(SIDE, SIDE), facts={"source": source})
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
@pytest.mark.parametrize("source", SOURCES)
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


@pytest.mark.parametrize("source", SOURCES)
def test_both_sides_of_one_logit_are_each_others_negative(source: str) -> None:
    one, other = (answer(source, "sigmoid", "input_x_gradient", target) for target in (0, 1))
    assert torch.allclose(one, -other, atol=1e-6)
