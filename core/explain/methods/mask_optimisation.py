"""Masks found by optimisation: the smallest part of the image that preserves or destroys the score."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil
from threading import Barrier
from typing import Annotated, Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from core.cache import TensorCache
from core.errors import BadParameter, Unsupported
from core.explain.baselines import SIDE, baseline, blurred
from core.explain.execution import NOTHING, RunLog
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
STARTS = 2  # an open mask, and Grad-CAM


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


def _extremal_cost(settings: Mapping[str, Any], side: int) -> float:
    steps = ceil(settings["steps"] / STARTS)
    of_a_mask = 3 * steps + 2 * ceil(steps / EVERY)
    views = 2 if settings["aim"] == "dual" else 1
    return 3 + STARTS * len(settings["areas"]) * views * of_a_mask


@explainer(
    "Extremal perturbation",
    family="perturbation",
    source="Fong, Patrick & Vedaldi 2019",
    formula="argmax_m s(m ⊗ x) over smooth masks m of area a; delete: −s((1−m) ⊗ x), dual: the sum of both; "
    "contrast: s is the margin over the best other class; mean over the areas",
    caution="The area is prescribed, not found: one too small breaks the object up, one too large includes context.",
    cost=_extremal_cost,
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
    in the requested proportion. One descent starts from a mask that is open everywhere, another from Grad-CAM; the
    result is the best mask of that area on the way of either. Several areas give several masks, whose mean is shown.
    The areas actually reached are reported.
    """
    if contrast and not isinstance(query.targets, Classes):
        raise Unsupported(
            "A unit or a difference has no other classes to lead over.", "Set extremal_perturbation.contrast to false."
        )

    def one(query: Query) -> Iterator[Tensor]:
        rounds, logs = ceil(steps / STARTS), [RunLog() for _ in range(STARTS)]
        maker, levels = _Masks(query.size, smooth, query.images.device), _levels(query.images[0], hide)
        searches = [
            _Search(query.counted_in(log), maker, levels, areas, aim, "margin" if contrast else "logit") for log in logs
        ]
        descents = [search.descend(start, rounds) for start, search in enumerate(searches)]
        best = [_Found((-torch.inf, 0.0), torch.empty(0))] * len(areas)
        with _alone(STARTS) as workers:
            for step in _steps(query, rounds):
                found = list(workers.map(next, descents))
                _move_counts(logs, query.log)
                if step % EVERY == EVERY - 1 or step == rounds - 1:
                    # Of equal masks the first is kept.
                    best = [max(of_area, key=lambda mask: mask.rank) for of_area in zip(best, *found, strict=True)]
                    yield _mean_mask(torch.stack([mask.values for mask in best]), query, soften)

    yield from per_image(query, one, in_half_precision=True)


class _Found(NamedTuple):
    """A mask met on the way of a descent."""

    rank: tuple[float, float]  # first how little it misses its area, then its score: the largest is the best
    values: Tensor  # (h, w), high where the evidence is


