"""Itemsets that classes share: found by one search over all classes, as they need not be closed in any of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.mining.bitsets import Index, Itemset
from core.progress import Report, silent

_NOTE = "comparing classes"


def common(index: Index, least: NDArray[np.int64], report: Report = silent) -> Iterator[Itemset]:
    """The sets frequent in several classes; of those with the same classes and counts there only the largest.

    That largest set is what all transactions with the set, in the classes where it is frequent, have in common: a
    closure, so the search of Uno 2004 (as in `itemsets.plain`) reaches each once and compares none with another.
    """
    whole = _Branch(
        np.arange(len(index.sizes)), index.starts, np.arange(len(index.filters)), index.bits, index.counts(index.bits)
    )
    everyone = np.full(index.bits.shape[1], ~np.uint64(0))
    root = whole.within(index.sizes >= least, everyone, index.sizes, least)
    if root.held.any():
        yield tuple(index.filters[root.items[root.held]].tolist())
    for place in range(len(root.items)):
        report(place / len(root.items), _NOTE)
        for rows in root.grown(least, [place]):
            yield tuple(index.filters[rows].tolist())
            report(place / len(root.items), _NOTE)
    report(1.0, _NOTE)


@dataclass(frozen=True)
class _Branch:
    """The transactions of a set in the classes where it is frequent, and which items go with it in two or more."""

    classes: NDArray[np.int64]  # (c,) positions in `Index.labels`
    starts: NDArray[np.int64]  # (c,) first word of each class in `bits`
    items: NDArray[np.int64]  # (r,) rows of `Index.bits`, ascending
    bits: NDArray[np.uint64]  # (r, words) the transactions that hold set and item
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
        found = np.add.reduceat(np.bitwise_count(both), starts, axis=1, dtype=np.int64)
        still = (found >= least[classes]).sum(1) > 1
        found = found[still]
        held = (found == counts[kept]).all(1)
        return _Branch(classes, starts, self.items[may][still], both[still], found, held)

    def grown(self, least: NDArray[np.int64], places: Iterable[int]) -> Iterator[NDArray[np.int64]]:
        """The sets, as rows, that adding one of the items at these `places`, and others after it, leads to."""
        for place in places:
            if self.held[place]:
                continue
            counts = self.counts[place]
            inner = self.within(counts >= least[self.classes], self.bits[place], counts, least)
            at = int(np.searchsorted(inner.items, self.items[place]))
            if inner.held[:at].sum() > self.held[:place].sum():
                continue  # another item leads to it
            yield inner.items[inner.held]
            yield from inner.grown(least, range(at + 1, len(inner.items)))
