"""Patches from heatmaps: windows of high relevance, and those of them that the prediction depends on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.explain.query import Query
from core.network.incremental import CumulativePass
from core.progress import chunks, subrange
from core.study.config import PatchConfig

GROUP = 4  # images whose activations are kept in memory while their windows are masked


@dataclass(frozen=True)
class Candidates:
    """The windows of each image in the order they were chosen."""

    corners: NDArray[np.int64]  # (B, k, 2) upper left pixels as (y, x); (0, 0) beyond `counts`
    scores: NDArray[np.float64]  # (B, k) sums of the heatmap, in which earlier windows are set to zero
    counts: NDArray[np.int64]  # (B,) number of windows
    side: int


def integral(maps: NDArray[Any]) -> NDArray[np.float64]:
    """Sums (B, H + 1, W + 1) of everything above and left of each pixel corner."""
    sums = np.zeros((len(maps), maps.shape[1] + 1, maps.shape[2] + 1))
    # The fastest of the available cumulative sums: torch's along rows, row by row along columns.
    sums[:, 1:, 1:] = torch.from_numpy(maps).double().cumsum(2).numpy()
    for row in range(2, sums.shape[1]):
        sums[:, row] += sums[:, row - 1]
    return sums


def candidates(maps: NDArray[Any], side: int, config: PatchConfig, numbers: Sequence[int], seed: int = 0) -> Candidates:
    """The k best windows of each map (B, H, W ≥ 0): the best is taken, its area set to zero, and so on (Eq. 1).

    Random windows depend on `seed` and the image's number alone. Ties go to the upper, then the left window; an image
    whose remaining windows sum to zero has fewer than k.
    """
    work = maps.astype(np.float64)
    corners = np.zeros((len(work), config.count, 2), np.int64)
    scores = np.zeros((len(work), config.count))
    counts = np.zeros(len(work), np.int64)
    # Window sums, being differences, have rounding errors where the map is zero.
    floor = 1e-9 * work.sum((1, 2))
    above = integral(work)
    # A window is identified by the flat index of its upper left corner in the integral image.
    drawn = None if config.sampling == "dense" else _drawn(above.shape, side, config, numbers, seed)
    every = _flat_indices(above.shape, side, np.arange(_count(above.shape, side)))[None]
    for round_ in range(config.count):
        at = every if drawn is None else drawn[:, round_ % drawn.shape[1]]
        sums = _window_sums(above, at, side, dense=drawn is None)
        if config.max_overlap < 1:
            crowded = _crowded(np.stack(np.divmod(at, above.shape[2]), 2), corners, counts, side, config.max_overlap)
            sums = np.where(crowded, -np.inf, sums)
        best = sums.max(1)
        chosen = np.where(sums == best[:, None], at, np.iinfo(np.int64).max).min(1)
        alive = (counts == round_) & (best > floor)
        if not alive.any():
            break
        corners[alive, round_] = np.stack(np.divmod(chosen, above.shape[2]), 1)[alive]
        scores[alive, round_] = best[alive]
        counts[alive] += 1
        for i in np.flatnonzero(alive):
            _clear(work[i], above[i], corners[i, round_], side)
    return Candidates(corners, scores, counts, side)


def _clear(one: NDArray[np.float64], above: NDArray[np.float64], corner: NDArray[np.int64], side: int) -> None:
    """Set a window of a map to zero and subtract its values from the integral image, below and right of its corner."""
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
    """The number of windows, given the shape of an integral image."""
    return (shape[1] - side) * (shape[2] - side)


def _flat_indices(shape: tuple[int, ...], side: int, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The flat indices in the integral image of windows numbered row by row; its rows are longer by `side`."""
    return numbers + numbers // (shape[2] - side) * side


