"""Surrogate methods: a simpler model is fitted to the network's scores of copies with masked segments."""

from collections.abc import Callable, Iterator
from typing import Annotated

import torch
from torch import Tensor

from core.explain.method import explainer
from core.explain.query import Query, per_image
from core.explain.segments import Count, CutBy, HideBy, Pieces, Samples, ScoreKind, blocks, pieces
from core.params import Knob

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
    score: ScoreKind = "prob",
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
        found = torch.from_numpy(line.coef_)
        if not top:
            return found
        shown = found.topk(min(top, len(found))).indices
        return torch.zeros_like(found).index_copy(0, shown, found[shown].relu())

    def one(query: Query) -> Iterator[Tensor]:
        cut_up = pieces(query, cut, segments, hide)
        for look in cut_up.tried(samples, score, coins(cut_up)):
            yield cut_up.spread(fit(*look))

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
    score: ScoreKind = "prob",
) -> Iterator[Tensor]:
    """The Shapley value of each segment, estimated by one weighted regression.

    A Shapley value is a segment's contribution to the score, averaged over all orders in which segments could be
    revealed. The values sum to the difference between the image and the fully masked image. Coalitions are drawn in
    complementary pairs.
    """

    def one(query: Query) -> Iterator[Tensor]:
        cut_up = pieces(query, cut, segments, hide)
        ends = torch.tensor([[True], [False]]).expand(2, cut_up.count)
        full, empty = cut_up.score(ends, score).tolist()
        for visible, scores in cut_up.tried(samples, score, coalitions(cut_up)):
            yield cut_up.spread(_shapley(visible, scores - empty, full - empty))

    yield from per_image(query, one, in_half_precision=True)


def _shapley(visible: Tensor, gains: Tensor, total: float) -> Tensor:
    """Least squares of gains on visible segments, under the condition that the values add up to `total`."""
    last = visible[:, -1:]
    rest = torch.linalg.lstsq(visible[:, :-1] - last, gains[:, None] - total * last, driver="gelsd").solution[:, 0]
    return torch.cat([rest, total - rest.sum(0, keepdim=True)])


def coalitions(cut_up: Pieces) -> Callable[[range], Tensor]:
    """Draws of visible segments with the weight of the Shapley kernel, each second one the complement of the first."""
    count = cut_up.count
    sizes = torch.arange(1, max(count, 2), dtype=torch.float64)
    chances = (1 / (sizes * (count - sizes).clamp_min(0.5))).cumsum(0)

    def draw(span: range) -> Tensor:
        pairs = blocks(cut_up.query, range(span.start // 2, (span.stop - 1) // 2 + 1), count + 1)
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
    score: ScoreKind = "prob",
) -> Iterator[Tensor]:
    """Segments that a decision tree uses to predict whether the score is high: a negative example.

    Kept for teaching: the review behind this app tried trees with the Gini index on images and found that they do not
    highlight the object. Where the evidence is spread over many segments, the first splits take all the importance.
    """

    def one(query: Query) -> Iterator[Tensor]:
        from sklearn.tree import DecisionTreeClassifier

        cut_up = pieces(query, cut, segments, hide)
        for visible, scores in cut_up.tried(samples, score, coins(cut_up)):
            tree = DecisionTreeClassifier(max_depth=depth, random_state=0)
            told = scores.max() - scores.min() > ROUNDING * scores.abs().max()  # else the tree would explain rounding
            tree.fit(visible.numpy(), (told & (scores > scores.mean())).numpy())
            yield cut_up.spread(torch.from_numpy(tree.feature_importances_))

    yield from per_image(query, one, in_half_precision=True)


def coins(cut_up: Pieces) -> Callable[[range], Tensor]:
    """Draws of visible segments with a fair coin for each; the first draw is the image itself."""

    def draw(span: range) -> Tensor:
        visible = blocks(cut_up.query, span, cut_up.count) < 0.5
        visible[: int(span.start == 0)] = True
        return visible

    return draw
