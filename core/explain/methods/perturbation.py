"""Perturbation methods: parts of the image are masked and the change of the score is measured."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import ceil
from typing import Annotated, Any, Literal, NamedTuple

import torch
from torch import Tensor

from core.environment import exact
from core.errors import BadParameter
from core.explain.baselines import Baseline, baseline, scaled
from core.explain.method import explainer
from core.explain.query import Query
from core.explain.segments import BLOCK, Count, CutBy, HideBy, ScoreBy, blocks, expected_count, pieces
from core.explain.single_images import per_image
from core.params import Knob

Divisor = Literal["keep", "mean"]


def sliding(size: tuple[int, int], window: int, stride: int) -> Tensor:
    """Boxes (P, 4) as top, left, height, width that tile an image row by row; the last ones are cut at the border."""
    height, width = size
    tops, lefts = ([stride * i for i in range(ceil(max(side - window, 0) / stride) + 1)] for side in size)
    return torch.tensor(
        [(top, left, min(window, height - top), min(window, width - left)) for top in tops for left in lefts]
    )


def _windows(settings: Mapping[str, Any], side: int) -> float:
    return len(sliding((side, side), scaled(settings["window"], side), scaled(settings["stride"], side)))


def _without_gaps(settings: Mapping[str, Any]) -> None:
    window, stride = settings["window"], settings["stride"]
    if stride > window:
        message = f"occlusion.stride ({stride}) is larger than occlusion.window ({window})."
        raise BadParameter(message, "Windows would leave gaps: make the stride smaller.")


@explainer(
    "Occlusion",
    family="perturbation",
    source="Zeiler & Fergus 2014",
    formula="mean over the windows r containing a pixel of s(x) − s(x with r occluded)",
    caution="Sensitive only to evidence of about the window's size; redundant evidence elsewhere hides the effect.",
    cost=_windows,
    signed=True,
    budgets={"quick": {"window": 48, "stride": 24}, "paper": {"stride": 8}},
    validate=_without_gaps,
)
@torch.no_grad()
def occlusion(
    query: Query,
    *,
    window: Annotated[int, Knob("Side of the window, in pixels of a 224 px image.", 4, 112, 4)] = 32,
    stride: Annotated[int, Knob("Stride of the window, in pixels of a 224 px image.", 2, 112, 2)] = 16,
    fill: Annotated[Baseline, Knob("What replaces the occluded pixels.")] = "grey",
    score: ScoreBy = "prob",
) -> Tensor:
    """How much the score drops when a window slides over the image.

    The image is evaluated with each position of the window occluded. A pixel's value is the mean drop over the windows
    that contain it: positive where occlusion lowers the score, negative where it raises it.
    """
    side = min(query.size)  # the shorter side, as for blurs and masks
    boxes = sliding(query.size, scaled(window, side), scaled(stride, side))
    drops = query.clean_scores(score)[:, None] - query.windows(boxes, baseline(query, fill), score)
    total = torch.zeros(len(drops), *query.size, dtype=torch.float64)
    cover = torch.zeros(query.size, dtype=torch.float64)
    for (top, left, height, width), drop in zip(boxes.tolist(), drops.T.cpu().double(), strict=True):
        total[:, top : top + height, left : left + width] += drop[:, None, None]
        cover[top : top + height, left : left + width] += 1
    return total / cover


@explainer(
    "Feature ablation",
    family="perturbation",
    source="Zeiler & Fergus 2014, on segments (captum)",
    formula="s(x) − s(x with the segment masked)",
    caution="Evidence present in two segments is found in neither: masking one leaves the other.",
    cost=lambda settings, side: expected_count(settings["cut"], settings["segments"], side),
    signed=True,
    budgets={"quick": {"segments": 30}, "paper": {"segments": 200}},
)
@torch.no_grad()
def feature_ablation(
    query: Query, *, cut: CutBy = "slic", segments: Count = 60, hide: HideBy = "mean", score: ScoreBy = "prob"
) -> Iterator[Tensor]:
    """How much the score drops when one segment of the image is masked.

    As occlusion, but the windows follow the contours of the image, and so does the map.
    """

    def one(query: Query) -> Iterator[Tensor]:
        segmentation = pieces(query, cut, segments, hide)
        inside = torch.stack([segmentation.cells == number for number in range(segmentation.count)])
        scores = query.windows(bounding(inside), segmentation.hidden[None], score, inside, "segments masked")[0]
        yield segmentation.spread(query.clean_scores(score) - scores)

    yield from per_image(query, one)


def bounding(inside: Tensor) -> Tensor:
    """The smallest boxes (P, 4) as top, left, height, width around masks (P, H, W) that are nowhere empty."""
    spans = []
    for axis in (2, 1):
        lines = inside.any(axis).int()
        first = lines.argmax(1)
        spans.append((first, lines.shape[1] - lines.flip(1).argmax(1) - first))
    (top, height), (left, width) = spans
    return torch.stack([top, left, height, width], 1)


@explainer(
    "RISE",
    family="perturbation",
    source="Petsiuk et al. 2018",
    formula="1/(N·p) Σᵢ s(x ⊙ Mᵢ) Mᵢ(u); centred: 1/N Σᵢ (sᵢ − s̄)(Mᵢ(u) − p)/Var M(u)",
    caution="Grainy with few masks; plain values contain a large constant part: compare positions, not values.",
    cost=lambda settings, side: settings["masks"],
    offset=True,
    budgets={"quick": {"masks": 300}, "paper": {"masks": 8000}},
)
@torch.no_grad()
def rise(
    query: Query,
    *,
    masks: Annotated[int, Knob("Number of random masks.", 50, 8000, 50)] = 1000,
    cells: Annotated[int, Knob("Grid cells per side.", 2, 16)] = 7,
    keep: Annotated[float, Knob("Probability that a cell stays visible.", 0.1, 0.9, 0.1)] = 0.5,
    score: ScoreBy = "prob",
    centred: Annotated[bool, Knob("Subtract the part common to all pixels: signed and less noisy.")] = False,
    divisor: Annotated[
        Divisor, Knob("Normalisation of the plain sum: keep, or each pixel's mean over the masks.")
    ] = "keep",
    errors: Annotated[bool, Knob("Show the standard error of each pixel instead of its value.")] = False,
) -> Iterator[Tensor]:
    """Average of random masks, each weighted by the score of the masked image.

    Coarse random grids, smoothly upsampled and shifted, mask parts of the image. Pixels that are visible in
    high-scoring copies get high values. The standard error says how much another draw of masks might differ.
    """
    query = query.in_half_precision()
    batch, device = len(query.images), query.images.device
    place = exact(device)
    sums = torch.zeros(2, 2 * batch + 1, *query.size, dtype=torch.float64, device=place)
    totals = torch.zeros(2, batch, 1, 1, dtype=torch.float64, device=place)
    hidden = torch.empty(query.batch, *query.images.shape[1:], dtype=query.images.dtype, device=device)
    for span in query.chunks(masks, "masks evaluated"):
        drawn = random_masks(query, span, cells, keep)
        scores = torch.empty(batch, len(span), dtype=torch.float64, device=place)
        for row, image in enumerate(query.images):
            shown = torch.mul(image[None], drawn[:, None], out=hidden[: len(span)])
            scores[row] = query.score(shown, query.targets.repeated(row, len(span)), score)
        squares = scores.square()
        flat = drawn.flatten(1).to(place).double()
        weights = torch.cat([scores, squares, torch.ones_like(scores[:1])])
        sums[0] += (weights @ flat).view_as(sums[0])
        sums[1] += (weights @ flat.square_()).view_as(sums[1])
        totals += torch.stack([scores, squares]).sum(2)[..., None, None]
        if span.stop == masks or span.start // BLOCK != span.stop // BLOCK:
            estimate = _covariance if centred else _average
            values, variance = estimate(_moments(sums / span.stop, totals / span.stop), keep, divisor)
            error = (variance.clamp_min(0) / span.stop).sqrt()
            query.log.remarks["standard error"] = float(error.mean())
            yield error if errors else values


class Moments(NamedTuple):
    """Means over the masks: m is a pixel's visibility (H, W), s are the scores (B, 1, 1); `ssm` is the mean of s²·m."""

    sm: Tensor
    ssm: Tensor
    m: Tensor
    smm: Tensor
    ssmm: Tensor
    mm: Tensor
    s: Tensor
    ss: Tensor


