"""Gradient methods: maps read from the gradient of the score with respect to the image."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from core.card import Passes
from core.errors import Unsupported
from core.explain.method import FORWARD_BACKWARD, GRADIENTS, LAYER, explainer
from core.explain.query import Query
from core.images import resized
from core.network.inspection import Survey
from core.network.operations import Rules
from core.params import Knob

Reduce = Annotated[
    Literal["max_abs", "sum_abs"],
    Knob(
        "How the three colour channels are combined.",
        title="Combine channels",
        names=("maximum magnitude", "sum of magnitudes"),
    ),
]


def reduced(slopes: Tensor, how: str) -> Tensor:
    """Slopes (B, 3, H, W) as maps (B, H, W): over channels the largest magnitude, sum of magnitudes, or sum."""
    if how == "sum":
        return slopes.sum(1)
    return slopes.abs().amax(1) if how == "max_abs" else slopes.abs().sum(1)


@explainer(
    "Saliency",
    family="gradient",
    source="Simonyan et al. 2013",
    formula="|∂s/∂x|, largest over the colour channels",
    caution="Noisy on deep networks; shows where the score is sensitive, not which evidence it is based on.",
    cost=lambda settings, side: Passes(1, 1),
    needs=(GRADIENTS,),
    shares=FORWARD_BACKWARD,
)
def saliency(query: Query, *, reduce: Reduce = "max_abs") -> Tensor:
    """How fast the score changes with each pixel.

    The gradient of the class score with respect to the image: which pixels would change the score most if changed
    slightly. Only its magnitude is shown.
    """
    return reduced(query.forward_backward().slopes[""], reduce)


@explainer(
    "Input × gradient",
    family="gradient",
    source="Shrikumar et al. 2016",
    formula="Σ over the colour channels of x · ∂s/∂x",
    caution="Pixels of the mean colour get zero, whatever they show; exact only for networks without biases.",
    cost=lambda settings, side: Passes(1, 1),
    needs=(GRADIENTS,),
    shares=FORWARD_BACKWARD,
    signed=True,
)
def input_x_gradient(query: Query) -> Tensor:
    """The contribution of each pixel to the score under a linear approximation of the network.

    The gradient is multiplied by the pixel value. For a ReLU network without biases these products sum exactly to the
    score; for others they are its first-order approximation.
    """
    recording = query.forward_backward()
    return (recording.values[""] * recording.slopes[""]).sum(1)


@explainer(
    "Layer-wise input × gradient",
    family="gradient",
    source="Soleymani's lecture (CAT); Qiang et al. 2022 (AttCAT)",
    formula="mean over the layers l of Σₖ hₖˡ · ∂s/∂hₖˡ, upsampled with its sum preserved",
    caution="Averages over depths: evidence visible at only one of them is diluted; biases are left out of every sum.",
    cost=lambda settings, side: Passes(2 if settings["attention_weight"] else 1, 1),
    needs=(LAYER,),
    shares=FORWARD_BACKWARD,
    layers_read=lambda survey, layer, settings: ", ".join(_stages(survey, settings["skip_first"])),
    signed=True,
)
def layerwise_ixg(
    query: Query,
    *,
    skip_first: Annotated[int, Knob("Number of early stages left out; 0 uses all.", 0, 4)] = 1,
    attention_weight: Annotated[bool, Knob("Weight tokens by the attention they receive (transformers).")] = False,
) -> Tensor:
    """Activation times gradient at several depths of the network, averaged.

    At the end of each stage (for transformers: at the input of each block) activations are multiplied by their
    gradients and summed over the channels. Early stages give fine but noisy maps, late ones coarse but clear maps.
    """
    stages = _stages(query.model.survey, skip_first)
    recording = query.forward_backward(*stages)
    received = _attention(query)[-len(stages) :] if attention_weight else [None] * len(stages)
    if len(received) < len(stages):
        message = f"{query.model.display} does not tell how much attention its blocks pay."
        raise Unsupported(message, "Set layerwise_ixg.attention_weight to false.")
    total = torch.zeros(len(query.images), *query.size, device=query.images.device)
    for layer, weights in zip(stages, received, strict=True):
        product = recording.values[layer] * recording.slopes[layer]
        product = product if weights is None else product * weights[..., None]
        total += resized(query.maps_at(product, layer).sum(1), query.size, mass_preserving=True)
    return total / len(stages)


def _stages(survey: Survey, skip: int) -> tuple[str, ...]:
    """The stages up to the default layer without the first `skip`, at least one."""
    stages = survey.stages or (survey.default,)
    return stages[min(skip, len(stages) - 1) :]


def _attention(query: Query) -> list[Tensor]:
    """The attention each token receives (B, T) in each layer of a transformer: the mean over heads and query tokens."""
    parts: list[list[Tensor]] = []

    def rule(attend: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if attend is not F.multi_head_attention_forward:
            return attend(*args, **kwargs)
        output, weights = attend(*args, **{**kwargs, "need_weights": True, "average_attn_weights": True})
        parts[-1].append(weights.mean(1))
        return output, None

    for span in query.chunks(len(query.images), "images"):
        parts.append([])
        with torch.no_grad(), Rules({"attention": rule}):
            query.logits(query.images[span.start : span.stop])
    return [torch.cat(block) for block in zip(*parts, strict=True)]