def _drawn(
    shape: tuple[int, ...], side: int, config: PatchConfig, numbers: Sequence[int], seed: int
) -> NDArray[np.int64]:
    """Flat indices of random windows (B, rounds, m)."""
    rounds = config.count if config.sampling == "redraw" else 1
    windows = np.zeros((len(numbers), rounds, config.draws), np.int64)
    for row, number in zip(windows, numbers, strict=True):
        row[:] = np.random.default_rng([seed, number]).integers(0, _count(shape, side), row.shape)
    return _flat_indices(shape, side, windows)


def _window_sums(sums: NDArray[np.float64], at: NDArray[np.int64], side: int, *, dense: bool) -> NDArray[np.float64]:
    if dense:
        window_sums = sums[:, side:, side:] - sums[:, :-side, side:] - sums[:, side:, :-side] + sums[:, :-side, :-side]
        return window_sums.reshape(len(sums), window_sums.shape[1] * window_sums.shape[2])
    height, width = sums.shape[1:]
    start = np.arange(len(sums))[:, None] * (height * width) + at
    flat = sums.reshape(-1)
    across, down = flat[start + side], flat[start + side * width]
    return flat[start + (side * width + side)] - across - down + flat[start]


def _crowded(
    where: NDArray[np.int64], corners: NDArray[np.int64], counts: NDArray[np.int64], side: int, allowed: float
) -> NDArray[np.bool_]:
    """The windows, by their corners (B, m, 2), that overlap a chosen one by more than the allowed fraction."""
    worst = np.zeros((len(corners), where.shape[1]))
    for rank in range(int(counts.max(initial=0))):
        apart = np.abs(where - corners[:, rank, None])
        shared = np.clip(side - apart, 0, None).prod(2) / side**2
        worst = np.maximum(worst, np.where((rank < counts)[:, None], shared, 0))
    return worst > allowed + 1e-12


@dataclass(frozen=True)
class Selection:
    """The candidates that the score depends on, and the scores while they were masked."""

    clean: NDArray[np.float32]  # (B,)
    after: NDArray[np.float32]  # (B, k) with each window masked; NaN where no pass was needed
    before: NDArray[np.float32]  # (B, k) the reference of `after` for the drop
    kept: NDArray[np.int64]  # (B,) number of leading candidates selected
    stop: list[str]  # (B,) reason for stopping: see table `images` of core.study


@torch.no_grad()
def relevant(
    query: Query, clean: Tensor, windows: Candidates, config: PatchConfig, *, stepwise: bool = False
) -> Selection:
    """Mask the candidates one after the other until the score of the query's target hardly changes any more.

    All images advance together; one whose selection has ended gets no further passes. `clean` are the scores (B,) of
    the unmodified images. With `stepwise` and cumulative masking, only the first pass of an image is a full one:
    later ones compute only what their window influences, equal up to rounding.
    """
    total = len(query.images)
    if not stepwise or config.perturbation != "cumulative" or not total:
        return _selected(query, clean, windows, config, lambda rank, rows, masked: masked)
    parts, size = [], min(query.batch, GROUP)
    for start in range(0, total, size):
        some = slice(start, min(start + size, total))
        report = subrange(query.report, some.start / total, some.stop / total)
        group = query.subset(some, report)
        group_windows = Candidates(windows.corners[some], windows.scores[some], windows.counts[some], windows.side)
        parts.append(_selected(group, clean[some], group_windows, config, _Stepwise(group, group_windows)))
    joined = {
        name: np.concatenate([getattr(one, name) for one in parts]) for name in ("clean", "after", "before", "kept")
    }
    return Selection(**joined, stop=[stop for one in parts for stop in one.stop])


class _Stepwise:
    """Incremental inputs of the network: each masked window costs only the computation it influences."""

    def __init__(self, query: Query, windows: Candidates) -> None:
        self.order, self.windows = query.model.order, windows

    def __call__(self, rank: int, rows: NDArray[np.int64], masked: Tensor) -> Tensor:
        """The images of these rows masked up to this rank; the rows of a rank are a subset of those of the last."""
        side = self.windows.side
        tops, lefts = self.windows.corners[rows, rank].T.tolist()
        if rank == 0:
            self.steps, self.position = (
                CumulativePass(masked, self.order),
                {row: position for position, row in enumerate(rows.tolist())},
            )
            return self.steps.first(tops, lefts, side)
        patches = [one[:, y : y + side, x : x + side] for one, y, x in zip(masked, tops, lefts, strict=True)]
        return self.steps.then([self.position[row] for row in rows.tolist()], torch.stack(patches), tops, lefts)


