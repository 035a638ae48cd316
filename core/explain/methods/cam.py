"""Class activation maps: weighted sums of the feature maps of a layer."""

from typing import Annotated, Literal

import torch
from torch import Tensor

from core.card import Passes
from core.explain.execution import Prefetch
from core.explain.method import FORWARD_BACKWARD, GUIDED, HEAD, LAYER, RELU, explainer
from core.explain.methods.gradient import reduced
from core.explain.methods.modified_backprop import rectified_slope
from core.explain.query import Query
from core.explain.targets import Units
from core.images import resized
from core.params import Knob

GuidedReduce = Annotated[
    Literal["max_abs", "sum_abs", "sum"],
    Knob(
        "How the three colour channels of guided backprop are combined; the sum keeps its sign.",
        title="Combine channels",
        names=("maximum magnitude", "sum of magnitudes", "sum"),
    ),
]
Normalise = Annotated[
    Literal["paper", "authors"],
    Knob("Weights as in the paper, or normalised to sum to one as in the authors' code."),
]


@explainer(
    "CAM",
    family="cam",
    source="Zhou et al. 2016",
    formula="Σₖ W[c, k] Aₖ; its mean + bias = the logit",
    caution="Requires global average pooling followed by one linear layer; as coarse as its layer. "
    "It explains single classes only.",
    cost=lambda settings, side: Passes(1, 1),
    needs=(HEAD,),
    shares=FORWARD_BACKWARD,
    layers_read=lambda survey, layer, settings: survey.default,
    signed=True,
)
def cam(query: Query) -> Tensor:
    """The class score, decomposed over the spatial positions of the last layer.

    Where a network ends in global average pooling and one linear layer, its score is the spatial mean of one weighted
    sum of feature maps. This map is that sum: positive positions support the class, negative ones oppose it.
    """
    classes, survey = query.class_indices("CAM"), query.model.survey
    values = query.maps_at(query.forward_backward(survey.default).values[survey.default], survey.default)
    weights = query.net.get_parameter(f"{survey.head}.weight")[classes]
    return torch.einsum("bk,bkhw->bhw", weights, values.relu() if survey.head_rectifies else values)


@explainer(
    "Grad-CAM",
    family="cam",
    source="Selvaraju et al. 2017",
    formula="ReLU(Σₖ αₖ Aₖ), αₖ = mean of ∂s/∂Aₖ",
    caution="As coarse as its layer; several objects merge into one region; blank where every weight is negative.",
    cost=lambda settings, side: Passes(1, 1),
    needs=(LAYER,),
    shares=FORWARD_BACKWARD,
)
def grad_cam(query: Query) -> Tensor:
    """Where the filters that raise the score are active.

    Each filter of the chosen layer is weighted by the spatial mean of the score's gradient over its map; the weighted
    maps are summed and only positive evidence is kept.
    """
    values, slopes = responses(query)
    return (slopes.mean((2, 3), keepdim=True) * values).sum(1).relu()


@explainer(
    "Grad-CAM++",
    family="cam",
    source="Chattopadhyay et al. 2018",
    formula="ReLU(Σₖ wₖ Aₖ), wₖ = Σᵤ αₖ(u) ReLU(g), α = 1 / (2 + g · max(0, Σ Aₖ)) where g > 0, g = ∂s/∂Aₖ(u)",
    caution="Its weights are derived for layers after a ReLU; it ignores all evidence against the class.",
    cost=lambda settings, side: Passes(1, 1),
    needs=(LAYER,),
    shares=FORWARD_BACKWARD,
)
def grad_cam_pp(query: Query, *, normalise: Normalise = "paper") -> Tensor:
    """Grad-CAM with a weight per position, designed to separate several objects of one class.

    Only positive gradients count, and positions are weighted so that a small second object is not dominated by the
    first. Some published implementations also normalise each filter's weights to sum to one; both are offered.
    """
    return _grad_cam_pp(query, normalise)


