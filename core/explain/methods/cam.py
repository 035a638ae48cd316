"""Class activation maps: a layer's maps, weighted by what they mean to the score."""

from typing import Annotated, Literal

import torch
from torch import Tensor

from core.explain.execution import Prefetch
from core.explain.method import FORWARD_BACKWARD, GUIDED, explainer
from core.explain.methods.gradient import reduced
from core.explain.methods.modified_backprop import rectified_slope
from core.explain.query import Query
from core.explain.targets import Units
from core.images import resized
from core.params import Knob

DrawnMap = Annotated[
    Literal["max_abs", "sum_abs", "sum"],
    Knob("How the three colour channels of the drawing become one value; their sum keeps its sign."),
]
Normalise = Annotated[
    Literal["paper", "authors"],
    Knob("Weights as printed in the paper, or divided so that they add up to one as in its authors' code."),
]


@explainer(
    "CAM",
    family="cam",
    paper="Zhou et al. 2016",
    formula="Σₖ W[c, k] Aₖ; its mean + bias = the logit",
    caution="Exists only where a network ends in global average pooling and one linear layer; as coarse as its layer.",
    cost=lambda settings, side: 3,
    needs=("head",),
    shares=FORWARD_BACKWARD,
    layers_read=lambda survey, layer, settings: survey.default,
    signed=True,
)
def cam(query: Query) -> Tensor:
    """The class score itself, spread over the places it comes from.

    Where a network ends in global average pooling and one linear layer, its score is the mean over all places of one
    weighted sum of filter responses. This map is that sum: positive places speak for the class, negative ones against.
    """
    classes, survey = query.class_indices("CAM"), query.model.survey
    values = query.maps_at(query.forward_backward(survey.default).values[survey.default], survey.default)
    weights = query.net.get_parameter(f"{survey.head}.weight")[classes]
    return torch.einsum("bk,bkhw->bhw", weights, values.relu() if survey.head_rectifies else values)


@explainer(
    "Grad-CAM",
    family="cam",
    paper="Selvaraju et al. 2017",
    formula="ReLU(Σₖ αₖ Aₖ), αₖ = mean of ∂s/∂Aₖ",
    caution="As coarse as its layer; several objects melt into one blob; blank where every weight is negative.",
    cost=lambda settings, side: 3,
    needs=("layer",),
    shares=FORWARD_BACKWARD,
)
def grad_cam(query: Query) -> Tensor:
    """Where the layer's filters that raise the score respond.

    Each filter of the chosen layer is weighted by the mean slope of the score over its map; the weighted maps are
    added up and only positive evidence is kept.
    """
    values, slopes = responses(query)
    return (slopes.mean((2, 3), keepdim=True) * values).sum(1).relu()


@explainer(
    "Grad-CAM++",
    family="cam",
    paper="Chattopadhyay et al. 2018",
    formula="ReLU(Σₖ wₖ Aₖ), wₖ = Σᵤ αₖ(u) ReLU(g), α = 1 / (2 + g · max(0, Σ Aₖ)) where g > 0, g = ∂s/∂Aₖ(u)",
    caution="Its weights are derived for layers behind a ReLU; it ignores all evidence against the class.",
    cost=lambda settings, side: 3,
    needs=("layer",),
    shares=FORWARD_BACKWARD,
)
def grad_cam_pp(query: Query, *, normalise: Normalise = "paper") -> Tensor:
    """Grad-CAM with a weight for every place, meant to keep several objects of one class apart.

    Only positive slopes count, and places are weighted so that a small second object is not drowned by the first.
    Some published implementations also scale each filter's weights to add up to one; both are offered.
    """
    return _grad_cam_pp(query, normalise)


@explainer(
    "LayerCAM",
    family="cam",
    paper="Jiang et al. 2021",
    formula="ReLU(Σₖ ReLU(∂s/∂Aₖ) ⊙ Aₖ)",
    caution="Evidence against the class is left out; at early layers it shows edges rather than objects.",
    cost=lambda settings, side: 3,
    needs=("layer",),
    shares=FORWARD_BACKWARD,
)
def layer_cam(query: Query) -> Tensor:
    """Filter responses, each place weighted by its own positive slope.

    Unlike Grad-CAM it does not average the slope over the map, so it stays sharp at earlier and finer layers too.
    """
    values, slopes = responses(query)
    return (slopes.relu() * values).sum(1).relu()


