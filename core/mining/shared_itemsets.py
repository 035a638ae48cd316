"""Itemsets shared by classes, found by one search over all classes, as they need not be closed in any of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.mining.bitsets import Index, Itemset
from core.progress import Report, silent

_NOTE = "comparing classes"
_WORDS = 1 << 19  # of bits, that a batch of sets compares with all items: 4 MB

# Sets, as their transactions (n, words) and items (n, r), and which of them (m,) is to grow by which item (m,).
_Pending = tuple[NDArray[np.uint64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]


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
    for position in np.flatnonzero(~root.held).tolist():
        report(position / len(root.items), _NOTE)
        counts = root.counts[position]
        branch = root.within(counts >= least[root.classes], root.bits[position], counts, least)
        at = int(np.searchsorted(branch.items, root.items[position]))
        if branch.held[:at].sum() > root.held[:position].sum():
            continue  # reached through another item
        yield tuple(index.filters[branch.items[branch.held]].tolist())
        for sets in branch.below(least, at + 1):
            for held in sets:
                yield tuple(index.filters[branch.items[held]].tolist())
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
        joint = _counts(both, starts)
        still = (joint >= least[classes]).sum(1) > 1
        joint = joint[still]
        held = (joint == counts[kept]).all(1)
        return _Branch(classes, starts, self.items[may][still], both[still], joint, held)

    def below(self, least: NDArray[np.int64], start: int) -> Iterator[NDArray[np.bool_]]:
        """The sets reached by adding items from position `start` on, then later ones: many at a time, (n, r) items.

        Most branches have few items, so that one by one they would cost more calls than computing.
        """
        order, least = np.arange(len(self.items)), least[self.classes]
        words = np.diff(self.starts, append=self.bits.shape[1])
        size = max(1, _WORDS // self.bits.size)
        bits, held = self.bits[self.held][:1], self.held[None]  # all items of the set have its transactions
        sets, added = np.nonzero(~held & (order >= start))
        pending: list[_Pending] = [(bits, held, sets, added)]
        while pending:
            bits, held, sets, added = pending.pop()
            if not len(sets):
                continue
            if len(sets) > size:
                pending.append((bits, held, sets[size:], added[size:]))
                sets, added = sets[:size], added[:size]
            grown = bits[sets] & self.bits[added]
            kept = _counts(grown, self.starts) >= least
            grown[~np.repeat(kept, words, axis=1)] = 0
            both = grown[:, None] & self.bits
            closed = (both == grown[:, None]).all(2)
            new = ~(closed & ~held[sets] & (order < added[:, None])).any(1)  # not reached through another item
            bits, held, added = grown[new], closed[new], added[new]
            yield held
            may = (_counts(both[new], self.starts) >= least).sum(2) > 1
            sets, added = np.nonzero(may & ~held & (order > added[:, None]))
            pending.append((bits, held, sets, added))


def _counts(bits: NDArray[np.uint64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of these transactions (..., words) in each class (..., c)."""
    return np.add.reduceat(np.bitwise_count(bits), starts, axis=-1, dtype=np.int64)
