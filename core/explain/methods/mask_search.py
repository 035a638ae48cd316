"""The search for the masks of given areas that best preserve, or best destroy, the score."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, inf, sqrt
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from core.cache import TensorCache
from core.explain.execution import NOTHING, RunLog
from core.explain.methods.cam import grad_cam
from core.explain.methods.smooth_masks import SmoothMasks, perturbed
from core.explain.query import Query
from core.explain.targets import Score
from core.images import resized
from core.network.cancellation import RepeatedReport
from core.network.threads import single_threaded

GRID = 7  # windows down and across the image
STARTS = 2  # of the descents: Grad-CAM, and the windows
EVERY = 10  # steps after which the masks of a descent are scored
T = TypeVar("T")


class Found(NamedTuple):
    """A mask that was tried."""

    score: float
    values: Tensor  # (H, W), high where the evidence is


def found(scores: Tensor, masks: Tensor) -> list[Found]:
    """The masks (N, H, W) with their scores (N,)."""
    return [Found(score, mask) for score, mask in zip(scores.tolist(), masks, strict=True)]


@dataclass(frozen=True)
class Search:
    """What is searched for, about one image: a mask of each area."""

    query: Query
    maker: SmoothMasks
    levels: Tensor  # the image from fully masked to unchanged
    areas: Sequence[float]
    aim: str  # preserve, delete or dual
    score: Score

    def windows(self, down: int) -> Tensor:
        """The windows (GRID · K, H, W) in a row of the grid: at the first position one of each area, then at the next.

        A window has the proportions of the image; its last lines are shorter where that makes its area exact.
        """
        rows, columns = self.query.size
        masks = torch.zeros(GRID, len(self.areas), rows, columns, device=self.levels.device)
        for number, area in enumerate(self.areas):
            pixels = round(area * rows * columns)
            height = max(1, round(sqrt(area) * rows))
            width = ceil(pixels / height)
            window = (torch.arange(height * width) < pixels).view(height, width)
            top = round((rows - height) * down / (GRID - 1))
            for across in range(GRID):
                left = round((columns - width) * across / (GRID - 1))
                masks[across, number, top : top + height, left : left + width] = window
        return masks.flatten(0, 1)

    def above_mean(self, scores: Tensor) -> Tensor:
        """The windows weighted by how far their scores (GRID, GRID, K) are above the mean, summed, (K, H, W).

        Zero where the sum is negative.
        """
        above = scores - scores.mean((0, 1))
        parts = [
            torch.einsum("nk,nkhw->khw", of_row, self.windows(down).unflatten(0, of_row.shape))
            for down, of_row in enumerate(above)
        ]
        return torch.stack(parts).sum(0).clamp_min(0)

    def grad_cam(self) -> Tensor:
        """Grad-CAM of the target at the default layer, or at the target's, (K, H, W); zero without such a layer."""
        targets = self.query.targets
        layer = targets.layer or self.query.model.survey.default
        if not layer:
            return torch.zeros(len(self.areas), *self.query.size, device=self.levels.device)
        # Not from the cache: what another number of threads computed differs by rounding, which a descent amplifies.
        execution = self.query.execution.changed(cache=TensorCache(1 << 30), prefetch=NOTHING)
        asked = replace(self.query, layer=layer, execution=execution).counted_in(self.query.log)
        return resized(grad_cam(asked), self.query.size).expand(len(self.areas), -1, -1)

    def descend(self, evidence: Tensor, steps: int) -> Iterator[list[Found]]:
        """Gradient descent with momentum, from masks that are open where the evidence (K, H, W) is high.

        Where there is none, a mask starts all open. Yields what was tried in each step: in the first one also the
        largest values of the evidence; after each EVERY steps and the last the masks of the descent.
        """
        tried = self._largest(evidence)
        free = self._started(evidence).requires_grad_()
        optimiser = torch.optim.SGD([free], lr=8 / steps, momentum=0.9, dampening=0.9)
        for step in range(steps):
            with torch.enable_grad():
                small = self.maker(free)
                large = F.interpolate(small[:, None], self.query.size, mode="bilinear")
                reward = self._reward(large, mirrored=step % 2 == 0)
                weight = 300 * 1.0035 ** (800 * step / steps)
                loss = weight * off_area(self.shown(small), self.areas) - reward
                free.grad = torch.autograd.grad(loss, free)[0]
            optimiser.step()
            free.data.clamp_(0, 1)
            if step % EVERY == EVERY - 1 or step == steps - 1:
                tried += self._reached(free.detach())
            yield tried
            tried = []

    @torch.no_grad()
    def scores(self, masks: Tensor) -> Tensor:
        """The signed sum (N,) of the scores of the image under masks of the evidence (N, H, W)."""
        targets = self.query.targets.repeated(0, len(masks))
        parts = [
            sign * self.query.score(perturbed(self.levels, view), targets, self.score)
            for view, sign in self._views(self.shown(masks[:, None]))
        ]
        return torch.stack(parts).sum(0)

    def shown(self, masks: Tensor) -> Tensor:
        """Masks of the evidence as masks of what stays visible, or the reverse."""
        return 1 - masks if self.aim == "delete" else masks

    def _started(self, evidence: Tensor) -> Tensor:
        """Free values (K, n) to start from."""
        highest = evidence.amax((1, 2), keepdim=True)
        small = F.interpolate((evidence / highest)[:, None], (self.maker.rows, self.maker.columns), mode="area")[:, 0]
        return torch.where(highest > 0, self.shown(small), 1.0).flatten(1)

    def _largest(self, evidence: Tensor) -> list[Found]:
        """The largest values of the evidence as masks; where there is no evidence, any positions."""
        masks = cut(evidence, self.areas)
        return found(self.scores(masks), masks)

    def _reached(self, free: Tensor) -> list[Found]:
        """The masks of these free values (K, n), cut off at their areas where these are not reached yet.

        A mask is scored as it is and cut off at its area, and the lower score counts: one that needs half-transparent
        regions shows less than it seems to.
        """
        masks = self.shown(F.interpolate(self.maker(free)[:, None], self.query.size, mode="bilinear")[:, 0])
        inside = cut(masks, self.areas)
        areas = torch.tensor(self.areas, device=masks.device)
        near = (masks.mean((1, 2)) - areas).abs() <= (0.15 * areas).clamp_max(0.02)  # as near as a descent comes
        of_inside = self.scores(inside)
        scores = torch.where(near, torch.minimum(self.scores(masks), of_inside), of_inside)
        return found(scores, torch.where(near[:, None, None], masks, inside))

    def _views(self, masks: Tensor) -> list[tuple[Tensor, int]]:
        """The masks (N, 1, H, W) under which the image is seen, and the signs with which its scores count."""
        return {"preserve": [(masks, 1)], "delete": [(masks, -1)], "dual": [(masks, 1), (1 - masks, -1)]}[self.aim]

    def _reward(self, masks: Tensor, *, mirrored: bool) -> Tensor:
        """The signed sum of the scores of the image under each mask (K, 1, H, W), differentiable in the masks."""
        views = self._views(masks)
        images = torch.cat([perturbed(self.levels, view) for view, _ in views])
        images = images.flip(-1) if mirrored else images
        slope = self.query.gradient(images.detach(), self.query.targets.repeated(0, len(images)), self.score)
        parts = (slope * images).chunk(len(views))
        return torch.stack([sign * part.sum() for part, (_, sign) in zip(parts, views, strict=True)]).sum()


