"""Surrogate methods: a simpler model is fitted to the network's scores of copies with masked segments."""

from collections.abc import Callable, Iterator
from math import comb
from typing import Annotated

import torch
from torch import Tensor

from core.explain.method import explainer
from core.explain.query import Query
from core.explain.segments import Count, CutBy, HideBy, Samples, ScoreBy, Segmentation, blocks, pieces
from core.explain.single_images import per_image
from core.params import Knob

COALITIONS = "coalitions evaluated"
ROUNDING = 1e-3  # of the largest score: scores closer together than this may differ by half precision alone


@explainer(
    "LIME",
    family="surrogate",
    source="Ribeiro et al. 2016",
    formula="argmin_w Σᵢ πᵢ (s(zᵢ) − w·zᵢ − b)² + α‖w‖², πᵢ = exp(−dᵢ²/2σ²), dᵢ = 1 − √(visible share)",
    caution="A different segmentation gives a different map; trust it only where the weighted R² is high.",
    cost=lambda settings, side: settings["samples"],
    signed=True,
    budgets={"quick": {"samples": 300}},
)
@torch.no_grad()
def lime_image(
    query: Query,
    *,
    samples: Samples = 1000,
    cut: CutBy = "quickshift",
    segments: Count = 50,
    hide: HideBy = "mean",
    alpha: Annotated[float, Knob("Ridge penalty (α).", 0, 100, 0.5)] = 1.0,
    width: Annotated[float, Knob("Kernel width (σ): how local the linear model is.", 0.05, 5, 0.05)] = 0.25,
    score: ScoreBy = "prob",
    top: Annotated[
        int, Knob("Show only this many segments, with the highest coefficients; 0 shows all, with signs.", 0, 50)
    ] = 0,
) -> Iterator[Tensor]:
    """The linear model over segments that best fits the network near the image.

    Segments are masked at random and the network evaluates each copy; a ridge regression gives more weight to copies
    closer to the image. A segment's value is its coefficient: the effect of showing it. The weighted R² says how much
    of the network's behaviour the linear model captures, the local prediction is its output for the image itself.
    """

    def fit(visible: Tensor, scores: Tensor) -> Tensor:
        from sklearn.linear_model import Ridge

        distance = 1 - visible.mean(1).sqrt()
        weights = (-distance.square() / (2 * width**2)).exp().numpy()
        line = Ridge(alpha=alpha).fit(visible.numpy(), scores.numpy(), sample_weight=weights)
        query.log.remarks["weighted R²"] = float(line.score(visible.numpy(), scores.numpy(), weights))
        query.log.remarks["local prediction"] = float(line.coef_.sum() + line.intercept_)
        coefficients = torch.from_numpy(line.coef_)
        if not top:
            return coefficients
        shown = coefficients.topk(min(top, len(coefficients))).indices
        return torch.zeros_like(coefficients).index_copy(0, shown, coefficients[shown].relu())

    def one(query: Query) -> Iterator[Tensor]:
        segmentation = pieces(query, cut, segments, hide)
        for samples_so_far in segmentation.sampled(samples, score, coins(segmentation)):
            yield segmentation.spread(fit(*samples_so_far))

    yield from per_image(query, one, in_half_precision=True)


@explainer(
    "KernelSHAP",
    family="surrogate",
    source="Lundberg & Lee 2017",
    formula="φ = argmin Σ_z k(z) (s(z) − s(∅) − φ·z)², Σφ = s(x) − s(∅), k(z) = (S − 1)/(C(S,|z|)·|z|·(S − |z|))",
    caution="Copies with half of the image masked are unlike anything the network was trained on.",
    cost=lambda settings, side: settings["samples"] + 2,
    signed=True,
    budgets={"quick": {"samples": 300}, "paper": {"samples": 4000}},
)
@torch.no_grad()
def kernel_shap(
    query: Query,
    *,
    samples: Samples = 1000,
    cut: CutBy = "slic",
    segments: Count = 40,
    hide: HideBy = "mean",
    score: ScoreBy = "prob",
) -> Iterator[Tensor]:
    """The Shapley value of each segment, estimated by one weighted regression.

    A Shapley value is a segment's contribution to the score, averaged over all orders in which segments could be
    revealed. The values sum to the difference between the image and the fully masked image. Coalitions are drawn in
    complementary pairs; where there are no more of them than copies are asked for, all are evaluated and the values are
    exact.
    """

    def one(query: Query) -> Iterator[Tensor]:
        segmentation = pieces(query, cut, segments, hide)
        everything = 2**segmentation.count
        if everything - 2 <= samples:  # the ends cost two more in either case
            for visible, scores in segmentation.sampled(everything, score, subsets(segmentation), COALITIONS):
                if len(scores) == everything:
                    query.log.remarks["coalitions"] = f"all {everything}, the values are exact"
                    yield segmentation.spread(exact_shapley(visible, scores))
            return
        ends = torch.tensor([[True], [False]]).expand(2, segmentation.count)
        full, empty = segmentation.score(ends, score).tolist()
        for visible, scores in segmentation.sampled(samples, score, coalitions(segmentation), COALITIONS):
            yield segmentation.spread(_shapley(visible, scores - empty, full - empty))

    yield from per_image(query, one, in_half_precision=True)


