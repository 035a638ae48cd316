"""What the survey finds in torchvision's families: where to look, how positions lie, how the network ends."""

from dataclasses import dataclass
from functools import cache, lru_cache

import pytest
import torch
from torchvision import models

from core.models.model import frozen
from core.models.sources.torchvision import _built
from core.network.hooks import capture
from core.network.inspection import Layout, Survey, grid, survey


@dataclass(frozen=True)
class Family:
    """The smallest member of a family, an input size it can do with, and what a survey must find in it."""

    name: str
    size: int
    default: str
    kind: str
    head: str = ""
    head_rectifies: bool = False
    rectified: bool = True
    layout: Layout = "grid"


FAMILIES = [
    Family("alexnet", 64, "features.11", "ReLU"),
    Family("vgg11_bn", 32, "features.27", "ReLU"),
    Family("vgg16", 32, "features.29", "ReLU"),
    Family("resnet18", 64, "layer4", "Sequential", "fc"),
    Family("resnext50_32x4d", 64, "layer4", "Sequential", "fc"),
    Family("squeezenet1_0", 64, "features", "Sequential"),
    Family("squeezenet1_1", 64, "features", "Sequential"),
    Family("densenet121", 64, "features", "Sequential", "classifier", head_rectifies=True, rectified=False),
    Family("googlenet", 64, "inception5b", "Inception", "fc"),
    Family("inception_v3", 139, "Mixed_7c", "InceptionE", "fc"),
    Family("mobilenet_v2", 64, "features", "Sequential", "classifier.1"),
    Family("mobilenet_v3_small", 64, "features", "Sequential", rectified=False),
    Family("efficientnet_b0", 64, "features", "Sequential", "classifier.1", rectified=False),
    Family("efficientnet_v2_s", 64, "features", "Sequential", "classifier.1", rectified=False),
    Family("convnext_tiny", 64, "features", "Sequential", rectified=False),
    Family("regnet_x_400mf", 64, "trunk_output", "Sequential", "fc"),
    Family("regnet_y_400mf", 64, "trunk_output", "Sequential", "fc"),
    Family("shufflenet_v2_x0_5", 64, "conv5", "Sequential", "fc"),
    Family("mnasnet0_5", 64, "layers", "Sequential", "classifier.1"),
    Family("swin_t", 64, "permute", "Permute", "head", rectified=False),
    Family("swin_v2_t", 64, "permute", "Permute", "head", rectified=False),
    Family("maxvit_t", 224, "blocks.3", "MaxVitBlock", rectified=False),
    Family("vit_b_32", 224, "encoder.layers.encoder_layer_11.ln_1", "LayerNorm", rectified=False, layout="tokens"),
]
BY_NAME = {family.name: family for family in FAMILIES}


@lru_cache(maxsize=1)  # some are large
def net_of(name: str) -> torch.nn.Module:
    """A network with random weights, batch norms included, so that nothing vanishes on the way."""
    net = _built(name, {})
    drawn = torch.randn(65_537, generator=torch.Generator().manual_seed(0))  # repeated: large nets need millions
    state = net.state_dict()
    for key, value in state.items():
        if not value.is_floating_point():
            continue
        noise = drawn.repeat(-(-value.numel() // len(drawn)))[: value.numel()].view(value.shape)
        if value.dim() > 1:
            state[key] = noise / value[0].numel() ** 0.5
        elif key.endswith(("running_var", "weight")):
            state[key] = 1 + 0.05 * noise
        else:
            state[key] = 0.1 * noise
    net.load_state_dict(state, assign=True)
    return frozen(net)


@cache
def survey_of(name: str) -> Survey:
    return survey(net_of(name), (BY_NAME[name].size, BY_NAME[name].size))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_families(family: Family) -> None:
    found = survey_of(family.name)
    layer = found.layer(found.default)
    assert layer is not None
    assert (found.default, layer.kind, layer.layout) == (family.default, family.kind, family.layout)
    assert (found.head, found.head_rectifies, found.rectified) == (family.head, family.head_rectifies, family.rectified)
    assert layer.cells[0] == layer.cells[1] > 1
    assert not any(module._forward_hooks for module in net_of(family.name).modules())

    names = list(dict.fromkeys(layer.name for layer in found.usable))
    with torch.no_grad(), capture(net_of(family.name), *names) as seen:
        net_of(family.name)(torch.rand(3, 3, family.size, family.size))
    for layer in found.usable:
        assert layer.maps(seen[layer.name]).shape == (3, layer.units, *layer.cells), layer.name
        assert layer.cells[0] == layer.cells[1]


def test_every_family_of_torchvision_is_here() -> None:
    def family(name: str) -> str:
        return name.split("_", maxsplit=1)[0].rstrip("0123456789")

    missing = {family(name) for name in models.list_models(module=models)} - {family(name) for name in BY_NAME}
    assert missing == {"wide"}, "a wide ResNet is a ResNet with more channels"


def test_positions_of_transformers() -> None:
    swin = survey_of("swin_t").layer("features.1")
    assert swin is not None
    assert (swin.layout, swin.units, swin.cells) == ("channels-last", 96, (16, 16))
    vit = survey_of("vit_b_32").layer("encoder.layers.encoder_layer_3")
    assert vit is not None
    assert (vit.layout, vit.shape, vit.units, vit.cells) == ("tokens", (50, 768), 768, (7, 7))
    tokens = torch.arange(50.0).view(1, 50, 1).expand(1, 50, 4)
    assert torch.equal(grid(tokens, "tokens", (7, 7))[0, 2], torch.arange(1.0, 50).view(7, 7)), (
        "row by row, class token dropped"
    )
    last = torch.rand(1, 3, 3, 5)
    assert torch.equal(grid(last, "channels-last", (3, 3))[0, 4], last[0, :, :, 4])


def test_tables_of_relative_positions_are_no_maps() -> None:
    names = [layer.name for layer in survey_of("swin_v2_t").usable]
    assert not any("cpb_mlp" in name for name in names), "they look like an image's positions and belong to none"


def test_reused_modules_and_operations() -> None:
    found = survey_of("resnet18")
    reused = [layer.name for layer in found.reused]
    assert reused == [f"layer{stage}.{block}.relu" for stage in (1, 2, 3, 4) for block in (0, 1)]
    assert found.overwrites == {"add": 8}
    assert len(found.norms) == len(found.folded) == 20
    assert {layer.kind for layer in survey_of("convnext_tiny").norms} == {"LayerNorm", "LayerNorm2d"}
    assert survey_of("densenet121").overwrites == {"relu": 1}
    assert 0 < len(survey_of("densenet121").folded) < len(survey_of("densenet121").norms)
    assert {"conv2d", "batch_norm", "relu", "add", "max_pool2d", "adaptive_avg_pool2d", "linear"} <= set(
        found.operations
    )
    assert "attention" in survey_of("vit_b_32").operations
