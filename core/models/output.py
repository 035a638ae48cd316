"""The meaning of a network's outputs: how logits become probabilities, and one logit two classes."""

from copy import deepcopy
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.data.model_options import ModelOptions, Output
from core.errors import BadParameter

_SCALES = (1, 30, 1000)  # of images that show what follows a layer: operations that clip large values only, too
_KINDS: tuple[Output, ...] = get_args(Output)


def output_of(options: ModelOptions, name: str, outputs: int) -> Output:
    """The meaning of this many outputs: the one the options name, by default sigmoid for one and softmax for several.

    Raises BadParameter for one that they cannot have, or a threshold that nothing would be compared with.
    """
    many = f"{name} has {outputs} outputs" if outputs > 1 else f"{name} has one output"
    kind = next((kind for kind in _KINDS if kind == options.output), "softmax" if outputs > 1 else "sigmoid")
    if kind == "softmax" and outputs == 1:
        message = f"{many}, of which a softmax is always 100 %."
        raise BadParameter(message, "Use sigmoid, or regression for a value.")
    if kind == "sigmoid" and outputs > 1:
        raise BadParameter(f"{many}, and sigmoid reads one.", "Use multilabel for a sigmoid of each output.")
    if kind == "multilabel" and outputs == 1:
        raise BadParameter(f"{many}, and multilabel reads several.", "Use sigmoid for one label that is there or not.")
    if options.threshold != ModelOptions.threshold and kind not in ("sigmoid", "multilabel"):
        hint = "Leave the threshold out, or read the outputs as sigmoid or multilabel."
        raise BadParameter(f"A threshold of {options.threshold:g} has no meaning for {kind}.", hint)
    return kind


def probabilities(logits: Tensor, output: Output) -> Tensor:
    """The probability of each class (..., C); of a regression the values themselves."""
    if output == "regression":
        return logits
    return logits.softmax(-1) if output == "softmax" else logits.sigmoid()


def log_probabilities(logits: Tensor, output: Output) -> Tensor:
    """The logarithms of `probabilities` (..., C), exact for small ones; of a regression the values themselves."""
    if output == "regression":
        return logits
    return logits.log_softmax(-1) if output == "softmax" else F.logsigmoid(logits)


@torch.no_grad()
def two_sided(net: nn.Module, images: Tensor) -> nn.Module:
    """A network with outputs (−z, z), for "negative" and "positive", from one with a single output z.

    Their sigmoids add up to one, and maps of both classes are each other's negative. The last linear layer is doubled
    where `images` show that this gives exactly these outputs; elsewhere an operation without parameters is appended.
    """
    images = torch.cat([images * scale for scale in _SCALES])
    z = net(images).reshape(-1, 1)
    expected = torch.cat([-z, z], 1)
    for name, module in reversed(list(net.named_modules())):
        if name and isinstance(module, nn.Linear | nn.Conv2d) and len(module.weight) == 1:
            _replace(net, name, _doubled(module))
            if _same(net, images, expected):
                return net
            _replace(net, name, module)
    return _TwoSided(net)


class _TwoSided(nn.Module):
    """A network with its one output z followed by a linear operation to (−z, z)."""

    signs: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        # A buffer: layers with parameters count as those that read maps.
        self.register_buffer("signs", torch.tensor([[-1.0], [1.0]]).to(next(network.parameters(), torch.empty(0))))

    def forward(self, images: Tensor) -> Tensor:
        """The outputs (N, 2)."""
        return F.linear(self.network(images).reshape(-1, 1), self.signs)


def _doubled(layer: nn.Linear | nn.Conv2d) -> nn.Module:
    """A linear layer or convolution with one output, and its negative as another output before it."""
    double = deepcopy(layer)
    double.weight = nn.Parameter(torch.cat([-layer.weight, layer.weight]), requires_grad=False)
    if layer.bias is not None:
        double.bias = nn.Parameter(torch.cat([-layer.bias, layer.bias]), requires_grad=False)
    setattr(double, "out_features" if isinstance(layer, nn.Linear) else "out_channels", 2)
    return double


def _same(net: nn.Module, images: Tensor, expected: Tensor) -> bool:
    """Whether the network gives these outputs, to rounding."""
    try:
        outputs = net(images)
    except (RuntimeError, ValueError, IndexError):  # what follows the layer was made for one output
        return False
    return isinstance(outputs, Tensor) and outputs.shape == expected.shape and torch.allclose(outputs, expected)


def _replace(net: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(net.get_submodule(parent), child, module)
