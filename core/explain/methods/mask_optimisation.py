"""Masks found by optimisation: the smallest part of the image that preserves or destroys the score."""

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from core.card import Passes
from core.errors import BadParameter, Unsupported
from core.explain.baselines import baseline, blurred
from core.explain.method import GRADIENTS, explainer
from core.explain.methods.mask_search import EVERY, GRID, STARTS, Search, best_masks
from core.explain.methods.smooth_masks import SmoothMasks, levels_of
from core.explain.query import Query
from core.explain.segments import ScoreBy
from core.explain.single_images import per_image
from core.explain.targets import Classes
from core.params import Knob, Numbers, spelled
from core.progress import chunks

Aim = Annotated[
    Literal["preserve", "delete"],
    Knob("Preserve: find the region sufficient for the score. Delete: find the region necessary for it."),
]
MOST_AREAS = 8  # masks of one image, optimised together


@explainer(
    "Meaningful perturbation",
    family="perturbation",
    source="Fong & Vedaldi 2017",
    formula="delete: min_m s(m·x + (1−m)·blur x) + λ·mean(1−m) + β·r; preserve: max_m s(…) − λ·mean m − β·r; "
    "r = mean|∂m|³ down + mean|∂m|³ across",
    caution="Small changes of λ and β change the mask; it may exploit artefacts that only an optimiser would find.",
    cost=lambda settings, side: Passes(1, 1) * settings["steps"],
    needs=(GRADIENTS,),
    budgets={"quick": {"steps": 60}, "paper": {"steps": 500}},
)
def meaningful_perturbation(
    query: Query,
    *,
    aim: Aim = "delete",
    steps: Annotated[int, Knob("Optimisation steps (Adam).", 10, 2000, 10)] = 150,
    sparse: Annotated[float, Knob("Weight of the area penalty (λ).", 0, 10, 0.01)] = 0.01,
    smooth: Annotated[float, Knob("Weight of the roughness penalty (β).", 0, 10, 0.1)] = 0.2,
    score: ScoreBy = "prob",
) -> Iterator[Tensor]:
    """The smallest soft mask that removes the score when blurred, or preserves it on its own.

    A coarse mask is learned by gradient descent; where it is open the image is visible, elsewhere its blur. Area and
    roughness are penalised, and a little noise at every step keeps the mask from becoming an adversarial pattern.
    """

    def one(query: Query) -> Iterator[Tensor]:
        image, soft = query.images, baseline(query, "blur")
        sign = 1 if aim == "delete" else -1
        mask = torch.ones(1, 1, *(max(4, side // 8) for side in query.size), device=image.device, requires_grad=True)
        optimiser = torch.optim.Adam([mask], lr=0.1)
        for step in _steps(query, steps):
            noise = 0.2 * torch.randn(image.shape[1:], generator=query.rng(step)).to(image)
            with torch.enable_grad():
                large = F.interpolate(mask, query.size, mode="bilinear")
                images = large * image + (1 - large) * soft
                slope = query.gradient(images.detach() + noise, query.targets, score)
                hidden = (1 - mask if aim == "delete" else mask).abs().mean()
                loss = sign * (slope * images).sum() + sparse * hidden + smooth * _roughness(mask)
                mask.grad = torch.autograd.grad(loss, mask)[0]
            optimiser.step()
            mask.data.clamp_(0, 1)
            if step % EVERY == EVERY - 1 or step == steps - 1:
                large = F.interpolate(mask.detach(), query.size, mode="bilinear")[0, 0]
                yield (1 - large if aim == "delete" else large).cpu()

    yield from per_image(query, one, in_half_precision=query.execution.precision == "half")


def _roughness(mask: Tensor) -> Tensor:
    """The mean cubed difference between vertical and horizontal neighbours; a mean, as the default weights expect."""
    return mask.diff(dim=2).abs().pow(3).mean() + mask.diff(dim=3).abs().pow(3).mean()


def _extremal_cost(settings: Mapping[str, Any], side: int) -> Passes:
    steps = ceil(settings["steps"] / STARTS)
    scored = GRID**2 + STARTS * (1 + 2 * ceil(steps / EVERY))
    views = 2 if settings["aim"] == "dual" else 1
    of_area = Passes(1, 1) * (STARTS * steps) + Passes(scored)
    return Passes(1, 1) + of_area * (len(settings["areas"]) * views)


@explainer(
    "Extremal perturbation",
    family="perturbation",
    source="Fong, Patrick & Vedaldi 2019",
    formula="argmax_m s(m ⊗ x) over smooth masks m of area a; delete: −s((1−m) ⊗ x), dual: the sum of both; "
    "contrast: s is the margin over the best other class; mean over the areas",
    caution="The area is prescribed, not found: one too small breaks the object up, one too large includes context.",
    cost=_extremal_cost,
    needs=(GRADIENTS,),
    budgets={"quick": {"steps": 80}, "paper": {"steps": 800, "areas": (0.025, 0.05, 0.1, 0.2), "soften": 0.09}},
    validate=lambda settings: _check_areas(settings["areas"]),
)
def extremal_perturbation(
    query: Query,
    *,
    areas: Annotated[Numbers, Knob("Mask areas as fractions of the image, separated by commas.", 0, 1)] = (0.1,),
    aim: Annotated[
        Literal["preserve", "delete", "dual"],
        Knob("Preserve: the region sufficient for the score. Delete: the region necessary for it. Dual: both at once."),
    ] = "preserve",
    contrast: Annotated[bool, Knob("Use the margin over the best other class instead of the score.")] = False,
    steps: Annotated[
        int, Knob("Optimisation steps (gradient descent), half of them from each start.", 10, 2000, 10)
    ] = 200,
    smooth: Annotated[float, Knob("Smoothness of the masks, in pixels of a 224 px image.", 0, 60, 3)] = 21.0,
    hide: Annotated[
        Literal["blur", "fade"], Knob("What replaces the image outside the mask: its blur, or grey.")
    ] = "blur",
    soften: Annotated[
        float, Knob("Blur applied to the mean of the masks, as a fraction of the image's side.", 0, 0.2)
    ] = 0.0,
) -> Iterator[Tensor]:
    """The smooth mask of a given area that best preserves, or best destroys, the score.

    The mask's area is prescribed instead of penalised: the sorted values of the mask are pushed towards zeros and ones
    in the requested proportion. One descent starts from Grad-CAM (of the default layer), another from the windows that
    score best; the result is the best mask tried, be it a window, the largest values of Grad-CAM or a mask on the way.
    What counts is the score under the mask as it is or under its largest values alone, whichever is worse. Several
    areas give several masks, whose mean is shown. The areas actually reached are reported.
    """
    if contrast and not isinstance(query.targets, Classes):
        raise Unsupported(
            "A unit, a group or a difference has no other classes to lead over.",
            "Set extremal_perturbation.contrast to false.",
        )

    def one(query: Query) -> Iterator[Tensor]:
        maker, levels = SmoothMasks(query.size, smooth, query.images.device), levels_of(query.images[0], hide)
        search = Search(query, maker, levels, areas, aim, "margin" if contrast else "logit")
        rounds = ceil(steps / STARTS)
        total = GRID + rounds
        for step, masks in zip(_steps(query, total), best_masks(search, rounds), strict=True):
            if step % EVERY == EVERY - 1 or step == total - 1:
                yield _mean_mask(torch.stack(masks), query, soften)

    yield from per_image(query, one, in_half_precision=query.execution.precision == "half")


def _mean_mask(masks: Tensor, query: Query, soften: float) -> Tensor:
    """The mean of the masks (K, H, W), high where the evidence is; records their areas as a remark."""
    query.log.remarks["areas"] = ", ".join(f"{area:.3f}" for area in masks.mean((1, 2)).tolist())
    mean = masks.mean(0).cpu()
    return blurred(mean, soften * min(query.size)) if soften else mean


def _check_areas(areas: Numbers) -> None:
    if len(areas) > MOST_AREAS or not all(0 < area < 1 for area in areas):
        message = f"extremal_perturbation.areas cannot be {spelled(areas)}."
        raise BadParameter(message, f"Give up to {MOST_AREAS} shares above 0 and below 1, such as 0.05,0.1.")


def _steps(query: Query, steps: int) -> Iterator[int]:
    """The indices of the steps; each reports progress and can be cancelled."""
    if query.half_precision:  # many small steps amplify any rounding
        query.log.remarks["precision"] = f"{query.log.remarks['precision']}; the mask itself may differ more"
    for span in chunks(steps, 1, query.report, "steps", counted=True):
        yield span.start