@dataclass(frozen=True)
class _Search:
    """The search for the best masks of some areas."""

    query: Query  # about one image
    maker: "_Masks"
    levels: Tensor  # the image from fully masked to unchanged
    areas: Numbers
    aim: str
    score: Score

    def descend(self, start: int, steps: int) -> Iterator[list[_Found]]:
        """Gradient descent with momentum; after each EVERY steps and the last the mask of each area, else nothing."""
        free = self._started(start).expand(len(self.areas), -1).clone().requires_grad_()
        optimiser = torch.optim.SGD([free], lr=8 / steps, momentum=0.9, dampening=0.9)
        for step in range(steps):
            with torch.enable_grad():
                small = self.maker(free)
                large = F.interpolate(small[:, None], self.query.size, mode="bilinear")
                reward = self._reward(large, mirrored=step % 2 == 0)
                weight = 300 * 1.0035 ** (800 * step / steps)
                loss = weight * _off_area(self._shown(small), self.areas) - reward
                free.grad = torch.autograd.grad(loss, free)[0]
            optimiser.step()
            free.data.clamp_(0, 1)
            yield self._found(free.detach()) if step % EVERY == EVERY - 1 or step == steps - 1 else []

    def _started(self, start: int) -> Tensor:
        """Free values (n,) to start from: all open, or open where Grad-CAM of the target is high."""
        targets, survey = self.query.targets, self.query.model.survey
        layer = targets.layer or survey.default
        count = self.maker.rows, self.maker.columns
        if start == 0 or not layer:
            return torch.ones(count, device=self.levels.device).flatten()
        # Not from the cache: what another number of threads computed differs by rounding, which a descent amplifies.
        execution = self.query.execution.changed(cache=TensorCache(1 << 30), prefetch=NOTHING)
        asked = replace(self.query, layer=layer, execution=execution).counted_in(self.query.log)
        values = resized(grad_cam(asked), count)[0]
        values = values / values.max().clamp_min(torch.finfo(values.dtype).tiny)
        return self._shown(values).flatten()

    def _shown(self, masks: Tensor) -> Tensor:
        """Masks of what is preserved as masks of the evidence, or the reverse."""
        return 1 - masks if self.aim == "delete" else masks

    def _views(self, masks: Tensor) -> list[tuple[Tensor, int]]:
        """The masks (K, 1, H, W) under which the image is seen, and the signs with which its scores count."""
        return {"preserve": [(masks, 1)], "delete": [(masks, -1)], "dual": [(masks, 1), (1 - masks, -1)]}[self.aim]

    def _reward(self, masks: Tensor, *, mirrored: bool) -> Tensor:
        """The signed sum of the scores of the image under each mask (K, 1, H, W), differentiable in the masks."""
        views = self._views(masks)
        images = torch.cat([_perturbed(self.levels, view) for view, _ in views])
        images = images.flip(-1) if mirrored else images
        slope = self.query.gradient(images.detach(), self.query.targets.repeated(0, len(images)), self.score)
        parts = (slope * images).chunk(len(views))
        return torch.stack([sign * part.sum() for part, (_, sign) in zip(parts, views, strict=True)]).sum()

    @torch.no_grad()
    def _found(self, free: Tensor) -> list[_Found]:
        """The masks (K) of these free values.

        The score of a mask is the lower one of the mask as it is and cut off at its area: one that needs
        half-transparent regions shows less than it seems to.
        """
        small = self.maker(free)
        large = F.interpolate(small[:, None], self.query.size, mode="bilinear")
        cut = self._shown(_cut(self._shown(large), self.areas))
        scores = torch.minimum(self._scores(large), self._scores(cut)).tolist()
        shown = self._shown(small)
        missed = [
            max(0.0, abs(float(mask.mean()) - area) - min(0.15 * area, 0.02))  # as near as this is reached
            for mask, area in zip(shown, self.areas, strict=True)
        ]
        return [_Found((-miss, score), mask) for miss, score, mask in zip(missed, scores, shown, strict=True)]

    def _scores(self, masks: Tensor) -> Tensor:
        """The signed sum (K,) of the scores of the image under each mask (K, 1, H, W)."""
        targets = self.query.targets.repeated(0, len(masks))
        parts = [
            sign * self.query.score(_perturbed(self.levels, view), targets, self.score)
            for view, sign in self._views(masks)
        ]
        return torch.stack(parts).sum(0)


@contextmanager
def _alone(count: int) -> Iterator[Executor]:
    """Workers in which torch computes on one thread each, as many as torch has threads here, at most `count`.

    Sums over several threads are rounded in another order, and a descent amplifies any rounding: with one thread each,
    descents are the same to the bit wherever they run, and keep as many cores busy side by side.
    """
    threads = torch.get_num_threads()
    count = min(count, threads)
    ready = Barrier(count + 1)

    def begin() -> None:
        torch.set_num_threads(1)  # of the calling thread, and of threads that begin later
        ready.wait()

    with ThreadPoolExecutor(count, initializer=begin) as workers:
        for _ in range(count):
            workers.submit(int)
        ready.wait()
        torch.set_num_threads(threads)  # of threads that begin later
        yield workers


def _move_counts(logs: Sequence[RunLog], log: RunLog) -> None:
    """Move the counted passes of some logs to another."""
    for part in logs:
        log.forwards += part.forwards
        log.backwards += part.backwards
        part.forwards = part.backwards = 0


def _cut(masks: Tensor, areas: Sequence[float]) -> Tensor:
    """Masks (K, 1, H, W) that are one at the largest values of each, as many as its area has, and zero elsewhere."""
    order = masks.flatten(1).argsort(dim=1, descending=True, stable=True)
    inside = torch.zeros_like(order, dtype=masks.dtype)
    for row, places, area in zip(inside, order, areas, strict=True):
        row[places[: round(area * len(places))]] = 1
    return inside.view_as(masks)


def _mean_mask(masks: Tensor, query: Query, soften: float) -> Tensor:
    """The mean of the masks (K, h, w), high where the evidence is; records their areas as a remark."""
    query.log.remarks["areas"] = ", ".join(f"{area:.3f}" for area in masks.mean((1, 2)).tolist())
    large = F.interpolate(masks.mean(0)[None, None], query.size, mode="bilinear")[0, 0].cpu()
    return blurred(large, soften * min(query.size)) if soften else large


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