@explainer(
    "LayerCAM",
    family="cam",
    source="Jiang et al. 2021",
    formula="ReLU(Σₖ ReLU(∂s/∂Aₖ) ⊙ Aₖ)",
    caution="Evidence against the class is left out; at early layers it shows edges rather than objects.",
    cost=lambda settings, side: Passes(1, 1),
    needs=(LAYER,),
    shares=FORWARD_BACKWARD,
)
def layer_cam(query: Query) -> Tensor:
    """Filter activations, each position weighted by its own positive gradient.

    Unlike Grad-CAM it does not average the gradient over the map, so it stays sharp at earlier, finer layers.
    """
    values, slopes = responses(query)
    return (slopes.relu() * values).sum(1).relu()


@explainer(
    "HiResCAM",
    family="cam",
    source="Draelos & Carin 2020",
    formula="ReLU(Σₖ ∂s/∂Aₖ ⊙ Aₖ)",
    caution="Faithful to the layer, not to the pixels under it; equals Grad-CAM where the network ends in pooling.",
    cost=lambda settings, side: Passes(1, 1),
    needs=(LAYER,),
    shares=FORWARD_BACKWARD,
)
def hires_cam(query: Query) -> Tensor:
    """The contribution of each position of the layer to the score: activation times gradient, element-wise.

    Grad-CAM averages gradients over the whole map and can highlight positions that the score does not use; here every
    position keeps its own gradient.
    """
    values, slopes = responses(query)
    return (slopes * values).sum(1).relu()


@explainer(
    "XGrad-CAM",
    family="cam",
    source="Fu et al. 2020",
    formula="ReLU(Σₖ wₖ Aₖ), wₖ = Σᵤ Aₖ(u) ∂s/∂Aₖ(u) / Σᵤ Aₖ(u)",
    caution="As coarse as its layer; without a ReLU before it, a filter whose activations nearly cancel may dominate.",
    cost=lambda settings, side: Passes(1, 1),
    needs=(LAYER,),
    shares=FORWARD_BACKWARD,
)
def xgrad_cam(query: Query) -> Tensor:
    """Grad-CAM with gradients averaged where the filter is active.

    The mean gradient of a filter is weighted by its own activations, so that ablating the filter would change the score
    by about the sum of its map.
    """
    values, slopes = responses(query)
    total = values.sum((2, 3), keepdim=True)
    weights = (slopes * values).sum((2, 3), keepdim=True) / torch.where(total == 0, torch.inf, total)
    return (weights * values).sum(1).relu()


