"""Boxes: disjunctions of conjunctions of thresholds, as arrays of their bounds."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

_PAIRS = 2**20  # values of pairs of boxes compared at once


class TooMany(Exception):
    """More boxes than the caller allows."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """The rows x for which low < x ≤ high holds in every column of at least one box; without a box, none.

    A condition x > t is a lower bound and x ≤ t an upper one, so that the two are exact complements. A column without a
    condition has infinite bounds, and one box of these is true everywhere.
    """

    low: NDArray[np.float64]  # (m, q)
    high: NDArray[np.float64]  # (m, q)

    def __len__(self) -> int:
        return len(self.low)

    @classmethod
    def everywhere(cls, columns: int, count: int = 1) -> Self:
        """Boxes without conditions."""
        return cls(np.full((count, columns), -np.inf), np.full((count, columns), np.inf))

    def __getitem__(self, chosen: Any) -> Self:
        return type(self)(self.low[chosen], self.high[chosen])

    def __or__(self, other: Self) -> Self:
        return type(self)(np.concatenate([self.low, other.low]), np.concatenate([self.high, other.high]))

    @property
    def thresholds(self) -> list[tuple[int, float]]:
        """The different (column, threshold) of all conditions, in order."""
        bounds = [bound for side in (self.low, self.high) for bound in _finite(side)]
        return sorted(set(bounds))

    def onto(self, columns: NDArray[np.int64], wider: NDArray[np.int64]) -> Self:
        """The same boxes over more columns; `columns` are some of the `wider` ones, both in order."""
        boxes = type(self).everywhere(len(wider), len(self))
        places = np.searchsorted(wider, columns)
        boxes.low[:, places], boxes.high[:, places] = self.low, self.high
        return boxes

    def holds(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each row of values (n, q) is in each box: (n, m)."""
        found = np.empty((len(values), len(self)), bool)
        for number, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            bounded = np.flatnonzero((low > -np.inf) | (high < np.inf))
            some = values[:, bounded]
            found[:, number] = ((some > low[bounded]) & (some <= high[bounded])).all(1)
        return found

    def both(self, other: Self, most: int) -> Self:
        """The intersections of all pairs: the largest lower and the smallest upper bound, without those that are empty.

        Raises TooMany as soon as there are more than `most` different ones.
        """
        found = type(self).everywhere(self.low.shape[1], 0)
        step = max(1, _PAIRS // max(1, other.low.size))
        for start in range(0, len(self), step):
            part = self[start : start + step]
            low = np.maximum(part.low[:, None], other.low[None]).reshape(-1, self.low.shape[1])
            high = np.minimum(part.high[:, None], other.high[None]).reshape(-1, self.low.shape[1])
            found = (found | type(self)(low, high)[(low < high).all(1)]).distinct()
            if len(found) > most:
                raise TooMany
        return found

    def distinct(self) -> Self:
        """Each box once."""
        return self[np.unique(_groups(np.concatenate([self.low, self.high], 1)), return_index=True)[1]]

    def simplified(self) -> Self:
        """Fewer boxes for the same rows: without those inside another, and with touching ones joined."""
        boxes, count = self[(self.low < self.high).all(1)].distinct(), -1
        while len(boxes) != count:
            count = len(boxes)
            for column in range(boxes.low.shape[1]):
                boxes = boxes._joined(column)
            boxes = boxes._outermost()
        return boxes

    def _outermost(self) -> Self:
        """Without the boxes that lie inside another one; all boxes differ."""
        kept = np.ones(len(self), bool)
        step = max(1, _PAIRS // max(1, self.low.size))
        for start in range(0, len(self), step):
            part = slice(start, start + step)
            inside = (self.low[None] <= self.low[part, None]).all(2) & (self.high[part, None] <= self.high[None]).all(2)
            kept[part] = inside.sum(1) == 1  # each lies inside itself
        return self[kept]

    def _joined(self, column: int) -> Self:
        """Boxes that differ in one column alone and touch or overlap in it, as one."""
        low, high = self.low[:, column], self.high[:, column]
        if len(self) < 2 or not ((low > -np.inf) | (high < np.inf)).any():
            return self
        others = np.delete(np.concatenate([self.low, self.high], 1), [column, column + self.low.shape[1]], axis=1)
        group = _groups(others)
        if group[-1] == len(self) - 1:  # all differ in other columns
            return self
        order = np.lexsort((low, group))
        starts, ends = low[order], high[order].copy()
        kept, last = [0], 0
        for number in range(1, len(order)):
            if group[order[number]] == group[order[last]] and starts[number] <= ends[last]:
                ends[last] = max(ends[last], ends[number])
            else:
                kept.append(number)
                last = number
        boxes = self[order[kept]]
        boxes.high[:, column] = ends[kept]
        return boxes


def _finite(bounds: NDArray[np.float64]) -> Iterator[tuple[int, float]]:
    rows, columns = np.nonzero(np.isfinite(bounds))
    return zip(columns.tolist(), bounds[rows, columns].tolist(), strict=True)


def _groups(rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """A number for each row, the same for equal ones, counted from 0 in the order in which they come first."""
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in rows + 0.0], np.int64)  # no -0.0
