"""Explanations read from the slope of the score at the image."""

from typing import Annotated, Literal

from torch import Tensor

from core.explain.base import Query, explainer
from core.params import Knob

Reduce = Annotated[Literal["max_abs", "sum_abs"], Knob("How the three colour channels become one value.")]


def reduced(slopes: Tensor, how: str) -> Tensor:
    """Slopes (B, 3, H, W) as maps (B, H, W): the largest size over the colour channels, or the sum of sizes."""
    return slopes.abs().amax(1) if how == "max_abs" else slopes.abs().sum(1)


@explainer(
    "Saliency",
    family="gradient",
    paper="Simonyan et al. 2013",
    formula="|∂s/∂x|, largest over the colour channels",
    caution="Noisy on deep networks; shows where the score is sensitive, not what it is made of.",
    cost=lambda settings, side: 3,
)
def saliency(query: Query, *, reduce: Reduce = "max_abs") -> Tensor:
    """How fast the score changes with each pixel.

    The gradient of the class score with respect to the image says which pixels would change the score most if they
    were changed a little. Only its size is shown.
    """
    return reduced(query.tape().slopes[""], reduce)
