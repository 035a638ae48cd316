"""Every method on every kind of network: it works, or says in one sentence why it does not."""

import re
from functools import cache, partial
from pathlib import Path

import pytest
import torchvision
from torch import nn
from torchvision.models.convnext import CNBlockConfig

from core.errors import Unsupported
from core.explain import EXPLAINERS, explain
from core.explain.method import HEAD, LAYER, RELU
from core.explain.methods.relevance import RULES
from tests import nets

pytestmark = pytest.mark.slow

MODELS = torchvision.models


def thin_vgg():
    """VGG-11 with 64 instead of 4,096 channels between its linear layers."""
    net = MODELS.vgg11(weights=None, init_weights=False)
    net.classifier[0], net.classifier[3], net.classifier[6] = nn.Linear(25_088, 64), nn.Linear(64, 64), nn.Linear(64, 9)
    return net


def small_vit():
    net = MODELS.VisionTransformer(64, patch_size=16, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64)
    nn.init.normal_(net.heads.head.weight)  # torchvision starts with a head of zeros
    return net


def small_convnext():
    return MODELS.ConvNeXt([CNBlockConfig(16, 32, 1), CNBlockConfig(32, 64, 2), CNBlockConfig(64, None, 1)])


# The smallest member of each family, or a smaller one of its class, and the smallest side at which its last layer still
# has positions.
ARCHITECTURES = {
    "VGG": (thin_vgg, 64),
    "ResNet": (MODELS.resnet18, 64),
    "AlexNet": (MODELS.alexnet, 96),
    "SqueezeNet": (MODELS.squeezenet1_1, 64),
    "DenseNet": (partial(MODELS.DenseNet, 8, (2, 2, 2, 2), 16), 64),
    "GoogLeNet": (partial(MODELS.googlenet, init_weights=False), 64),
    "Inception": (partial(MODELS.inception_v3, init_weights=False), 112),
    "MobileNetV2": (partial(MODELS.mobilenet_v2, width_mult=0.25), 64),
    "MobileNetV3": (MODELS.mobilenet_v3_small, 64),
    "EfficientNet": (MODELS.efficientnet_b0, 64),
    "ConvNeXt": (small_convnext, 64),
    "ViT": (small_vit, 64),
    "Swin": (partial(MODELS.SwinTransformer, [4, 4], 16, [1, 1, 2, 1], [1, 1, 2, 4], [7, 7]), 64),
}
README = Path(__file__).resolve().parents[2] / "core/explain/README.md"


@cache
def model(family):
    make, side = ARCHITECTURES[family]
    return nets.model(nets.seeded(make), side=side)


def obstacle(method, family):
    """The need that the family cannot meet, or None."""
    return next((need for need in method.needs if need.reason(model(family), method.title)), None)


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_every_method_works_or_says_why_not(family):
    shown, failed = model(family), {}
    side = shown.preprocess.crop
    for name, method in EXPLAINERS.items():
        query = nets.query(shown, count=1, side=side)
        try:
            found = explain(name, query, nets.quick(method))
        except Unsupported as error:
            if error.message != method.unmet(shown) or not error.message.endswith("."):
                failed[name] = str(error)
            continue
        if method.unmet(shown):
            failed[name] = f"works although it says: {method.unmet(shown)}"
        if found.maps.shape != (1, side, side):
            failed[name] = f"a map of {tuple(found.maps.shape)}"
    assert not failed


@pytest.mark.parametrize("family", ARCHITECTURES)
@pytest.mark.parametrize("name", ["guided_backprop", "deconvnet"])
def test_no_rule_is_silently_the_plain_gradient(family, name):
    if EXPLAINERS[name].unmet(model(family)):
        return
    query = nets.query(model(family), count=1, side=model(family).preprocess.crop)
    ours, plain = explain(name, query).maps, explain("saliency", query).maps
    assert float((ours - plain).abs().max()) > 1e-3 * float(plain.max())


def matrix():
    """The table of core/explain/README.md: a mark where a method works, else the letter of the reason below."""
    letters = {LAYER: "a", HEAD: "b", RELU: "c", RULES: "d"}
    lines = [f"| | {' | '.join(ARCHITECTURES)} |", f"|---|{'|'.join([':-:'] * len(ARCHITECTURES))}|"]
    for name, method in EXPLAINERS.items():
        cells = [letters.get(obstacle(method, family), "✓") for family in ARCHITECTURES]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def test_the_readme_shows_the_matrix():
    shown = re.search(r"^\| \| VGG .*?(?=\n\n|\n\Z)", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert shown, f"core/explain/README.md should hold:\n{matrix()}"
    assert shown[0] == matrix(), f"the matrix of core/explain/README.md should be:\n{matrix()}"