def best_masks(search: Search, steps: int) -> Iterator[list[Tensor]]:
    """The best mask (H, W) of each area so far, after each of GRID + `steps` steps; of equal ones the first.

    First windows of each area are scored, one row of a grid a step. Then two descents run side by side, one from
    Grad-CAM, one from the positions whose windows scored higher than the mean.
    """
    workers = single_threaded(min(STARTS, torch.get_num_threads()))
    logs = [RunLog() for _ in range(STARTS)]
    searches = [replace(search, query=search.query.counted_in(log)) for log in logs]
    best = [Found(-inf, torch.empty(0))] * len(search.areas)

    def after(tried: Sequence[Found]) -> list[Tensor]:
        for place, mask in enumerate(tried):
            best[place % len(best)] = max(best[place % len(best)], mask, key=lambda one: one.score)
        for log in logs:
            _move_counts(log, search.query.log)
        return [mask.values for mask in best]

    def side_by_side(*parts: Callable[[], T]) -> list[T]:
        """The results of parts of the work, each by one worker."""
        futures = [workers.submit(_heard, search.query, part) for part in parts]
        wait(futures)  # for all, so that nothing runs any more once one was cancelled
        return [future.result() for future in futures]

    scores = []
    for down in range(GRID):
        windows = search.windows(down)
        parts = zip(searches, windows.chunk(STARTS), strict=True)
        scores.append(torch.cat(side_by_side(*(partial(one.scores, part) for one, part in parts))))
        yield after(found(scores[-1], windows))
    rows = torch.stack(scores).view(GRID, GRID, -1)
    starts = side_by_side(searches[0].grad_cam, partial(search.above_mean, rows))
    descents = [one.descend(start, steps) for one, start in zip(searches, starts, strict=True)]
    for _ in range(steps):
        yield after([mask for tried in side_by_side(*(partial(next, one) for one in descents)) for mask in tried])


def _heard(query: Query, work: Callable[[], T]) -> T:
    """The result of work on a worker's thread, where cancellation is heard as on the thread of the query."""
    with RepeatedReport(query.report) as repeated:
        repeated.report(query.log.fraction, query.log.note)
        return work()


def _move_counts(log: RunLog, to: RunLog) -> None:
    to.forwards += log.forwards
    to.backwards += log.backwards
    log.forwards = log.backwards = 0


def cut(masks: Tensor, areas: Sequence[float]) -> Tensor:
    """Masks (K, H, W) that are one at the largest values of each, as many as its area has, and zero elsewhere.

    Of equal values the first count as larger.
    """
    order = masks.flatten(1).argsort(dim=1, descending=True, stable=True)
    inside = torch.zeros_like(order, dtype=masks.dtype)
    for row, places, area in zip(inside, order, areas, strict=True):
        row[places[: round(area * len(places))]] = 1
    return inside.view_as(masks)


def off_area(masks: Tensor, areas: Sequence[float]) -> Tensor:
    """The distance of the sorted values of each mask (K, h, w) from zeros and ones in the target proportion, summed.

    Equal values are sorted by position.
    """
    values = masks.flatten(1).sort(dim=1, stable=True).values
    ideal = torch.zeros_like(values)
    for row, area in zip(ideal, areas, strict=True):
        row[int(len(row) * (1 - area)) :] = 1
    return (values - ideal).square().mean(1).sum()
