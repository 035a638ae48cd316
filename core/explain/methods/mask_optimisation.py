"""Masks found by optimisation: the smallest part of the image that preserves or destroys the score."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from core.errors import BadParameter, Unsupported
from core.explain.baselines import SIDE, baseline, blurred
from core.explain.method import explainer
from core.explain.methods.cam import grad_cam
from core.explain.query import Query, per_image
from core.explain.segments import ScoreBy
from core.explain.targets import Classes, Score
from core.images import resized
from core.params import Knob, Numbers, spelled

Aim = Annotated[
    Literal["preserve", "delete"],
    Knob("Preserve: find the region sufficient for the score. Delete: find the region necessary for it."),
]
MOST_AREAS = 8  # masks of one image, optimised together
EVERY = 10  # steps between two running maps
TRIALS = 4  # masks that extremal perturbation tries in one step


@explainer(
    "Meaningful perturbation",
    family="perturbation",
    source="Fong & Vedaldi 2017",
    formula="delete: min_m s(m·x + (1−m)·blur x) + λ·mean(1−m) + β·r; preserve: max_m s(…) − λ·mean m − β·r; "
    "r = mean|∂m|³ down + mean|∂m|³ across",
    caution="Small changes of λ and β change the mask; it may exploit artefacts that only an optimiser would find.",
    cost=lambda settings, side: 3 * settings["steps"],
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

    yield from per_image(query, one, in_half_precision=True)


def _roughness(mask: Tensor) -> Tensor:
    """The mean cubed difference between vertical and horizontal neighbours; a mean, as the default weights expect."""
    return mask.diff(dim=2).abs().pow(3).mean() + mask.diff(dim=3).abs().pow(3).mean()


@explainer(
    "Extremal perturbation",
    family="perturbation",
    source="Fong, Patrick & Vedaldi 2019",
    formula="argmax_m s(m ⊗ x) over smooth masks m of area a; delete: −s((1−m) ⊗ x), dual: the sum of both; "
    "contrast: s is the margin over the best other class; mean over the areas",
    caution="The area is prescribed, not found: one too small breaks the object up, one too large includes context.",
    cost=lambda settings, side: (
        3 + (1 + TRIALS * settings["steps"]) * len(settings["areas"]) * (2 if settings["aim"] == "dual" else 1)
    ),
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
    steps: Annotated[int, Knob("Steps of the search; each tries four masks per area.", 10, 2000, 10)] = 200,
    smooth: Annotated[float, Knob("Smoothness of the masks, in pixels of a 224 px image.", 0, 60, 3)] = 21.0,
    hide: Annotated[
        Literal["blur", "fade"], Knob("What replaces the image outside the mask: its blur, or grey.")
    ] = "blur",
    soften: Annotated[
        float, Knob("Blur applied to the mean of the masks, as a fraction of the image's side.", 0, 0.2)
    ] = 0.0,
) -> Iterator[Tensor]:
    """The smooth mask of a given area that best preserves, or best destroys, the score.

    The mask's area is prescribed instead of penalised: a mask shows the strongest pixels of a smooth field, as many as
    the area asks for. The search starts from Grad-CAM, changes it at random and keeps every change that improves the
    score, so that the result is the best mask seen and never worse than Grad-CAM's. It compares scores only: the
    paper's gradient descent amplifies rounding. Several areas give several masks, whose mean is shown.
    """
    if contrast and not isinstance(query.targets, Classes):
        raise Unsupported(
            "A unit or a difference has no other classes to lead over.", "Set extremal_perturbation.contrast to false."
        )
    score: Score = "margin" if contrast else "logit"

    def one(query: Query) -> Iterator[Tensor]:
        hidden = _hidden(query.images[0], hide)
        rows = torch.arange(len(areas))

        def best(fields: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            """Of fields (K, N, H, W) the one with the best mask for each area, that mask, and its value."""
            masks = strongest(fields, areas)
            values, chosen = _values(query, masks.flatten(0, 1), hidden, aim, score).view(masks.shape[:2]).max(1)
            chosen = chosen.to(fields.device)
            return fields[rows, chosen], masks[rows, chosen], values

        fields, masks, values = best(_start(query, hidden, score, smooth).expand(len(areas), 1, -1, -1))
        # Rounded, so that the search begins at the same field whatever the last digits of Grad-CAM are.
        fields = (_standardised(fields) * 64).round() / 64
        reach = torch.full((len(areas), 1, 1, 1), 0.5, device=fields.device)
        for step in _steps(query, steps):
            tried, its_masks, its_values = best(fields[:, None] + reach * _changes(query, step, smooth))
            better = (its_values > values).to(fields.device)[:, None, None]
            fields = torch.where(better, _standardised(tried), fields)
            masks = torch.where(better, its_masks, masks)
            values = torch.maximum(its_values, values)
            reach = (reach * torch.where(better[..., None], 1.3, 0.95)).clamp(0.05, 1)
            if step % EVERY == EVERY - 1 or step == steps - 1:
                query.log.remarks["score of the masks"] = ", ".join(f"{value:.3f}" for value in values.tolist())
                yield _mean_mask(masks, query, soften)

    yield from per_image(query, one, in_half_precision=True)


def strongest(fields: Tensor, areas: Sequence[float]) -> Tensor:
    """Masks (K, N, H, W), true at the strongest pixels of fields (K, N, H, W) of one area each; ties go by position."""
    order = fields.flatten(2).sort(dim=2, descending=True, stable=True).indices
    masks = torch.zeros_like(order, dtype=torch.bool)
    for mask, ranked, area in zip(masks, order, areas, strict=True):
        mask.scatter_(1, ranked[:, : max(1, round(area * ranked.shape[1]))], True)
    return masks.view(fields.shape)


@torch.no_grad()
def _values(query: Query, masks: Tensor, hidden: Tensor, aim: str, score: Score) -> Tensor:
    """What is sought, (N,) on the CPU: the score of what each mask (N, H, W) shows, minus that of the rest, or both."""
    total = torch.zeros(len(masks), dtype=torch.float64)
    for sign, kept in {"preserve": [(1, masks)], "delete": [(-1, ~masks)], "dual": [(1, masks), (-1, ~masks)]}[aim]:
        images = torch.where(kept[:, None], query.images[0], hidden)
        parts = [query.score(part, query.targets.repeated(0, len(part)), score) for part in images.split(query.batch)]
        total += sign * torch.cat(parts).double().cpu()
    return total


def _start(query: Query, hidden: Tensor, score: Score, smooth: float) -> Tensor:
    """The field (H, W) to begin with: Grad-CAM, or, in a network without positions, what the pixels add half shown."""
    if query.model.survey.default:
        return resized(grad_cam(replace(query, layer="").counted_in(query.log)), query.size)[0].to(hidden)
    change = query.images - hidden
    slope = query.gradient(hidden + change / 2, query.targets, score)
    return blurred((slope * change)[0].sum(0), _sigma(query, smooth))


def _changes(query: Query, step: int, smooth: float) -> Tensor:
    """Smooth noise (TRIALS, H, W) of unit and of half variation, each with both signs; depends on seed and step."""
    sigma = _sigma(query, smooth)
    grid = max(1, round(sigma / 3))  # pixels between two draws
    rows, columns = (ceil(side / grid) for side in query.size)
    drawn = blurred(torch.randn(2, rows, columns, generator=query.rng(step)), sigma / grid)
    noise = _standardised(F.interpolate(drawn[None], query.size, mode="bilinear")[0])
    large, small = noise[0], noise[1] / 2
    return torch.stack([large, -large, small, -small]).to(query.images.device)


def _sigma(query: Query, smooth: float) -> float:
    """Half of the masks' smoothness, in pixels of the image: a Gaussian of that width is about as wide as asked for."""
    return smooth / 2 * min(query.size) / SIDE


