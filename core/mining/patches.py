"""From heatmaps to patches: windows rich in evidence, and those of them that the prediction depends on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from core.explain.query import Query
from core.network.incremental import CumulativePass
from core.progress import chunks, subrange
from core.study.config import PatchConfig

GROUP = 4  # images whose maps are kept in memory while their windows are covered


@dataclass(frozen=True)
class Candidates:
    """The windows of each image in the order they were chosen."""

    corners: NDArray[np.int64]  # (B, k, 2) upper left pixels as (y, x); (0, 0) beyond `found`
    scores: NDArray[np.float64]  # (B, k) sums of the heatmap, what earlier windows took already missing
    found: NDArray[np.int64]  # (B,)
    side: int


def integral(maps: NDArray[Any]) -> NDArray[np.float64]:
    """Sums (B, H + 1, W + 1) of everything above and left of each pixel corner."""
    sums = np.zeros((len(maps), maps.shape[1] + 1, maps.shape[2] + 1))
    # Of the cumulative sums at hand these two are the fastest: torch's along rows, row upon row down the columns.
    sums[:, 1:, 1:] = torch.from_numpy(maps).double().cumsum(2).numpy()
    for row in range(2, sums.shape[1]):
        sums[:, row] += sums[:, row - 1]
    return sums


def candidates(maps: NDArray[Any], side: int, config: PatchConfig, numbers: Sequence[int], seed: int = 0) -> Candidates:
    """The k best windows of each map (B, H, W ≥ 0): the best is taken, its area set to zero, and so on (Eq. 1).

    Random windows depend on `seed` and the image's number alone. Ties go to the upper, then the left window; an image
    whose windows hold nothing more has fewer than k.
    """
    work = maps.astype(np.float64)
    corners = np.zeros((len(work), config.count, 2), np.int64)
    scores = np.zeros((len(work), config.count))
    found = np.zeros(len(work), np.int64)
    # Sums taken by differences keep rounding dust where everything is zero.
    floor = 1e-9 * work.sum((1, 2))
    above = integral(work)
    # A window goes by the place of its upper left corner in the integral image: places grow down and to the right.
    drawn = None if config.sampling == "dense" else _drawn(above.shape, side, config, numbers, seed)
    every = _places(above.shape, side, np.arange(_count(above.shape, side)))[None]
    for round_ in range(config.count):
        where = every if drawn is None else drawn[:, round_ % drawn.shape[1]]
        sums = _window_sums(above, where, side, dense=drawn is None)
        if config.max_overlap < 1:
            crowded = _crowded(np.stack(np.divmod(where, above.shape[2]), 2), corners, found, side, config.max_overlap)
            sums = np.where(crowded, -np.inf, sums)
        best = sums.max(1)
        place = np.where(sums == best[:, None], where, np.iinfo(np.int64).max).min(1)
        alive = (found == round_) & (best > floor)
        if not alive.any():
            break
        corners[alive, round_] = np.stack(np.divmod(place, above.shape[2]), 1)[alive]
        scores[alive, round_] = best[alive]
        found[alive] += 1
        for i in np.flatnonzero(alive):
            _clear(work[i], above[i], corners[i, round_], side)
    return Candidates(corners, scores, found, side)


def _clear(one: NDArray[np.float64], above: NDArray[np.float64], corner: NDArray[np.int64], side: int) -> None:
    """Set a window of a map to zero, and take what it held out of the integral image: only sums beyond it change."""
    y, x = corner.tolist()
    window = one[y : y + side, x : x + side]
    gone = window.cumsum(0).cumsum(1)
    down, right = slice(y + side + 1, None), slice(x + side + 1, None)
    above[y + 1 : y + side + 1, x + 1 : x + side + 1] -= gone
    above[y + 1 : y + side + 1, right] -= gone[:, -1:]
    above[down, x + 1 : x + side + 1] -= gone[-1]
    above[down, right] -= gone[-1, -1]
    window[:] = 0


def _count(shape: tuple[int, ...], side: int) -> int:
    """How many windows there are, by the shape of an integral image."""
    return (shape[1] - side) * (shape[2] - side)


def _places(shape: tuple[int, ...], side: int, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of windows that are numbered row by row: a row of places has `side` more than windows begin in it."""
    return numbers + numbers // (shape[2] - side) * side