def _levels(image: Tensor, hide: str, count: int = 8) -> Tensor:
    """The image (3, H, W) from fully masked to unchanged, (count, 3, H, W)."""
    strengths = [level / (count - 1) for level in range(count)]
    if hide == "fade":
        return torch.stack([image * strength for strength in strengths])
    sigma = 20 * min(image.shape[-2:]) / SIDE
    return torch.stack([blurred(image, sigma * (1 - strength)) for strength in strengths])


def _perturbed(levels: Tensor, masks: Tensor) -> Tensor:
    """Images (K, 3, H, W) that show at each pixel the level given by the mask (K, 1, H, W), interpolated."""
    position = masks * (len(levels) - 1)
    below = position.detach().floor().long().clamp(0, len(levels) - 2)
    spread = below.expand(-1, levels.shape[1], -1, -1)
    low, high = levels.gather(0, spread), levels.gather(0, spread + 1)
    return low + (position - below) * (high - low)


def _off_area(masks: Tensor, areas: Sequence[float]) -> Tensor:
    """The distance of the sorted values of each mask (K, h, w) from zeros and ones in the target proportion, summed.

    Equal values, up to rounding, are compared with the mean of what they would be compared with in any order.
    """
    values = masks.flatten(1).sort(1).values
    count = values.shape[1]
    ideal = torch.zeros_like(values)
    for row, area, sizes in zip(ideal, areas, values.detach(), strict=True):
        row[int(count * (1 - area)) :] = 1
        _, group, members = (sizes * 2**20).round().unique_consecutive(return_inverse=True, return_counts=True)
        row.copy_((torch.zeros_like(members, dtype=row.dtype).index_add(0, group, row) / members)[group])
    return (values - ideal).square().mean(1).sum()


@dataclass(frozen=True)
class _Masks:
    """Smooth masks from free values on a coarse grid: at each pixel the soft maximum of the values around it.

    On large images masks are computed for blocks of pixels, a third of the grid's step, and upsampled.
    """

    size: tuple[int, int]
    smooth: float  # pixels of a 224 px image
    device: torch.device

    @property
    def sigma(self) -> float:
        """Smoothness in pixels of the image."""
        return max(self.smooth * min(self.size) / SIDE, 1e-3)

    @property
    def step(self) -> int:
        """Pixels between two free values."""
        return max(1, round(self.sigma / 3))

    @property
    def rows(self) -> int:
        """Free values down the image."""
        return ceil(self.size[0] / self.step)

    @property
    def columns(self) -> int:
        """Free values across the image."""
        return ceil(self.size[1] / self.step)

    def __call__(self, free: Tensor) -> Tensor:
        """Masks (K, h, w) from free values (K, rows · columns)."""
        down, across, weight = (part.to(self.device) for part in _neighbours(self.size, self.step, self.sigma))
        (height, width), near = weight.shape[:2], weight.shape[2]
        # As matrix products: their backward is fast and sums in a fixed order.
        values = down @ free.view(-1, self.rows, self.columns) @ across
        values = values.view(-1, height, near, width, near).transpose(2, 3) * weight
        values = values.flatten(3)
        return (values * (20 * values).softmax(-1)).sum(-1)


@lru_cache(maxsize=4)
def _neighbours(size: tuple[int, int], step: int, sigma: float) -> tuple[Tensor, Tensor, Tensor]:
    """The free values around each pixel of a mask, and their weights.

    Two selections, (h · n, rows) and (columns, w · n), that take the n nearest lines of free values for each line of
    the mask, down and across; and weights (h, w, n, n).
    """
    block, radius = max(1, step // 3), 1 + ceil(sigma / step)
    offsets = torch.arange(-radius, radius + 1)
    selections, far = [], []
    for side in size:
        count = ceil(side / step)
        centres = torch.arange(ceil(side / block)) * block + (block - 1) / 2
        near = (centres / step).floor().long()[:, None] + offsets
        selections.append(F.one_hot(near.clamp(0, count - 1).flatten(), count).float())
        far.append(centres[:, None] - ((near + 0.5) * step - 0.5))
    distance = (far[0][:, None, :, None].square() + far[1][None, :, None, :].square()).sqrt()
    weight = (-2 * (distance / sigma - 0.5).clamp_min(0).square()).exp()
    return selections[0], selections[1].T, weight