def _standardised(fields: Tensor) -> Tensor:
    """Fields (..., H, W) with mean 0 and standard deviation 1; a constant one becomes zero."""
    centred = fields - fields.mean((-2, -1), keepdim=True)
    return centred / centred.std((-2, -1), keepdim=True).clamp_min(torch.finfo(fields.dtype).tiny)


def _hidden(image: Tensor, hide: str) -> Tensor:
    """What is seen of an image (3, H, W) where nothing is shown: its strong blur, or grey."""
    return torch.zeros_like(image) if hide == "fade" else blurred(image, 20 * min(image.shape[-2:]) / SIDE)


def _mean_mask(masks: Tensor, query: Query, soften: float) -> Tensor:
    """The mean of the masks (K, H, W) on the CPU, softened; records their areas as a remark."""
    query.log.remarks["areas"] = ", ".join(f"{area:.3f}" for area in masks.float().mean((1, 2)).tolist())
    mean = masks.float().mean(0).cpu()
    return blurred(mean, soften * min(query.size)) if soften else mean


def _check_areas(areas: Numbers) -> None:
    if len(areas) > MOST_AREAS or not all(0 < area < 1 for area in areas):
        message = f"extremal_perturbation.areas cannot be {spelled(areas)}."
        raise BadParameter(message, f"Give up to {MOST_AREAS} shares above 0 and below 1, such as 0.05,0.1.")


def _steps(query: Query, steps: int) -> Iterator[int]:
    """The indices of the steps; each reports progress and can be cancelled."""
    if query.half_precision:  # many small steps amplify any rounding
        query.log.remarks["precision"] = f"{query.log.remarks['precision']}; the mask itself may differ more"
    for step in range(steps):
        query.report(step / steps, "learning a mask")
        yield step
