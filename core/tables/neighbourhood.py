"""Rows drawn around one row of a table: as a model takes them, and as the linear model of LIME does."""

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from core.errors import BadParameter, TooLarge
from core.progress import Report, chunks, silent
from core.tables.rules.ruleset import Term
from core.tables.table import Predict, Table

Sampling = Literal["quartiles", "mean", "row"]

_MOST = 2**27  # values drawn, 4 bytes each
_BLOCK = 2**20  # of them that are held as 64-bit numbers at once


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Rows around one, the first of which is the row itself."""

    row: NDArray[np.float64]  # (p,)
    values: NDArray[np.float32]  # (n, p): what the model is asked for
    features: NDArray[Any]  # (n, p): 1 where the condition holds, or standard deviations from the mean of the table
    weights: NDArray[np.float64]  # (n,): nearness to the row
    conditions: tuple[str, ...]  # (p,): what a feature says of the row

    def scores(self, predict: Predict, output: int, report: Report = silent) -> NDArray[np.float64]:
        """One output of a model for each of the rows: (n,)."""
        found = np.empty(len(self.values))
        found[0] = predict(self.row[None])[0, output]
        for span in chunks(len(found) - 1, _step(self.row), report, "rows predicted", counted=True):
            some = slice(span.start + 1, span.stop + 1)
            found[some] = predict(self.values[some].astype(np.float64))[:, output]
        return found


def neighbourhood(
    table: Table,
    row: NDArray[np.float64],
    sampling: Sampling,
    *,
    samples: int,
    width: float,
    seed: int,
    report: Report = silent,
) -> Neighbourhood:
    """Rows around a row (p,) of a table, weighted by √exp(−d²/σ²) with the distance d of features, σ = `width` · √p.

    "quartiles": each number is in a quarter of the table's values with its frequency, and uniformly distributed in it
    (the original takes a truncated normal distribution); its feature is whether the quarter is that of the row. "mean"
    and "row": normally distributed around either, with the standard deviation of the column. Categories have their
    frequencies, and their feature is whether they equal that of the row. Row i depends on `seed` and i alone.

    Takes 5 bytes of memory for each of the samples · p values, or 8. Raises BadParameter and TooLarge.
    """
    if row.shape != (len(table.columns),) or not np.isfinite(row).all():
        raise BadParameter("The row does not have a number for each feature.", "Give one value per column.")
    if samples * len(row) > _MOST:
        message = f"{samples:,} samples of {len(row):,} features do not fit into memory."
        raise TooLarge(message, f"Ask for at most {_MOST // len(row):,} samples.")
    import torch

    from core.randomness import generator

    quartered = sampling == "quartiles"
    numbers = np.array([column.kind == "number" for column in table.columns])
    kinds = np.flatnonzero(~numbers)
    shares = [np.bincount(table.values[:, kind].astype(int)).cumsum() / len(table) for kind in kinds]
    draw = (
        _Quarters.of(table, numbers, row)
        if quartered
        else _Normal.of(table, numbers, row, around_row=sampling == "row")
    )
    noise_of = torch.rand if quartered else torch.randn
    values = np.empty((samples, len(row)), np.float32)
    features: NDArray[Any] = np.empty((samples, len(row)), np.bool_ if quartered else np.float32)
    distances = np.empty(samples)
    values[0], features[0], features[0, numbers] = row, True, draw.own
    for span in chunks(samples, _step(row), report, "rows drawn", counted=True):
        block, first = slice(span.start, span.stop), int(span.start == 0)
        noise = torch.stack([noise_of((len(row),), generator=generator(seed, index)) for index in span])[first:]
        some = slice(span.start + first, span.stop)
        values[some, numbers], features[some, numbers] = draw(noise[:, torch.from_numpy(numbers)].numpy())
        uniform = noise.numpy() if quartered else torch.special.ndtr(noise).numpy()
        for kind, share in zip(kinds, shares, strict=True):
            found = np.searchsorted(share, uniform[:, kind], side="right")
            values[some, kind] = np.minimum(found, len(share) - 1)
            features[some, kind] = values[some, kind] == row[kind]
        distances[block] = np.square(features[block].astype(np.float64) - features[0]).sum(1)
    weights = np.exp(-distances / (2 * width**2 * len(row)))
    named = iter(draw.conditions)
    conditions = tuple(
        next(named) if column.kind == "number" else f"{column.name} = {column.categories[int(row[place])]}"
        for place, column in enumerate(table.columns)
    )
    return Neighbourhood(row, values, features, weights, conditions)


@dataclass(frozen=True, eq=False)
class _Quarters:
    """Numbers by the quarters of their columns."""

    reached: NDArray[np.float64]  # (3, k): share of the values up to each quartile
    starts: NDArray[np.float64]  # (4, k): in each quarter, a uniform number u gives the value starts - slopes · u
    slopes: NDArray[np.float64]  # (4, k)
    quarter: NDArray[np.int64]  # (k,): those of the row
    conditions: tuple[str, ...]
    own: bool = True

    @classmethod
    def of(cls, table: Table, numbers: NDArray[np.bool_], row: NDArray[np.float64]) -> Self:
        values = table.values[:, numbers]
        bounds = np.percentile(values, (0, 25, 50, 75, 100), axis=0)
        reached = np.stack([np.zeros(values.shape[1]), *((values <= bound).mean(0) for bound in bounds[1:])])
        quarter = (row[numbers] > bounds[1:4]).sum(0)
        low, high = np.full_like(bounds[:4], -np.inf), np.full_like(bounds[:4], np.inf)
        low[1:], high[:3] = bounds[1:4], bounds[1:4]
        conditions = tuple(
            Term(int(place), low[quarter[n], n], high[quarter[n], n]).sentence(table.columns[place])
            for n, place in enumerate(np.flatnonzero(numbers))
        )
        shares = np.diff(reached, axis=0)
        slopes = np.diff(bounds, axis=0) / np.where(shares > 0, shares, 1)
        # From the upper bound downwards, as a quarter includes that one and not the lower.
        return cls(reached[1:4], bounds[1:] + reached[:4] * slopes, slopes, quarter, conditions)

    def __call__(self, noise: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The values of uniform numbers (b, k) and whether each is in the quarter of the row."""
        quarter = sum((noise >= share).astype(np.int8) for share in self.reached)
        values = np.choose(quarter, self.starts) - np.choose(quarter, self.slopes) * noise
        return values, quarter == self.quarter


@dataclass(frozen=True, eq=False)
class _Normal:
    """Numbers with a normal distribution around the mean or the row."""

    centre: NDArray[np.float64]  # (k,)
    mean: NDArray[np.float64]  # (k,)
    scale: NDArray[np.float64]  # (k,)
    own: NDArray[np.float64]  # (k,): the row, in standard deviations from the mean
    conditions: tuple[str, ...]

    @classmethod
    def of(cls, table: Table, numbers: NDArray[np.bool_], row: NDArray[np.float64], *, around_row: bool) -> Self:
        values = table.values[:, numbers]
        mean, scale = values.mean(0), values.std(0)
        own = (row[numbers] - mean) / np.where(scale > 0, scale, 1)
        names = [column.name for column in table.columns if column.kind == "number"]
        return cls(
            row[numbers] if around_row else mean, mean, scale, own, tuple(f"{name}, per deviation" for name in names)
        )

    def __call__(self, noise: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The values of normal numbers (b, k), and the same in standard deviations from the mean."""
        values = self.centre + self.scale * noise
        return values, (values - self.mean) / np.where(self.scale > 0, self.scale, 1)


def _step(row: NDArray[np.float64]) -> int:
    return max(1, _BLOCK // max(1, len(row)))
