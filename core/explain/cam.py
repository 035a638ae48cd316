"""Class activation maps: a layer's maps, weighted by what they mean to the score."""

from torch import Tensor

from core.explain.base import Query, explainer


@explainer(
    "Grad-CAM",
    family="cam",
    paper="Selvaraju et al. 2017",
    formula="ReLU(Σₖ αₖ Aₖ), αₖ = mean of ∂s/∂Aₖ",
    caution="As coarse as its layer; several objects melt into one blob; blank where every weight is negative.",
    cost=lambda settings, side: 3,
    needs=("layer",),
)
def grad_cam(query: Query) -> Tensor:
    """Where the layer's filters that raise the score respond.

    Each filter of the chosen layer is weighted by the mean slope of the score over its map; the weighted maps are
    added up and only positive evidence is kept.
    """
    tape = query.tape()
    values, slopes = (query.maps_at(kept[query.at], query.at) for kept in (tape.values, tape.slopes))
    return (slopes.mean((2, 3), keepdim=True) * values).sum(1).relu()
