"""The meaning of a network's outputs: how logits become probabilities, one logit two classes, probabilities logits."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.data.model_options import ModelOptions, Output
from core.errors import BadParameter
from core.network.operations import Rules

Squashing = Literal["softmax", "sigmoid"]
Ending = Squashing | Literal[""]  # what a network itself makes its outputs probabilities with

_SCALES = (1, 30, 1000)  # of images that show what follows a layer: operations that clip large values only, too
_KINDS: tuple[Output, ...] = get_args(Output)


def output_of(options: ModelOptions, name: str, outputs: int, ending: Ending = "") -> Output:
    """The meaning of this many outputs: the one the options name, by default sigmoid for one and softmax for several.

    Several that end in a sigmoid of the network's own are several labels by default. Raises BadParameter for a meaning
    that they cannot have, or a threshold that nothing would be compared with.
    """
    many = f"{name} has {outputs} outputs" if outputs > 1 else f"{name} has one output"
    several: Output = "multilabel" if ending == "sigmoid" else "softmax"
    kind = next((kind for kind in _KINDS if kind == options.output), several if outputs > 1 else "sigmoid")
    if kind == "softmax" and outputs == 1:
        message = f"{many}, of which a softmax is always 100%."
        raise BadParameter(message, "Use sigmoid, or regression for a value.")
    if kind == "sigmoid" and outputs > 1:
        raise BadParameter(f"{many}, and sigmoid reads one.", "Use multilabel for a sigmoid of each output.")
    if kind == "multilabel" and outputs == 1:
        raise BadParameter(f"{many}, and multilabel reads several.", "Use sigmoid for one label that is there or not.")
    if outputs > 1 and ending and kind not in (several, "regression"):
        message = f"{name} ends in a {ending} of its own, and {kind} would read its outputs in another way."
        raise BadParameter(message, f"Use {several}, or regression for its outputs as they are.")
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
def ending_of(net: nn.Module, images: Tensor, outputs: Tensor) -> Ending:
    """The function that a network itself ends in, "" for one that ends in logits, as all of torchvision's do.

    Its `outputs` for the images, and those for far larger images and an empty one, must be shares that add up to one
    and that the images change, or the results of its last call of a sigmoid.
    """
    if not _within_one(outputs):
        return ""
    last = torch.empty(0)

    def kept(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        nonlocal last
        last = function(*args, **options)
        return last

    images = torch.cat([*(images * scale for scale in _SCALES), torch.zeros_like(images[:1])])
    with Rules({"sigmoid": kept}):
        outputs = net(images)
    if not _within_one(outputs):
        return ""
    rows = outputs.reshape(len(images), -1)
    if rows.shape[1] > 1 and bool(((rows.sum(1) - 1).abs() < 1e-4).all()) and not torch.equal(rows[:1], rows[1:2]):
        return "softmax"
    return "sigmoid" if torch.equal(last.flatten(), outputs.flatten()) else ""


@torch.no_grad()
def without_ending(net: nn.Module, ending: Squashing, images: Tensor) -> tuple[nn.Module, str]:
    """The network with logits as outputs in place of its own probabilities, and a note on how it was done.

    The final module is left out where `images` show that its function of what precedes gives the same probabilities;
    elsewhere, such as after a call of the function, its inverse is appended.
    """
    expected = net(images)
    kinds = (nn.Softmax, nn.Softmax2d) if ending == "softmax" else nn.Sigmoid

    def left_out(module: nn.Module) -> nn.Module | None:
        return nn.Identity() if isinstance(module, kinds) else None

    if _replaced(net, left_out, lambda: probabilities(net(images), ending), expected):
        return net, f"Left out the network's own final {ending}: its logits are explained."
    inverse = "logarithms" if ending == "softmax" else "log-odds"
    note = f"The network ends in a {ending} of its own: the {inverse} of its outputs are explained."
    return _Logits(net, ending), note


class _Logits(nn.Module):
    """A network whose probabilities are turned into logits: the softmax or sigmoid of them is the probabilities."""

    def __init__(self, network: nn.Module, ending: Squashing) -> None:
        super().__init__()
        self.network = network
        self.ending = ending

    def forward(self, images: Tensor) -> Tensor:
        """The outputs (N, C) or (N,); probabilities that were rounded to 0 or 1 get the next smaller or larger ones."""
        outputs: Tensor = self.network(images)
        precision = torch.finfo(outputs.dtype)
        if self.ending == "softmax":
            return outputs.clamp(min=precision.tiny).log()
        return outputs.clamp(precision.tiny, 1 - precision.eps / 2).logit()


@torch.no_grad()
def two_sided(net: nn.Module, images: Tensor) -> nn.Module:
    """A network with outputs (−z, z), for "negative" and "positive", from one with a single output z.

    Their sigmoids add up to one, and maps of both classes are each other's negative. The last linear layer is doubled
    where `images` show that this gives exactly these outputs; elsewhere an operation without parameters is appended.
    """
    images = torch.cat([images * scale for scale in _SCALES])
    z = net(images).reshape(-1, 1)
    expected = torch.cat([-z, z], 1)

    def doubled(module: nn.Module) -> nn.Module | None:
        if isinstance(module, nn.Linear | nn.Conv2d) and len(module.weight) == 1:
            return _doubled(module)
        return None

    return net if _replaced(net, doubled, lambda: net(images), expected) else _TwoSided(net)


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


def _within_one(outputs: Tensor) -> bool:
    """Whether all outputs are between 0 and 1."""
    return bool(((outputs >= 0) & (outputs <= 1)).all())


def _replaced(
    net: nn.Module,
    substitute: Callable[[nn.Module], nn.Module | None],
    outputs: Callable[[], Any],
    expected: Tensor,
) -> bool:
    """Whether a module of the network, the last first, was replaced with its substitute, so that `outputs` are right.

    They are right if they are the expected ones, to rounding; a module without a substitute stays.
    """
    for name, module in reversed(list(net.named_modules())):
        new = substitute(module) if name else None
        if new is None:
            continue
        _replace(net, name, new)
        if _same(outputs, expected):
            return True
        _replace(net, name, module)
    return False


def _same(outputs: Callable[[], Any], expected: Tensor) -> bool:
    """Whether a network can be called, and gives these outputs, to rounding."""
    try:
        given = outputs()
    except (RuntimeError, ValueError, IndexError):  # what follows the layer was made for one output
        return False
    return isinstance(given, Tensor) and given.shape == expected.shape and torch.allclose(given, expected)


def _replace(net: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(net.get_submodule(parent), child, module)
