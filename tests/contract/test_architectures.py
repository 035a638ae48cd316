"""Every method on every kind of network: it works, or says in one sentence why it does not."""

import re
from functools import cache
from pathlib import Path

import pytest
import torch
import torchvision

from core.errors import Unsupported
from core.explain import EXPLAINERS, explain
from core.explain.method import HEAD, LAYER, RELU
from core.explain.methods.relevance import RULES
from tests import nets

pytestmark = pytest.mark.slow

# The smallest member of each family, and the smallest side at which its last layer still has positions.
ARCHITECTURES = {
    "VGG": ("vgg11", 64, {}),
    "ResNet": ("resnet18", 64, {}),
    "AlexNet": ("alexnet", 96, {}),
    "SqueezeNet": ("squeezenet1_1", 64, {}),
    "DenseNet": ("densenet121", 64, {}),
    "GoogLeNet": ("googlenet", 64, {"init_weights": False}),
    "Inception": ("inception_v3", 160, {"init_weights": False}),
    "MobileNetV2": ("mobilenet_v2", 64, {}),
    "MobileNetV3": ("mobilenet_v3_small", 64, {}),
    "EfficientNet": ("efficientnet_b0", 64, {}),
    "ConvNeXt": ("convnext_tiny", 64, {}),
    "ViT": ("vit_b_16", 64, {"image_size": 64}),
    "Swin": ("swin_t", 64, {}),
}
README = Path(__file__).resolve().parents[2] / "core/explain/README.md"


@cache
def model(family):
    name, side, settings = ARCHITECTURES[family]

    def make():
        net = getattr(torchvision.models, name)(weights=None, **settings)
        if family == "ViT":
            torch.nn.init.normal_(net.heads.head.weight)  # torchvision starts with a head of zeros
        return net

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