@explainer(
    "HiResCAM",
    family="cam",
    paper="Draelos & Carin 2020",
    formula="ReLU(Σₖ ∂s/∂Aₖ ⊙ Aₖ)",
    caution="Faithful to the layer, not to the pixels under it; equals Grad-CAM where the network ends in pooling.",
    cost=lambda settings, side: 3,
    needs=("layer",),
    shares=FORWARD_BACKWARD,
)
def hires_cam(query: Query) -> Tensor:
    """What each place of the layer adds to the score: response times slope, place by place.

    Grad-CAM averages slopes over the whole map and can light up places that the score does not use; here every place
    keeps its own slope.
    """
    values, slopes = responses(query)
    return (slopes * values).sum(1).relu()


@explainer(
    "XGrad-CAM",
    family="cam",
    paper="Fu et al. 2020",
    formula="ReLU(Σₖ wₖ Aₖ), wₖ = Σᵤ Aₖ(u) ∂s/∂Aₖ(u) / Σᵤ Aₖ(u)",
    caution="As coarse as its layer; behind no ReLU, a filter whose responses nearly cancel may rule the map.",
    cost=lambda settings, side: 3,
    needs=("layer",),
    shares=FORWARD_BACKWARD,
)
def xgrad_cam(query: Query) -> Tensor:
    """Grad-CAM with slopes averaged where the filter responds.

    The mean slope of a filter is taken with its own responses as weights, so that silencing the filter would change
    the score by about what its map adds up to.
    """
    values, slopes = responses(query)
    total = values.sum((2, 3), keepdim=True)
    weights = (slopes * values).sum((2, 3), keepdim=True) / torch.where(total == 0, torch.inf, total)
    return (weights * values).sum(1).relu()