def _moments(means: Tensor, totals: Tensor) -> Moments:
    batch = totals.shape[1]
    return Moments(*(part for row in means for part in (row[:batch], row[batch:-1], row[-1])), *totals)


def _average(of: Moments, keep: float, divisor: Divisor) -> tuple[Tensor, Tensor]:
    """The plain map and its variance from a single mask."""
    visibility = of.m.clamp_min(1e-12) if divisor == "mean" else keep
    return of.sm / visibility, (of.ssmm - of.sm.square()) / visibility**2


def _covariance(of: Moments, keep: float, divisor: Divisor) -> tuple[Tensor, Tensor]:
    """The covariance of score and mask over the mask's variance, and its variance from a single mask."""
    spread = (of.mm - of.m.square()).clamp_min(1e-12)
    common = of.sm - of.s * of.m
    product = (  # the mean of (s − s̄)²·(m − m̄)², multiplied out
        of.ssmm - 2 * of.m * of.ssm + of.m.square() * of.ss
        - 2 * of.s * (of.smm - 2 * of.m * of.sm + of.m.square() * of.s)
        + of.s.square() * (of.mm - of.m.square())
    )  # fmt: skip
    return common / spread, (product - common.square()) / spread.square()


def random_masks(query: Query, span: range, cells: int, keep: float) -> Tensor:
    """The smooth random masks (n, H, W) with the indices in `span`: mask i depends on the query's seed and i alone.

    Grids of `cells` × `cells` zeros and ones, upsampled bilinearly, cropped at a random offset (Petsiuk et al. 2018).
    """
    draws = blocks(query, span, cells * cells + 2)
    grids = (draws[:, 2:] < keep).float().view(-1, cells, cells).to(query.images.device)
    rows, columns = (
        _enlarging(cells, side)[(fraction * ceil(side / cells)).long()].to(grids.device)
        for fraction, side in zip(draws[:, :2].T, query.size, strict=True)
    )
    return rows @ grids @ columns.transpose(1, 2)


@lru_cache(maxsize=8)
def _enlarging(cells: int, side: int) -> Tensor:
    """Linear upsampling of `cells` values to `side` as matrices (offset, side, cells), one per offset of the crop.

    Beyond the outermost centres the grid is mirrored at them, as in the authors' code (skimage, mode "reflect").
    """
    cell, last = ceil(side / cells), cells - 1
    large = (cells + 1) * cell
    places = ((torch.arange(large) + 0.5) * cells / large - 0.5).abs()  # in cells, from the centre of the first one
    places = last - (last - places).abs()
    upsampling = (1 - (places[:, None] - torch.arange(cells)).abs()).clamp_min(0)
    return torch.stack([upsampling[offset : offset + side] for offset in range(cell)])
