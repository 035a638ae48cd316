"""A loaded network with everything that belongs to it: labels, output, preprocessing, hash and survey."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from core.data.labels import class_index, labels_file, sides
from core.data.model_options import ModelOptions, Output
from core.environment import exact
from core.errors import BadModel, BadParameter, UnknownName, Unsupported
from core.images import Preprocess
from core.models.name import parsed
from core.models.output import ending_of, output_of, probabilities, two_sided, without_ending
from core.models.source import SourceNetwork
from core.models.trial import scores_of, tried, with_scores
from core.network.inference import added_bytes, for_half_precision, for_inference, keeps, overwrite_nothing
from core.network.inspection import Survey, survey
from core.params import whole
from core.progress import Report
from core.randomness import generator
from core.registry import unknown
from core.serialization import digest


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
    output: Output = "softmax"
    threshold: float = 0.5  # the probability above which a label is predicted, if output is sigmoid or multilabel
    options: ModelOptions = field(default_factory=ModelOptions)  # those it was loaded with
    notes: tuple[str, ...] = ()  # what was assumed when it was loaded, as sentences
    differentiable: bool = True  # whether gradients reach the images
    edits: tuple[str, ...] = ()  # of its filters, as `core.edits` writes them; `sha` is that of the unedited weights

    @cached_property
    def key(self) -> str:
        """A key for caches, equal for models that compute the same from the same picture."""
        return digest([self.sha, self.output, vars(self.preprocess), *self.edits])

    @property
    def display(self) -> str:
        """The name without folders of this machine, for texts that strangers may see."""
        return parsed(self.name).display

    @property
    def quantity(self) -> Literal["probability", "value"]:
        """The word for what `probabilities` are."""
        return "value" if self.output == "regression" else "probability"

    def probabilities(self, logits: Tensor) -> Tensor:
        """The probability of each class (..., C) from the network's outputs; of a regression the values."""
        return probabilities(logits, self.output)

    def ranked(self, logits: Tensor) -> Tensor:
        """The class indices (..., C) in the order in which they are predicted.

        The most probable class is first; with one logit the class that the threshold decides on. The outputs of a
        regression have no order but their own.
        """
        if self.output == "regression":
            return torch.arange(logits.shape[-1], device=logits.device).expand(logits.shape)
        if self.output == "sigmoid":
            at = torch.tensor(self.threshold, dtype=logits.dtype, device=logits.device).logit()
            logits = logits - torch.stack([-at, at])
        return logits.argsort(stable=True, dim=-1, descending=True)

    def predicted(self, logits: Tensor) -> Tensor:
        """The class index (...) that stands for each image: the first of `ranked`."""
        return self.ranked(logits)[..., 0]

    def asserts(self, logits: Tensor) -> Tensor:
        """Whether each class (..., C) is predicted: the first of `ranked`, of several labels all above the threshold.

        A regression predicts no class.
        """
        if self.output == "multilabel":
            high = logits.to(exact(logits.device)).double().sigmoid() > self.threshold
            return high.to(logits.device)
        none = torch.zeros_like(logits, dtype=torch.bool)
        return none if self.output == "regression" else none.scatter(-1, self.predicted(logits)[..., None], True)

    def asserted(self, logits: Tensor) -> list[int]:
        """The classes that are predicted from the outputs (C,) of one image, in the order of `ranked`."""
        asserts = self.asserts(logits)
        return [index for index in self.ranked(logits).tolist() if asserts[index]]

    def right(self, logits: Tensor, true: int) -> bool | None:
        """Whether the class `true` is predicted from the outputs (C,); None for a regression, which predicts none."""
        return None if self.output == "regression" else bool(self.asserts(logits)[true])

    def spelled(self, value: float) -> str:
        """One of `probabilities` as text: percent, or the number of a regression."""
        return f"{value:.4g}" if self.output == "regression" else f"{value:.1%}"

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next((p.device for p in self.net.parameters()), torch.device("cpu"))

    @property
    def memory(self) -> int:
        """The bytes of the weights, and of those of its copies for inference once they are made."""
        return sum(value.nbytes for value in self.net.state_dict().values()) + added_bytes(self.net)

    @cached_property
    def multiplications(self) -> int:
        """Multiplications by the weights of convolutions and linear layers in a forward of one image."""
        return sum(
            layer.calls * prod(layer.shape) // layer.units * weight.numel()
            for layer in self.survey.linear
            for weight in self.net.get_submodule(layer.name).parameters(recurse=False)
            if weight.dim() > 1
        )

    @property
    def inference(self) -> nn.Module:
        """The network with less work for passes that keep no output of a layer inside; made once.

        It is `net` itself where nothing can be saved, see `core.network.inference`.
        """
        return for_inference(self.net, self.sha, self._noise)

    @property
    def inference_in_half(self) -> nn.Module:
        """The same for passes in which torch casts to bfloat16; made once."""
        return for_half_precision(self.net, self.sha, self._noise)

    def _noise(self) -> Tensor:
        drawn = torch.randn(2, *self.preprocess.shape, generator=generator(0))
        return drawn.to(self.device).contiguous(memory_format=self.order)

    def network_for(self, layers: Iterable[str]) -> nn.Module:
        """`inference` where it has the outputs of these layers, too, though it may overwrite them later; else `net`."""
        return self.inference if all(keeps(self.net, self.inference, layer) for layer in layers) else self.net

    def target(self, wanted: str | int) -> int:
        """The index of the class that a text or number means. Raises as `core.data.labels.class_index`."""
        return class_index(wanted, self.labels, self.display)

    def resolve_layer(self, layer: str = "") -> str:
        """The layer where activations are read: the named one, or the surveyed default.

        Raises UnknownName for a layer the network lacks, Unsupported if it, or every layer, has no positions.
        """
        name, usable = layer or self.survey.default, [usable_layer.name for usable_layer in self.survey.usable]
        if not name:
            message = f"{self.display} has no layer with spatial positions."
            raise Unsupported(message, "Choose a method that needs none.")
        if name in usable:
            return name
        if self.survey.layer(name):
            message = f"Layer '{name}' of {self.display} has no spatial positions."
            raise Unsupported(message, "Choose a layer before it.")
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
    load: Callable[[torch.device | str, Report, ModelOptions], Model] = field(repr=False, compare=False)
    license: str = ""  # of code and weights, where it is known
    family: str = ""  # of the architecture


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
    overwrite_nothing(net)
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
    options: ModelOptions | None = None,
    output: Output | Literal["auto"] = "auto",
) -> Model:
    """A network frozen, moved to `device` and surveyed, with its outputs read as `options` say.

    One that ends in a softmax or sigmoid of its own is read without it: outputs of a model are logits. `output` is
    what its source says of them, where the options say nothing.

    Labels of the options precede `labels`; without any, classes are "class 0", "class 1" …, and those of one logit
    "negative" and "positive". Raises BadParameter for options that do not fit, BadModel for labels that do not or for
    a network that cannot take images of this size.
    """
    options = options or ModelOptions()
    overwrote = overwriting(net)
    net = frozen(net).to(device)
    shown = parsed(name).display  # without the folders of this machine
    trial, entry = with_scores(net, tried(net, shown, preprocess or Preprocess(), options))
    preprocess, noise = trial.preprocess, trial.images
    if (facts or {}).get("source") == "Hugging Face":  # whose networks all give one
        entry = ""
    given_notes = (f"{note}." for note in (facts or {}).get("notes", ()))
    notes = (*given_notes, *filter(None, [trial.channels, entry]), *trial.notes)
    sha = sha or content_sha(net.state_dict())
    given = scores_of(trial, shown)
    outputs = given.shape[1] if given.dim() == 2 else 1
    ending = ending_of(net, noise, given)
    meant = replace(options, output=output) if options.output == "auto" else options
    kind = output_of(meant, shown, outputs, ending)
    if ending and kind != "regression":
        net, left_out = without_ending(net, ending, noise)
        notes = (*notes, left_out)
    if options.labels:
        labels, assumed = labels_file(options.labels, outputs)
        notes = (*notes, *assumed)
    elif labels and len(labels) != outputs and not (kind == "sigmoid" and len(labels) == 2):
        raise BadModel(
            f"{len(labels)} labels are given for {shown}, which has {outputs} outputs.", "Give one for each."
        )
    labels = labels or _numbered(kind, outputs)
    if kind == "sigmoid":
        labels = sides(labels)
        net = two_sided(net, noise)
        if options.output == "auto":
            notes = (
                *notes,
                f"The network has one output, read through a sigmoid: {labels[1]} above {options.threshold:g}.",
            )
    surveyed = survey(net, preprocess.size, preprocess.shape[0])
    return Model(
        name, net, labels, preprocess, sha, surveyed, dict(facts or {}), trial.order, overwrote,
        kind, options.threshold, options, notes, _differentiable(net, noise),
    )  # fmt: skip


def from_source(name: str, given: SourceNetwork, device: torch.device | str, options: ModelOptions) -> Model:
    """The model of what a source gave for a name. Raises as `as_model`."""
    sha = content_sha(given.net.state_dict())
    return as_model(
        name,
        given.net,
        labels=given.labels,
        preprocess=given.preprocess,
        sha=digest([sha, given.code]) if given.code else sha,
        facts=given.facts,
        device=device,
        options=options,
        output=given.output,
    )


def _numbered(output: Output, outputs: int) -> tuple[str, ...]:
    """Labels for outputs without any."""
    if output == "sigmoid":
        return ("negative", "positive")
    word = "output" if output == "regression" else "class"
    return tuple(f"{word} {index}" for index in range(outputs))


def _differentiable(net: nn.Module, images: Tensor) -> bool:
    """Whether gradients reach the images; those of a network without weights of torch are not taken for granted."""
    if any(True for _ in net.parameters()):
        return True
    with torch.enable_grad():
        outputs: Tensor = net(images[:1].clone().requires_grad_())
    return outputs.requires_grad


def content_sha(state: Mapping[str, Tensor]) -> str:
    """The sha256 over names, shapes and bytes of a state dict, whatever file it came from."""
    import hashlib

    digest = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous()
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