Inputs = Callable[[int, NDArray[np.int64], Tensor], Tensor]  # (rank, rows, images masked so far) -> images


def _selected(query: Query, clean: Tensor, windows: Candidates, config: PatchConfig, inputs: Inputs) -> Selection:
    work = query.images.clone() if config.perturbation == "cumulative" else query.images
    filling = _filling(query, config, windows.side)
    total, rounds = windows.counts.shape[0], config.count
    after = torch.full((total, rounds), torch.nan, device=clean.device)
    before = after.clone()
    going = windows.counts > 0
    ended = np.zeros(total, bool)  # by tau
    passes = np.zeros(total, np.int64)
    last = clean.clone()
    for rank in range(rounds):
        active = np.flatnonzero(going & (windows.counts > rank))
        report = subrange(query.report, rank / rounds, (rank + 1) / rounds)
        for span in chunks(len(active), query.batch, report, "masking patches"):
            some = active[span.start : span.stop]
            rows = torch.from_numpy(some).to(clean.device)
            corners = torch.from_numpy(windows.corners[some, rank]).to(clean.device)
            masked = torch.where(_inside(corners, windows.side, query.size), filling(rows), work[rows])
            if config.perturbation == "cumulative":
                work[rows] = masked
            after[rows, rank] = query.score(inputs(rank, some, masked), query.targets[rows], config.score)
        rows = torch.from_numpy(active).to(clean.device)
        change = last[rows] - after[rows, rank]
        before[rows, rank] = last[rows] if config.perturbation == "cumulative" else clean[rows]
        last[rows] = after[rows, rank]
        passes[active] += 1
        if rank == 0 and not config.from_clean:
            continue
        small = (change.abs() if config.difference == "absolute" else change) < config.tau
        ended[active] = small.cpu().numpy()
        going &= ~ended
    kept = np.where(ended & ~np.bool_(config.keep_last), passes - 1, passes)
    stop = [_stop(tau, count, rounds) for tau, count in zip(ended.tolist(), windows.counts.tolist(), strict=True)]
    return Selection(_numpy(clean), _numpy(after), _numpy(before), kept, stop)


def _numpy(values: Tensor) -> NDArray[np.float32]:
    return values.float().cpu().numpy()


def _stop(tau: bool, count: int, rounds: int) -> str:
    if tau:
        return "tau"
    if count == 0:
        return "map empty"
    return "k exhausted" if count == rounds else "map exhausted"


def _inside(corners: Tensor, side: int, size: tuple[int, int]) -> Tensor:
    """Masks (N, 1, H, W) of the windows at these corners (N, 2)."""
    y, x = corners[:, 0, None], corners[:, 1, None]
    rows = torch.arange(size[0], device=corners.device)
    columns = torch.arange(size[1], device=corners.device)
    within_rows = (rows >= y) & (rows < y + side)
    within_columns = (columns >= x) & (columns < x + side)
    return within_rows[:, None, :, None] & within_columns[:, None, None, :]


def _filling(query: Query, config: PatchConfig, side: int) -> Any:
    """A function from rows to the images whose values replace their masked windows."""
    images = query.images
    if config.fill == "blur":
        from scipy.ndimage import gaussian_filter  # here, as importing it takes long

        blurred = gaussian_filter(images.cpu().numpy(), (0, 0, side / 4, side / 4), mode="reflect")
        replacement = torch.from_numpy(blurred).to(images)
        return lambda rows: replacement[rows]
    value = 0.0 if config.fill == "mean" else query.model.preprocess.normalised(images.new_zeros(images.shape[1], 1, 1))
    constant = torch.zeros_like(images[:1]) + value
    return lambda rows: constant