@explainer(
    "Score-CAM",
    family="cam",
    source="Wang et al. 2020",
    formula="ReLU(Σₖ wₖ Aₖ), w = softmax over k of s(x ⊙ Aₖ upsampled and scaled to 0…1)",
    caution="One pass per filter; the softmax gives nearly all weight to a few filters where scores are large.",
    cost=lambda settings, side: Passes(settings["channels"] + 1, 1),
    needs=(LAYER,),
    shares=FORWARD_BACKWARD,
    budgets={"quick": {"channels": 128}, "paper": {"channels": 4096}},
)
@torch.no_grad()
def score_cam(
    query: Query,
    *,
    channels: Annotated[int, Knob("Number of filters evaluated, most active first.", 8, 4096)] = 512,
) -> Tensor:
    """Filter activations, each weighted by the score of the image masked with it.

    Every filter's map is upsampled, scaled to [0, 1] and multiplied with the image; the resulting score is the filter's
    weight. No gradient is needed.
    """
    values = responses(query)[0]
    count = min(channels, values.shape[1])
    strongest = values.mean((2, 3)).topk(count, dim=1).indices
    maps = torch.stack([one[chosen] for one, chosen in zip(values, strongest, strict=True)])
    scores = torch.empty(maps.shape[:2], device=maps.device)
    for span in query.chunks(scores.numel(), "filters evaluated"):
        rows, columns = [i // count for i in span], [i % count for i in span]
        masks = _unit_range(resized(maps[rows, columns], query.size))
        scores[rows, columns] = query.score(query.images[rows] * masks[:, None], query.targets[rows])
    return (scores.softmax(1)[:, :, None, None] * maps).sum(1).relu()


@explainer(
    "Guided Grad-CAM",
    family="cam",
    source="Selvaraju et al. 2017",
    formula="guided backprop ⊙ upsampled Grad-CAM; over the colour channels the largest magnitude, or the signed sum",
    caution="The fine detail is that of guided backprop, which hardly depends on the class: only the location counts.",
    cost=lambda settings, side: Passes(1, 2),
    needs=(LAYER, RELU),
    shares=(*FORWARD_BACKWARD, *GUIDED),
)
def guided_grad_cam(query: Query, *, reduce: GuidedReduce = "max_abs") -> Tensor:
    """Guided backprop, restricted to where Grad-CAM finds the class.

    Grad-CAM localises, guided backprop adds fine detail; their product is sharp and class-specific. The paper shows it
    in colour, one value per colour channel; a map here has one value per pixel, so that it can be compared with all
    others.
    """
    return _fine(query, reduce) * resized(grad_cam(query), query.size)


@explainer(
    "Guided Grad-CAM++",
    family="cam",
    source="Chattopadhyay et al. 2018",
    formula="guided backprop ⊙ upsampled Grad-CAM++; over the colour channels the largest magnitude, or the signed sum",
    caution="The fine detail is that of guided backprop, which hardly depends on the class: only the location counts.",
    cost=lambda settings, side: Passes(1, 2),
    needs=(LAYER, RELU),
    shares=(*FORWARD_BACKWARD, *GUIDED),
)
def guided_grad_cam_pp(query: Query, *, reduce: GuidedReduce = "max_abs", normalise: Normalise = "paper") -> Tensor:
    """Guided backprop, restricted to where Grad-CAM++ finds the class.

    As guided Grad-CAM, with the map designed to separate several objects of one class.
    """
    return _fine(query, reduce) * resized(_grad_cam_pp(query, normalise), query.size)


def _fine(query: Query, reduce: GuidedReduce) -> Tensor:
    """The map of guided backprop, from the same forward that the other factor uses."""
    return reduced(rectified_slope(query.with_prefetch(Prefetch(relu_rules=("plain",))), "guided"), reduce)


@explainer(
    "Upsampled activation",
    family="cam",
    source="baseline in Oramas et al. 2019",
    formula="max over the n strongest filters of Aₖ, upsampled and scaled to 0…1",
    caution="Ignores the class, shows only what activates the layer: a method that looks no better explains little.",
    cost=lambda settings, side: Passes(1, 1),
    needs=(LAYER,),
    shares=FORWARD_BACKWARD,
)
def upsampled_activation(
    query: Query, *, units: Annotated[int, Knob("Number of filters combined, most active first.", 1, 64)] = 3
) -> Tensor:
    """The strongest filter activations, upsampled.

    A baseline that explains nothing: each of the layer's most active filters is upsampled and scaled to the same range,
    and every pixel shows their maximum. Where a unit is explained, it is that unit alone.
    """
    if isinstance(query.targets, Units):
        layer = query.targets.layer
        values = query.maps_at(query.forward_backward(layer).values[layer], layer)
        return _unit_range(resized(values[torch.arange(len(values)), query.targets.indices], query.size))
    values = responses(query)[0]
    chosen = values.square().mean((2, 3)).topk(min(units, values.shape[1]), dim=1).indices
    picked = torch.stack([one[indices] for one, indices in zip(values, chosen, strict=True)])
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
    alphas = (slopes > 0) / (2 + values.sum((2, 3), keepdim=True).relu() * slopes.relu())
    if normalise == "authors":
        alphas = alphas / alphas.sum((2, 3), keepdim=True).clamp_min(torch.finfo(alphas.dtype).tiny)
    weights = (alphas * slopes.relu()).sum((2, 3), keepdim=True)
    return (weights * values).sum(1).relu()


def _unit_range(maps: Tensor) -> Tensor:
    """Maps (N, h, w) scaled to 0…1 each; a constant map becomes zero."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp_min(torch.finfo(maps.dtype).tiny)
