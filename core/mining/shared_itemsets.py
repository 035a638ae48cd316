"""Itemsets shared by classes, found by one search over all classes, as they need not be closed in any of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.mining.bitsets import Index, Itemset
from core.progress import Report, silent

_NOTE = "comparing classes"


def common(index: Index, least: NDArray[np.int64], report: Report = silent) -> Iterator[Itemset]:
    """The sets frequent in several classes; of sets with the same classes and counts there only the largest.

    That largest set is the intersection of all transactions that contain the set in the classes where it is frequent:
    a closure, so the search of Uno 2004 (as in `itemsets.plain`) reaches each exactly once.
    """
    everything = _Branch(
        np.arange(len(index.sizes)), index.starts, np.arange(len(index.filters)), index.bits, index.counts(index.bits)
    )
    everyone = np.full(index.bits.shape[1], ~np.uint64(0))
    root = everything.within(index.sizes >= least, everyone, index.sizes, least)
    if root.held.any():
        yield tuple(index.filters[root.items[root.held]].tolist())
    for position in range(len(root.items)):
        report(position / len(root.items), _NOTE)
        for rows in root.grown(least, [position]):
            yield tuple(index.filters[rows].tolist())
            report(position / len(root.items), _NOTE)
    report(1.0, _NOTE)


@dataclass(frozen=True)
class _Branch:
    """The transactions of a set in the classes where it is frequent, and the items that extend it in two or more."""

    classes: NDArray[np.int64]  # (c,) positions in `Index.labels`
    starts: NDArray[np.int64]  # (c,) first word of each class in `bits`
    items: NDArray[np.int64]  # (r,) rows of `Index.bits`, ascending
    bits: NDArray[np.uint64]  # (r, words) the transactions that contain set and item
    counts: NDArray[np.int64]  # (r, c) how many these are
    held: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))  # (r,) the items of the set itself

    def within(
        self, kept: NDArray[np.bool_], bits: NDArray[np.uint64], counts: NDArray[np.int64], least: NDArray[np.int64]
    ) -> "_Branch":
        """The branch of these transactions, `counts` in each class, in the classes (c,) that are `kept`."""
        classes = self.classes[kept]
        may = (self.counts[:, kept] >= least[classes]).sum(1) > 1
        words = np.diff(self.starts, append=self.bits.shape[1])[kept]
        starts = np.cumsum(words) - words
        columns = np.arange(words.sum()) + np.repeat(self.starts[kept] - starts, words)
        both = self.bits[np.ix_(may, columns)] & bits[columns]
        joint = np.add.reduceat(np.bitwise_count(both), starts, axis=1, dtype=np.int64)
        still = (joint >= least[classes]).sum(1) > 1
        joint = joint[still]
        held = (joint == counts[kept]).all(1)
        return _Branch(classes, starts, self.items[may][still], both[still], joint, held)

    def grown(self, least: NDArray[np.int64], positions: Iterable[int]) -> Iterator[NDArray[np.int64]]:
        """The sets, as rows, reached by adding one of the items at these `positions`, then later ones."""
        for position in positions:
            if self.held[position]:
                continue
            counts = self.counts[position]
            inner = self.within(counts >= least[self.classes], self.bits[position], counts, least)
            at = int(np.searchsorted(inner.items, self.items[position]))
            if inner.held[:at].sum() > self.held[:position].sum():
                continue  # reached through another item
            yield inner.items[inner.held]
            yield from inner.grown(least, range(at + 1, len(inner.items)))
