"""A bit-set index of transactions by filter, which counts an itemset in all classes at once."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from core.mining.transactions import Transactions

Itemset = tuple[int, ...]  # ascending


class Index:
    """The transactions that contain each filter, as bits; no machine word is shared by two classes.

    So one intersection of rows counts a set in all classes at once.
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
        position = bit[rows]
        np.bitwise_or.at(self.bits, (row, position >> 6), np.uint64(1) << (position & 63).astype(np.uint64))
        self._row = {int(item): i for i, item in enumerate(self.filters)}

    def bits_of(self, item: int) -> NDArray[np.uint64]:
        """The transactions that contain one filter."""
        return self.bits[self._row[item]]

    def counts(self, bits: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The number of these transactions in each class, in the order of `labels`."""
        return np.add.reduceat(np.bitwise_count(bits), self.starts, axis=-1, dtype=np.int64)

    def of_class(self, bits: NDArray[np.uint64], position: int) -> NDArray[np.uint64]:
        """The words of the class at `position` of `labels`."""
        end = self.starts[position + 1] if position + 1 < len(self.starts) else bits.shape[-1]
        return bits[..., self.starts[position] : end]

    def every(self, sets: Sequence[Itemset]) -> Iterator[NDArray[np.uint64]]:
        """The transactions that contain each of these sets, in order; sorted sets share work for common prefixes."""
        stack: list[NDArray[np.uint64]] = []
        before: Itemset = ()
        for one in sets:
            common = 0
            while common < min(len(before), len(one)) and before[common] == one[common]:
                common += 1
            del stack[common:]
            for item in one[common:]:
                item_bits = self.bits_of(item)
                stack.append(stack[-1] & item_bits if stack else item_bits)
            before = one
            yield stack[-1]