@explainer(
    "Score-CAM",
    family="cam",
    paper="Wang et al. 2020",
    formula="ReLU(Σₖ wₖ Aₖ), w = softmax over k of s(x ⊙ Aₖ enlarged to 0…1)",
    caution="One pass per filter; the softmax hands nearly all weight to few filters where scores are large.",
    cost=lambda settings, side: settings["channels"] + 3,
    needs=("layer",),
    shares=FORWARD_BACKWARD,
    budgets={"quick": {"channels": 128}, "paper": {"channels": 4096}},
)
@torch.no_grad()
def score_cam(
    query: Query,
    *,
    channels: Annotated[int, Knob("Filters tried, the ones with the strongest response first.", 8, 4096)] = 512,
) -> Tensor:
    """Filter responses, each weighted by the score of the image seen through it.

    Every filter's map is enlarged, scaled to 0…1 and multiplied with the image; the score that this leaves is the
    filter's weight. It needs no gradient.
    """
    values = responses(query)[0]
    count = min(channels, values.shape[1])
    strongest = values.mean((2, 3)).topk(count, dim=1).indices
    maps = torch.stack([one[chosen] for one, chosen in zip(values, strongest, strict=True)])
    scores = torch.empty(maps.shape[:2], device=maps.device)
    for span in query.chunks(scores.numel(), "filters"):
        rows, columns = [i // count for i in span], [i % count for i in span]
        masks = _unit_range(resized(maps[rows, columns], query.size))
        scores[rows, columns] = query.score(query.images[rows] * masks[:, None], query.targets[rows])
    return (scores.softmax(1)[:, :, None, None] * maps).sum(1).relu()


@explainer(
    "Guided Grad-CAM",
    family="cam",
    paper="Selvaraju et al. 2017",
    formula="guided backprop ⊙ Grad-CAM enlarged; of the colours the largest size, or the sum with its sign",
    caution="The fine lines come from guided backprop, which hardly depends on the class: only the place is explained.",
    cost=lambda settings, side: 5,
    needs=("layer", "relu"),
    shares=(*FORWARD_BACKWARD, *GUIDED),
)
def guided_grad_cam(query: Query, *, reduce: DrawnMap = "max_abs") -> Tensor:
    """The fine lines of guided backprop, kept where Grad-CAM sees the class.

    One tells where, the other draws what; their product is sharp and follows the class. The paper shows it in colours,
    one value per colour channel; a map here has one value per pixel, so that it can be compared with all others.
    """
    return _fine(query, reduce) * resized(grad_cam(query), query.size)


@explainer(
    "Guided Grad-CAM++",
    family="cam",
    paper="Chattopadhyay et al. 2018",
    formula="guided backprop ⊙ Grad-CAM++ enlarged; of the colours the largest size, or the sum with its sign",
    caution="The fine lines come from guided backprop, which hardly depends on the class: only the place is explained.",
    cost=lambda settings, side: 5,
    needs=("layer", "relu"),
    shares=(*FORWARD_BACKWARD, *GUIDED),
)
def guided_grad_cam_pp(query: Query, *, reduce: DrawnMap = "max_abs", normalise: Normalise = "paper") -> Tensor:
    """The fine lines of guided backprop, kept where Grad-CAM++ sees the class.

    As guided Grad-CAM, with the map that keeps several objects of one class apart.
    """
    return _fine(query, reduce) * resized(_grad_cam_pp(query, normalise), query.size)


def _fine(query: Query, reduce: DrawnMap) -> Tensor:
    """The map of guided backprop, from the forward that the other factor needs, too."""
    return reduced(rectified_slope(query.with_prefetch(Prefetch(relu_rules=("plain",))), "guided"), reduce)


@explainer(
    "Upsampled activation",
    family="cam",
    paper="baseline in Oramas et al. 2019",
    formula="max over the n strongest filters of Aₖ enlarged and scaled to 0…1",
    caution="Knows nothing of the class, only what excites the layer: a method that looks no better explains little.",
    cost=lambda settings, side: 3,
    needs=("layer",),
    shares=FORWARD_BACKWARD,
)
def upsampled_activation(
    query: Query, *, units: Annotated[int, Knob("Filters shown together, the strongest first.", 1, 64)] = 3
) -> Tensor:
    """The strongest filter responses, simply enlarged.

    A baseline without any explaining: each of the layer's most excited filters is enlarged and scaled to the same
    range, and every pixel shows the highest of them. Where a unit is explained, it is that unit alone.
    """
    if isinstance(query.targets, Units):
        layer = query.targets.layer
        values = query.maps_at(query.forward_backward(layer).values[layer], layer)
        return _unit_range(resized(values[torch.arange(len(values)), query.targets.indices], query.size))
    values = responses(query)[0]
    chosen = values.square().mean((2, 3)).topk(min(units, values.shape[1]), dim=1).indices
    picked = torch.stack([one[kept] for one, kept in zip(values, chosen, strict=True)])
    large = _unit_range(resized(picked.flatten(0, 1), query.size))
    return large.unflatten(0, picked.shape[:2]).amax(1)


def responses(query: Query) -> tuple[Tensor, Tensor]:
    """Values and slopes at the query's layer as maps (B, K, h, w)."""
    recording = query.forward_backward()
    return query.maps_at(recording.values[query.at], query.at), query.maps_at(recording.slopes[query.at], query.at)


def _grad_cam_pp(query: Query, normalise: str) -> Tensor:
    values, slopes = responses(query)
    # g² / (2 g² + Σ A g³) without its common factor. Derived for Σ A ≥ 0: a negative one, which only a smooth
    # activation has, would divide by zero at g = −2 / Σ A.
    shares = (slopes > 0) / (2 + values.sum((2, 3), keepdim=True).relu() * slopes.relu())
    if normalise == "authors":
        shares = shares / shares.sum((2, 3), keepdim=True).clamp_min(torch.finfo(shares.dtype).tiny)
    weights = (shares * slopes.relu()).sum((2, 3), keepdim=True)
    return (weights * values).sum(1).relu()


def _unit_range(maps: Tensor) -> Tensor:
    """Maps (N, h, w) scaled to 0…1 each; a constant map becomes zero."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp_min(torch.finfo(maps.dtype).tiny)
