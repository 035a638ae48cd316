"""A loaded network with everything that belongs to its weights: labels, preprocessing, hash and survey."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from core.data.labels import class_index
from core.errors import BadParameter, UnknownName, Unsupported
from core.images import Preprocess
from core.network.inspection import Survey, survey
from core.params import whole
from core.progress import Report
from core.registry import unknown


@dataclass(frozen=True)
class Model:
    """A frozen network and the facts that belong to its weights; shared by all sessions, modified by none.

    >>> import vitrine as vt
    >>> model = vt.load("flowers-single-6c")
    >>> model.target("violet"), model.preprocess.crop, model.survey.default
    (4, 128, 'relu4')
    """

    name: str
    net: nn.Module
    labels: tuple[str, ...]
    preprocess: Preprocess
    sha: str  # of the weights' content
    survey: Survey
    facts: Mapping[str, Any] = field(default_factory=dict)  # accuracy, training, licence …
    order: torch.memory_format = torch.contiguous_format  # memory format of the images, fastest for network and device
    overwrote: Mapping[str, int] = field(default_factory=dict)  # in-place modules before freezing, by kind

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next((p.device for p in self.net.parameters()), torch.device("cpu"))

    def target(self, wanted: str | int) -> int:
        """The index of the class that a text or number means. Raises as `core.data.labels.class_index`."""
        return class_index(wanted, self.labels, self.name)

    def resolve_layer(self, layer: str = "") -> str:
        """The layer where activations are read: the named one, or the surveyed default.

        Raises UnknownName for a layer the network lacks, Unsupported if it, or every layer, has no positions.
        """
        name, usable = layer or self.survey.default, [usable_layer.name for usable_layer in self.survey.usable]
        if not name:
            raise Unsupported(f"{self.name} has no layer with spatial positions.", "Choose a method that needs none.")
        if name in usable:
            return name
        if self.survey.layer(name):
            raise Unsupported(f"Layer '{name}' of {self.name} has no spatial positions.", "Choose a layer before it.")
        raise unknown("layer", name, usable)

    def resolve_unit(self, unit: str) -> tuple[str, int]:
        """The layer and the index of the unit in a text LAYER:NUMBER.

        Raises BadParameter for a text of another form, UnknownName for a unit the layer lacks, and as `resolve_layer`.
        """
        layer, _, text = unit.rpartition(":")
        number = whole(text)
        if not layer or number is None:
            raise BadParameter(f"{unit!r} is not a unit.", "Give LAYER:NUMBER, such as layer4:17.")
        facts = self.survey.layer(self.resolve_layer(layer))
        if facts and number >= facts.units:
            raise UnknownName(f"Layer '{layer}' has no unit {number}.", f"Its units are 0 to {facts.units - 1}.")
        return layer, number


@dataclass(frozen=True)
class ModelCard:
    """The facts of a model before it is loaded, and a function that loads it."""

    name: str
    title: str
    source: Literal["bundled", "torchvision"]
    classes: int
    size: int  # pixels, the side of its square input
    parameters: int
    megabytes: float  # of its weights file
    accuracy: float | None  # percent, top-1 on the data its note names
    note: str  # what it was trained on and how, as sentences
    load: Callable[[torch.device | str, Report], Model] = field(repr=False, compare=False)


def overwriting(net: nn.Module) -> dict[str, int]:
    """The kinds of modules that are set to work in place, and how many of each there are."""
    return dict(Counter(type(module).__name__ for module in net.modules() if getattr(module, "inplace", False)))


def frozen(net: nn.Module) -> nn.Module:
    """The same network in eval mode, without parameter gradients and without in-place activations.

    Afterwards nothing in the core changes a flag of a model, so nothing has to be restored.
    """
    net.eval()
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    for module in net.modules():
        if hasattr(module, "inplace"):
            module.inplace = False  # type: ignore[assignment]
    return net


def as_model(
    name: str,
    net: nn.Module,
    *,
    labels: tuple[str, ...] = (),
    preprocess: Preprocess | None = None,
    sha: str = "",
    facts: Mapping[str, Any] | None = None,
    device: torch.device | str = "cpu",
) -> Model:
    """A network frozen, moved to `device` and surveyed; without labels its classes are "class 0", "class 1" …"""
    preprocess = preprocess or Preprocess()
    overwrote = overwriting(net)
    net = frozen(net).to(device)
    surveyed = survey(net, (preprocess.crop, preprocess.crop))
    if not labels:
        classes = _classes(net, preprocess.crop)
        labels = tuple(f"class {index}" for index in range(classes))
    sha, order = sha or content_sha(net.state_dict()), _order(net, preprocess.crop)
    return Model(name, net, labels, preprocess, sha, surveyed, dict(facts or {}), order, overwrote)


@torch.no_grad()
def _order(net: nn.Module, size: int) -> torch.memory_format:
    """Channels last on a CPU, where it makes convolutions up to twice as fast, if the network can."""
    image = torch.zeros(2, 3, size, size, device=next((p.device for p in net.parameters()), "cpu"))
    if image.device.type != "cpu":
        return torch.contiguous_format
    try:
        net(image.contiguous(memory_format=torch.channels_last))
    except RuntimeError:  # a network that relies on the memory order, as `view` does
        return torch.contiguous_format
    return torch.channels_last


def content_sha(state: Mapping[str, Tensor]) -> str:
    """The sha256 over names, shapes and bytes of a state dict, whatever file it came from."""
    import hashlib

    digest = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous()
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _classes(net: nn.Module, size: int) -> int:
    device = next((p.device for p in net.parameters()), torch.device("cpu"))
    with torch.no_grad():
        return int(net(torch.zeros(1, 3, size, size, device=device)).shape[1])
