"""Explainers: functions of a query, registered with a method card and the needs of the method."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor

from core.card import Budget, Card, Cost, Passes, Validate
from core.errors import Unsupported
from core.models.model import Model
from core.network.inspection import RELUS, SMOOTH, Survey
from core.registry import Registry

Method = Callable[..., Tensor | Iterator[Tensor]]
M = TypeVar("M", bound=Method)
LayersRead = Callable[[Survey, str, Mapping[str, Any]], str]
StoredRead = Callable[[Model, Mapping[str, Any]], str]


@dataclass(frozen=True)
class Shared:
    """Passes of an image that several methods share, so that only the first of them pays for it."""

    name: str
    passes: Passes
    per_target: bool  # made for each target, not once for all

    def needed(self, targets: int) -> Passes:
        """The passes for this many targets."""
        return self.passes * (targets if self.per_target else 1)


FORWARD = Shared("forward", Passes(forward=1), per_target=False)
FORWARD_BACKWARD = (FORWARD, Shared("plain", Passes(backward=1), per_target=True))
GUIDED = (FORWARD, Shared("guided", Passes(backward=1), per_target=True))
DECONVNET = (FORWARD, Shared("deconvnet", Passes(backward=1), per_target=True))


@dataclass(frozen=True)
class Need:
    """A requirement of a method on a model."""

    name: str
    reason: Callable[
        [Model, str], str
    ]  # (model, title of the method) -> why it cannot work, one sentence; "" if it can
    hint: Callable[[Model], str] = lambda model: "Choose another method or another model."


@dataclass(frozen=True)
class Explainer(Card):
    """A method: its card, the function that computes its maps, and the facts that pages and studies need."""

    run: Method
    needs: tuple[Need, ...]
    signed: bool  # values of both signs: zero is the middle of the colour map
    offset: bool  # values are defined up to a constant: the colour map begins at the smallest one, not at zero
    shares: tuple[Shared, ...]  # parts of its cost that other methods share
    layers_read: LayersRead  # (survey, requested layer, settings) -> the layers it reads; "" is the image
    stored_read: StoredRead  # (model, settings) -> what identifies the stored results that it reads; "" for none

    def follows_layer(self, survey: Survey) -> bool:
        """Whether its map depends on the requested layer."""
        requested = ("", *(layer.name for layer in survey.usable))
        return len({self.layers_read(survey, layer, self.defaults) for layer in requested}) > 1

    def unmet_need(self, model: Model) -> Need | None:
        """The first need that a model does not meet; None if this method can work on it."""
        return next((need for need in self.needs if need.reason(model, self.title)), None)

    def unmet(self, model: Model) -> str:
        """Why this method cannot work on this model, as one sentence; "" if it can."""
        need = self.unmet_need(model)
        return need.reason(model, self.title) if need else ""

    def check(self, model: Model) -> None:
        """Raise Unsupported if this method cannot work on this model."""
        if need := self.unmet_need(model):
            raise Unsupported(need.reason(model, self.title), need.hint(model))


EXPLAINERS: Registry[Explainer] = Registry("method")


def passes(requests: Iterable[tuple[Explainer, Mapping[str, Any], Hashable]], side: int) -> Passes:
    """The passes that methods with their settings and targets need together for an image of `side` pixels.

    What they share is counted once, as long as it stays cached.
    """
    total, shared = Passes(), dict[Shared, set[Hashable]]()
    for method, settings, target in requests:
        total += method.passes(settings, side)
        for work in method.shares:
            total -= work.passes
            shared.setdefault(work, set()).add(target)
    return sum((work.needed(len(targets)) for work, targets in shared.items()), total)


def explainer(
    title: str,
    *,
    family: str,
    source: str,
    formula: str,
    caution: str,
    cost: Cost,
    needs: tuple[Need, ...] = (),
    shares: tuple[Shared, ...] = (),
    layers_read: LayersRead | None = None,
    stored_read: StoredRead = lambda model, settings: "",
    signed: bool = False,
    offset: bool = False,
    budgets: Mapping[Budget, Mapping[str, Any]] | None = None,
    validate: Validate | None = None,
) -> Callable[[M], M]:
    """Register a method under its function's name; its settings are the `Knob`s of its signature.

    The function takes a Query and its settings, and returns raw maps (B, h, w) of any size; a method that can stop
    early is a generator that yields running maps, the last of which is the result. `budgets` holds the settings for a
    quick run and those of the paper; the defaults are the standard. `validate` rejects incompatible settings before
    any work. `layers_read` is for a method that reads other layers than the query's layer, or than the image if it
    needs no layer, and `stored_read` for one that reads stored results of analyses: the key of its cached maps depends
    on it. A generator yields after fixed numbers of passes, never by the clock: convergence must not depend on the
    machine.
    """

    def register(run: M) -> M:
        reads = layers_read or (_chosen if LAYER in needs else _image)
        entry = Explainer.of(
            run, title, family=family, source=source, formula=formula, caution=caution, cost=cost, budgets=budgets,
            validate=validate, run=run, needs=needs, signed=signed, offset=offset,
            shares=tuple(dict.fromkeys(shares)), layers_read=reads, stored_read=stored_read,
        )  # fmt: skip
        EXPLAINERS.add(entry.name, entry)
        return run

    return register


def _chosen(survey: Survey, layer: str, settings: Mapping[str, Any]) -> str:
    return layer or survey.default


def _image(survey: Survey, layer: str, settings: Mapping[str, Any]) -> str:
    return ""


def _needs_gradients(model: Model, title: str) -> str:
    if model.differentiable:
        return ""
    return f"{title} requires gradients, and {model.display} is a black box that gives outputs alone."


def _needs_layer(model: Model, title: str) -> str:
    if model.survey.default:
        return ""
    return f"{title} requires a layer with spatial positions, and {model.display} has none."


def _needs_head(model: Model, title: str) -> str:
    if model.survey.head:
        return ""
    return f"{title} needs global average pooling and one linear layer at the end; {model.display} ends otherwise."


def _needs_relu(model: Model, title: str) -> str:
    used = set(model.survey.operations)
    if used & RELUS:
        return ""
    others = ", ".join(sorted(used & SMOOTH)) or "none"
    return f"{title} changes the backward rule of ReLU, and {model.display} has no ReLU (its activations: {others})."


GRADIENTS = Need("gradients", _needs_gradients)
LAYER = Need("layer", _needs_layer)
HEAD = Need("head", _needs_head)
RELU = Need("relu", _needs_relu)
