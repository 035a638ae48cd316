"""An index of transactions by filter, as bit sets, so that itemsets are counted in all classes at once."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from core.mining.transactions import Transactions

Itemset = tuple[int, ...]  # ascending


class Index:
    """Which transactions hold which filter: one bit each, every class in words of its own.

    Because no word is shared by two classes, one intersection of rows counts a set in all classes at once.
    """

    def __init__(self, transactions: Transactions) -> None:
        items, labels = transactions.items, transactions.labels
        self.labels, which, self.sizes = np.unique(labels, return_inverse=True, return_counts=True)
        words = -(-self.sizes // 64)
        self.starts = np.concatenate([[0], np.cumsum(words)[:-1]]).astype(np.int64)
        order = np.argsort(which, kind="stable")
        rank = np.empty(len(labels), np.int64)
        rank[order] = np.arange(len(labels)) - np.repeat(np.cumsum(self.sizes) - self.sizes, self.sizes)
        bit = self.starts[which] * 64 + rank
        rows, columns = np.nonzero(items >= 0)
        self.filters, row = np.unique(items[rows, columns], return_inverse=True)
        self.bits = np.zeros((len(self.filters), int(words.sum())), np.uint64)
        place = bit[rows]
        np.bitwise_or.at(self.bits, (row, place >> 6), np.uint64(1) << (place & 63).astype(np.uint64))
        self._row = {int(item): i for i, item in enumerate(self.filters)}

    def bits_of(self, item: int) -> NDArray[np.uint64]:
        """The transactions that hold one filter."""
        return self.bits[self._row[item]]

    def counts(self, bits: NDArray[np.uint64]) -> NDArray[np.int64]:
        """How many of these transactions each class has, in the order of `labels`."""
        return np.add.reduceat(np.bitwise_count(bits), self.starts, axis=-1, dtype=np.int64)

    def own(self, bits: NDArray[np.uint64], position: int) -> NDArray[np.uint64]:
        """The words of the class at `position` of `labels`."""
        end = self.starts[position + 1] if position + 1 < len(self.starts) else bits.shape[-1]
        return bits[..., self.starts[position] : end]

    def every(self, sets: Sequence[Itemset]) -> Iterator[NDArray[np.uint64]]:
        """The transactions that hold each of these sets, in order; sorted sets share the work of common beginnings."""
        stack: list[NDArray[np.uint64]] = []
        before: Itemset = ()
        for one in sets:
            common = 0
            while common < min(len(before), len(one)) and before[common] == one[common]:
                common += 1
            del stack[common:]
            for item in one[common:]:
                own = self.bits_of(item)
                stack.append(stack[-1] & own if stack else own)
            before = one
            yield stack[-1]