def _drawn(
    shape: tuple[int, ...], side: int, config: PatchConfig, numbers: Sequence[int], seed: int
) -> NDArray[np.int64]:
    """Places of random windows (B, rounds, m)."""
    rounds = config.count if config.sampling == "redraw" else 1
    windows = np.zeros((len(numbers), rounds, config.draws), np.int64)
    for own, number in zip(windows, numbers, strict=True):
        own[:] = np.random.default_rng([seed, number]).integers(0, _count(shape, side), own.shape)
    return _places(shape, side, windows)


def _window_sums(sums: NDArray[np.float64], where: NDArray[np.int64], side: int, *, dense: bool) -> NDArray[np.float64]:
    if dense:
        whole = sums[:, side:, side:] - sums[:, :-side, side:] - sums[:, side:, :-side] + sums[:, :-side, :-side]
        return whole.reshape(len(sums), whole.shape[1] * whole.shape[2])
    height, width = sums.shape[1:]
    start = np.arange(len(sums))[:, None] * (height * width) + where
    flat = sums.reshape(-1)
    across, down = flat[start + side], flat[start + side * width]
    return flat[start + (side * width + side)] - across - down + flat[start]


def _crowded(
    where: NDArray[np.int64], corners: NDArray[np.int64], found: NDArray[np.int64], side: int, allowed: float
) -> NDArray[np.bool_]:
    """Which windows, by their corners (B, m, 2), lie by more than the allowed share on one chosen before."""
    worst = np.zeros((len(corners), where.shape[1]))
    for rank in range(int(found.max(initial=0))):
        apart = np.abs(where - corners[:, rank, None])
        shared = np.clip(side - apart, 0, None).prod(2) / side**2
        worst = np.maximum(worst, np.where((rank < found)[:, None], shared, 0))
    return worst > allowed + 1e-12


@dataclass(frozen=True)
class Selection:
    """Which candidates the score depends on, and what it did while they were covered."""

    clean: NDArray[np.float32]  # (B,)
    after: NDArray[np.float32]  # (B, k) with each window covered; NaN where no pass was needed
    before: NDArray[np.float32]  # (B, k) what `after` is compared with for the drop
    kept: NDArray[np.int64]  # (B,) the first so many candidates
    stop: list[str]  # (B,) why no more: see table `images` of core.study


@torch.no_grad()
def relevant(
    query: Query, clean: Tensor, windows: Candidates, config: PatchConfig, *, stepwise: bool = False
) -> Selection:
    """Cover the candidates one after the other until the score of the query's target hardly changes any more.

    All images go on together, and one whose selection has ended is pushed no more. `clean` are the scores (B,) of the
    images themselves. With `stepwise`, and where windows are covered on top of earlier ones, only the first pass of an
    image is a whole one: later ones compute what their window reaches, the same to rounding.
    """
    total = len(query.images)
    if not stepwise or config.perturbation != "cumulative" or not total:
        return _selected(query, clean, windows, config, lambda rank, rows, covered: covered)
    parts, size = [], min(query.batch, GROUP)
    for start in range(0, total, size):
        some = slice(start, min(start + size, total))
        report = subrange(query.report, some.start / total, some.stop / total)
        group = query.subset(some, report)
        own = Candidates(windows.corners[some], windows.scores[some], windows.found[some], windows.side)
        parts.append(_selected(group, clean[some], own, config, _Stepwise(group, own)))
    joined = {
        name: np.concatenate([getattr(one, name) for one in parts]) for name in ("clean", "after", "before", "kept")
    }
    return Selection(**joined, stop=[stop for one in parts for stop in one.stop])


