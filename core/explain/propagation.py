"""Explanations that change the rule by which operations hand the score back to the image."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from core.capture import Rules
from core.errors import Unsupported
from core.explain.explainer import SMOOTH, Shared, explainer
from core.explain.gradient import Reduce, reduced
from core.explain.query import Query

GUIDED = Shared("guided", once=0, each=3)


@explainer(
    "Guided backprop",
    family="propagation",
    paper="Springenberg et al. 2014",
    formula="at every ReLU: R ← R · [R > 0] · [z > 0]; largest |R| over the colour channels",
    caution="Shows edges that the network can see, hardly depending on the class or even on trained weights.",
    cost=lambda settings, side: 3,
    needs=("relu",),
    shares=(GUIDED,),
)
def guided_backprop(query: Query, *, reduce: Reduce = "max_abs") -> Tensor:
    """The details of the image that excite the network, sharp as a drawing.

    The score is handed back to the pixels as in a gradient, but every ReLU lets through only what is positive both on
    the way up and on the way down, so whatever would lower the score disappears.
    """
    return reduced(rectified_slope(query, "guided"), reduce)


@explainer(
    "Deconvnet",
    family="propagation",
    paper="Zeiler & Fergus 2014",
    formula="at every ReLU: R ← R · [R > 0]; largest |R| over the colour channels",
    caution="Hardly depends on the class: it redraws the image's edges. Never read it as evidence.",
    cost=lambda settings, side: 3,
    needs=("relu",),
)
def deconvnet(query: Query, *, reduce: Reduce = "max_abs") -> Tensor:
    """The score projected back to the image by running the network's layers in reverse.

    Filters are applied transposed, pooling puts values back where the maximum came from, and every ReLU keeps only
    what is positive on the way down, whatever it saw on the way up.
    """
    return reduced(rectified_slope(query, "deconvnet"), reduce)


def rectified_slope(query: Query, kind: Literal["guided", "deconvnet"]) -> Tensor:
    """The slope at the images (B, 3, H, W) under a changed rule of ReLU, kept in the query's cache.

    Raises Unsupported where no ReLU was met: the result would be the plain gradient under another name.
    """
    if others := ", ".join(sorted(SMOOTH & set(query.model.survey.operations))):
        query.ledger.remarks["plain gradient at"] = others
    return query.cache.get((*query.key, kind), lambda: _rectified_slope(query, RECTIFIERS[kind], kind))


class Relay(torch.autograd.Function):
    """A tensor whose value is `value` and which hands back `share(R)` to `source` instead of its gradient."""

    @staticmethod
    def forward(ctx: Any, _source: Tensor, value: Tensor, share: Callable[[Tensor], Tensor]) -> Tensor:
        """The value, unchanged."""
        ctx.share = share
        return value.detach().view_as(value)

    @staticmethod
    def backward(ctx: Any, *received: Tensor) -> tuple[Tensor, None, None]:
        """What the share makes of the received relevance."""
        return ctx.share(received[0]), None, None


def _guided(relu: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
    # Its own backward already drops what was not positive on the way up.
    value = relu(*args, **kwargs)
    return Relay.apply(value, value, _positive)


def _deconvnet(relu: Callable[..., Tensor], source: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    # On a copy: a ReLU that works in place would put its own backward into the source.
    return Relay.apply(source, relu(source.clone(), *args, **kwargs), _positive)


def _positive(received: Tensor) -> Tensor:
    return received.clamp(min=0)


RECTIFIERS = {"guided": _guided, "deconvnet": _deconvnet}


def _rectified_slope(query: Query, rule: Callable[..., Tensor], kind: str) -> Tensor:
    rules = Rules({"relu": rule, "relu6": rule})
    slopes = [
        query.gradient(query.images[span.start : span.stop], query.targets[span.start : span.stop], rules=rules)
        for span in query.chunks(len(query.images), kind)
    ]
    if not rules.fired:
        raise Unsupported(f"{query.model.name} met no ReLU on the way to this score.", "Choose another method.")
    return torch.cat(slopes)