def _shapley(visible: Tensor, gains: Tensor, total: float) -> Tensor:
    """Least squares of gains on visible segments, constrained to values that sum to `total`."""
    last = visible[:, -1:]
    rest = torch.linalg.lstsq(visible[:, :-1] - last, gains[:, None] - total * last, driver="gelsd").solution[:, 0]
    return torch.cat([rest, total - rest.sum(0, keepdim=True)])


def exact_shapley(visible: Tensor, scores: Tensor) -> Tensor:
    """The Shapley values (S,) from the scores (2^S,) of all coalitions (2^S, S)."""
    count = visible.shape[1]
    weights = torch.tensor([1 / (count * comb(count - 1, size)) for size in range(count)], dtype=torch.float64)
    sizes = visible.sum(1).long()
    joined, left = weights[(sizes - 1).clamp_min(0)], weights[sizes.clamp_max(count - 1)]
    return (torch.where(visible.bool(), joined[:, None], -left[:, None]) * scores[:, None]).sum(0)


def subsets(segmentation: Segmentation) -> Callable[[range], Tensor]:
    """All sets of visible segments by their number, whose binary digits they are."""
    digits = torch.arange(segmentation.count)
    return lambda span: (torch.tensor(span)[:, None] >> digits & 1).bool()


def coalitions(segmentation: Segmentation) -> Callable[[range], Tensor]:
    """Draws of visible segments with the weight of the Shapley kernel, in pairs of complements."""
    count = segmentation.count
    sizes = torch.arange(1, max(count, 2), dtype=torch.float64)
    chances = (1 / (sizes * (count - sizes).clamp_min(0.5))).cumsum(0)

    def draw(span: range) -> Tensor:
        pairs = blocks(segmentation.query, range(span.start // 2, (span.stop - 1) // 2 + 1), count + 1)
        size = torch.searchsorted(chances / chances[-1], pairs[:, 0].double().contiguous()) + 1
        chosen = pairs[:, 1:].argsort(1).argsort(1) < size.clamp_max(max(count - 1, 1))[:, None]
        both = torch.stack([chosen, ~chosen], 1).flatten(0, 1)
        return both[span.start % 2 :][: len(span)]

    return draw


@explainer(
    "Superpixel tree",
    family="surrogate",
    source="Song & Zhang review, section 3.2",
    formula="Gini importance of each segment in a decision tree that predicts s(z) > mean s",
    caution="A negative example: the first splits take all the importance, unsigned; the map rarely shows the object.",
    cost=lambda settings, side: settings["samples"],
    budgets={"quick": {"samples": 300}},
)
@torch.no_grad()
def superpixel_tree(
    query: Query,
    *,
    samples: Samples = 1000,
    cut: CutBy = "slic",
    segments: Count = 40,
    hide: HideBy = "mean",
    depth: Annotated[int, Knob("Maximum depth of the tree.", 1, 12)] = 5,
    score: ScoreBy = "prob",
) -> Iterator[Tensor]:
    """Segments that a decision tree uses to predict whether the score is high: a negative example.

    Kept for teaching: the review behind this app tried trees with the Gini index on images and found that they do not
    highlight the object. Where the evidence is spread over many segments, the first splits take all the importance.
    """

    def one(query: Query) -> Iterator[Tensor]:
        from sklearn.tree import DecisionTreeClassifier

        segmentation = pieces(query, cut, segments, hide)
        for visible, scores in segmentation.sampled(samples, score, coins(segmentation)):
            tree = DecisionTreeClassifier(max_depth=depth, random_state=0)
            informative = (
                scores.max() - scores.min() > ROUNDING * scores.abs().max()
            )  # else the tree would fit rounding errors
            tree.fit(visible.numpy(), (informative & (scores > scores.mean())).numpy())
            yield segmentation.spread(torch.from_numpy(tree.feature_importances_))

    yield from per_image(query, one, in_half_precision=True)


def coins(segmentation: Segmentation) -> Callable[[range], Tensor]:
    """Draws of visible segments with a fair coin for each; the first draw is the image itself."""

    def draw(span: range) -> Tensor:
        visible = blocks(segmentation.query, span, segmentation.count) < 0.5
        visible[: int(span.start == 0)] = True
        return visible

    return draw