class _Stepwise:
    """What the network is handed of covered images so that a window costs what it reaches."""

    def __init__(self, query: Query, windows: Candidates) -> None:
        self.order, self.windows = query.model.order, windows

    def __call__(self, rank: int, rows: NDArray[np.int64], covered: Tensor) -> Tensor:
        """The images of these rows with their windows up to this rank covered; each rank asks for some of the last."""
        side = self.windows.side
        tops, lefts = self.windows.corners[rows, rank].T.tolist()
        if rank == 0:
            self.steps, self.place = (
                CumulativePass(covered, self.order),
                {row: place for place, row in enumerate(rows.tolist())},
            )
            return self.steps.first(tops, lefts, side)
        patches = [one[:, y : y + side, x : x + side] for one, y, x in zip(covered, tops, lefts, strict=True)]
        return self.steps.then([self.place[row] for row in rows.tolist()], torch.stack(patches), tops, lefts)


Handed = Callable[[int, NDArray[np.int64], Tensor], Tensor]  # (rank, rows, images covered so far) -> images


def _selected(query: Query, clean: Tensor, windows: Candidates, config: PatchConfig, handed: Handed) -> Selection:
    work = query.images.clone() if config.perturbation == "cumulative" else query.images
    filling = _filling(query, config, windows.side)
    total, rounds = windows.found.shape[0], config.count
    after = torch.full((total, rounds), torch.nan, device=clean.device)
    before = after.clone()
    going = windows.found > 0
    ended = np.zeros(total, bool)  # by tau
    pushed = np.zeros(total, np.int64)
    last = clean.clone()
    for rank in range(rounds):
        active = np.flatnonzero(going & (windows.found > rank))
        report = subrange(query.report, rank / rounds, (rank + 1) / rounds)
        for span in chunks(len(active), query.batch, report, "masking patches"):
            some = active[span.start : span.stop]
            rows = torch.from_numpy(some).to(clean.device)
            corners = torch.from_numpy(windows.corners[some, rank]).to(clean.device)
            covered = torch.where(_inside(corners, windows.side, query.size), filling(rows), work[rows])
            if config.perturbation == "cumulative":
                work[rows] = covered
            after[rows, rank] = query.score(handed(rank, some, covered), query.targets[rows], config.score)
        rows = torch.from_numpy(active).to(clean.device)
        change = last[rows] - after[rows, rank]
        before[rows, rank] = last[rows] if config.perturbation == "cumulative" else clean[rows]
        last[rows] = after[rows, rank]
        pushed[active] += 1
        if rank == 0 and not config.from_clean:
            continue
        small = (change.abs() if config.difference == "absolute" else change) < config.tau
        ended[active] = small.cpu().numpy()
        going &= ~ended
    kept = np.where(ended & ~np.bool_(config.keep_last), pushed - 1, pushed)
    stop = [_stop(tau, found, rounds) for tau, found in zip(ended.tolist(), windows.found.tolist(), strict=True)]
    return Selection(_numpy(clean), _numpy(after), _numpy(before), kept, stop)


def _numpy(values: Tensor) -> NDArray[np.float32]:
    return values.float().cpu().numpy()


def _stop(tau: bool, found: int, rounds: int) -> str:
    if tau:
        return "tau"
    if found == 0:
        return "map empty"
    return "k exhausted" if found == rounds else "map exhausted"


def _inside(corners: Tensor, side: int, size: tuple[int, int]) -> Tensor:
    """Masks (N, 1, H, W) of the windows at these corners (N, 2)."""
    y, x = corners[:, 0, None], corners[:, 1, None]
    rows = torch.arange(size[0], device=corners.device)
    columns = torch.arange(size[1], device=corners.device)
    within_rows = (rows >= y) & (rows < y + side)
    within_columns = (columns >= x) & (columns < x + side)
    return within_rows[:, None, :, None] & within_columns[:, None, None, :]


def _filling(query: Query, config: PatchConfig, side: int) -> Any:
    """What covers the windows of some rows, as a function of the rows."""
    images = query.images
    if config.fill == "blur":
        blurred = gaussian_filter(images.cpu().numpy(), (0, 0, side / 4, side / 4), mode="reflect")
        cover = torch.from_numpy(blurred).to(images)
        return lambda rows: cover[rows]
    value = 0.0 if config.fill == "mean" else query.model.preprocess.normalised(images.new_zeros(3, 1, 1))
    whole = torch.zeros_like(images[:1]) + value
    return lambda rows: whole
