"""Modified backpropagation: methods that replace the backward rule of ReLU."""

from torch import Tensor

from core.card import Passes
from core.explain.method import DECONVNET, GRADIENTS, GUIDED, RELU, explainer
from core.explain.methods.gradient import Reduce, reduced
from core.explain.query import Query
from core.explain.relu_rules import ReluRule
from core.network.inspection import SMOOTH


@explainer(
    "Guided backprop",
    family="propagation",
    source="Springenberg et al. 2014",
    formula="at every ReLU: R ← R · [R > 0] · [z > 0]; largest |R| over the colour channels",
    caution="Shows edges the network can detect; hardly depends on the class, or even on trained weights.",
    cost=lambda settings, side: Passes(1, 1),
    needs=(GRADIENTS, RELU),
    shares=GUIDED,
)
def guided_backprop(query: Query, *, reduce: Reduce = "max_abs") -> Tensor:
    """Fine image detail that activates the network along positive paths.

    The score is propagated back to the pixels as in a gradient, but every ReLU passes only values that are positive in
    both the forward and the backward pass, so anything that would lower the score is dropped.
    """
    return reduced(rectified_slope(query, "guided"), reduce)


@explainer(
    "Deconvnet",
    family="propagation",
    source="Zeiler & Fergus 2014",
    formula="at every ReLU: R ← R · [R > 0]; largest |R| over the colour channels",
    caution="Hardly depends on the class: it reproduces the image's edges. Never read it as evidence.",
    cost=lambda settings, side: Passes(1, 1),
    needs=(GRADIENTS, RELU),
    shares=DECONVNET,
)
def deconvnet(query: Query, *, reduce: Reduce = "max_abs") -> Tensor:
    """The score projected back to the image by running the network's layers in reverse.

    Filters are applied transposed, unpooling puts values back where the maximum came from, and every ReLU passes only
    positive values in the backward pass, whatever its input was in the forward pass.
    """
    return reduced(rectified_slope(query, "deconvnet"), reduce)


def rectified_slope(query: Query, kind: ReluRule) -> Tensor:
    """The gradient at the images (B, 3, H, W) under a modified backward rule of ReLU.

    Raises Unsupported if no ReLU was called: the result would be the plain gradient under another name.
    """
    remark_smooth(query)
    return query.rectified(kind)


def remark_smooth(query: Query) -> None:
    """Name the activations besides ReLU, whose backward rule stays the gradient, in a remark."""
    if others := ", ".join(sorted(SMOOTH & set(query.model.survey.operations))):
        query.log.remarks["plain gradient at"] = others
