"""Frequent sets of filters: mined in each class by eclat, then counted over the transactions of all classes."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import TooLarge
from core.mining.settings import Kind, MiningConfig
from core.mining.transactions import Transactions
from core.progress import Report, chunks, part, silent

ALTOGETHER = 25  # so many times the limit of one class is the limit of all, with what they share
SPAN = 1024  # sets counted between two reports

Itemset = tuple[int, ...]  # ascending


def least_count(support: float, total: int, least: int = 1) -> int:
    """How many of `total` transactions make a set frequent; the threshold itself is enough."""
    return max(least, math.ceil(support * total - 1e-9))


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


@dataclass(frozen=True)
class Frequent:
    """The sets that are frequent in at least one class, each counted everywhere (both levels)."""

    sets: list[Itemset]  # sorted, each once
    n_all: NDArray[np.int64]  # (S,) transactions of all classes that hold the set
    found: Mapping[int, NDArray[np.int64]]  # label -> numbers of the sets mined in that class
    both: Mapping[int, NDArray[np.int64]]  # label -> transactions of that class that hold them
    shared: Mapping[int, list[tuple[int, int]]]  # set -> (label, count) of all classes where it is frequent, if several


def frequent(
    transactions: Transactions,
    index: Index,
    config: MiningConfig,
    names: Sequence[str] = (),
    report: Report = silent,
) -> Frequent:
    """The filter sets frequent in a class (level 1) and their counts over all classes (level 2).

    Closed mode keeps the largest of the sets that have the same transactions in a class; the best score of a class is
    always reached by one of them. What classes share need not be closed in any of them, so the largest of the sets
    with the same classes and counts are counted too, as sets of no class: within each, the class's own larger set
    says as much. Raises TooLarge where a class has more than `config.limit` sets, or all have `ALTOGETHER` times that.
    """
    mined: dict[int, dict[Itemset, int]] = {}
    room = int(config.limit * ALTOGETHER)
    for span in chunks(len(index.labels), 1, part(report, 0, 0.5), "mining classes"):
        label = int(index.labels[span.start])
        title = names[label] if label < len(names) else str(label)
        mined[label] = _mined(transactions.items[transactions.labels == label], title, config)
        room -= len(mined[label])
        if room < 0:
            raise _too_many(config)
    least = np.array([least_count(config.support, int(size), config.least) for size in index.sizes])
    between: set[Itemset] = set()
    if config.sets == "closed":
        for one in common(index, least, part(report, 0.5, 0.7)):
            between.add(one)
            if len(between) > room:
                raise _too_many(config)
    sets = sorted(between.union(*mined.values()))
    n_all, shared = _counted(sets, index, least, part(report, 0.7, 1))
    number = {one: i for i, one in enumerate(sets)}
    found = {label: np.array([number[one] for one in ones], np.int64) for label, ones in mined.items()}
    both = {label: np.array(list(ones.values()), np.int64) for label, ones in mined.items()}
    return Frequent(sets, n_all, found, both, shared)


def _counted(
    sets: Sequence[Itemset], index: Index, least: NDArray[np.int64], report: Report
) -> tuple[NDArray[np.int64], dict[int, list[tuple[int, int]]]]:
    """For each set its count over all classes, and where it is frequent in several, these and their counts."""
    n_all = np.zeros(len(sets), np.int64)
    shared: dict[int, list[tuple[int, int]]] = {}
    held = index.every(sets)
    for span in chunks(len(sets), SPAN, report, "counting sets"):
        for i in span:
            counts = index.counts(next(held))
            n_all[i] = counts.sum()
            enough = np.flatnonzero(counts >= least)
            if len(enough) > 1:
                shared[i] = [(int(index.labels[c]), int(counts[c])) for c in enough]
    return n_all, shared


def _too_many(config: MiningConfig) -> TooLarge:
    message = (
        f"The classes together have more than {int(config.limit * ALTOGETHER):,} filter sets at support "
        f"{config.support:g}."
    )
    return TooLarge(message, "Raise the support, or use fewer filters per transaction.")


def common(index: Index, least: NDArray[np.int64], report: Report = silent) -> Iterator[Itemset]:
    """The sets frequent in several classes; of those with the same classes and counts there only the largest.

    That largest set is what all transactions with the set, in the classes where it is frequent, have in common. This
    is a closure, so that the search of Uno 2004 (as in `_closed`) finds each once without comparing it to others.
    """
    whole = _Branch(
        np.arange(len(index.sizes)), index.starts, np.arange(len(index.filters)), index.bits, index.counts(index.bits)
    )
    everyone = np.full(index.bits.shape[1], ~np.uint64(0))
    root = whole.within(index.sizes >= least, everyone, index.sizes, least)
    if root.held.any():
        yield tuple(index.filters[root.items[root.held]].tolist())
    for place in range(len(root.items)):
        report(place / len(root.items), _COMPARING)
        for rows in root.grown(least, [place]):
            yield tuple(index.filters[rows].tolist())
            report(place / len(root.items), _COMPARING)
    report(1.0, _COMPARING)


_COMPARING = "comparing classes"


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


def _mined(items: NDArray[Any], title: str, config: MiningConfig) -> dict[Itemset, int]:
    """The frequent sets of one class with their counts there."""
    least, kind, max_size = least_count(config.support, len(items), config.least), config.sets, config.max_size
    names, counts = np.unique(items[items >= 0], return_counts=True)
    names = names[counts >= least]
    held = np.where(np.isin(items, names), items, -1)
    rows = [[int(item) for item in row if item >= 0] for row in held]
    columns = columns_of(rows)
    if explodes(columns, least, kind, max_size, config.limit):
        count = f"more than {config.limit:,} frequent filter sets"
        message = f"The class {title} has {count} at support {config.support:g}."
        way = "closed sets" if kind == "all" else "fewer filters per transaction"
        raise TooLarge(message, f"Raise the support, or use {way}.")
    return eclat(rows, least, kind, max_size)


def eclat(rows: Sequence[Sequence[int]], least: int, kind: Kind = "closed", max_size: int = 5) -> dict[Itemset, int]:
    """All non-empty (closed) sets of at least `least` of the transactions `rows`, with their counts."""
    try:
        import fim
    except ImportError:  # no wheel for this platform: slower, same answer
        return dict(plain(columns_of(rows), least, kind, max_size))
    # pyfim 6.28 drops every set that all transactions hold. One empty transaction more, and none is held by all; the
    # threshold must then be a count, because a percentage would be one of the wrong total.
    padded = [*map(list, rows), []]
    largest = {} if kind == "closed" else {"zmax": max_size}
    found = fim.eclat(padded, target="c" if kind == "closed" else "s", supp=-least, zmin=1, report="a", **largest)
    return {tuple(sorted(items)): int(count) for items, count in found}


def columns_of(rows: Sequence[Sequence[int]]) -> dict[int, int]:
    """For each item the transactions that hold it, as the bits of one integer."""
    columns: dict[int, int] = {}
    for number, row in enumerate(rows):
        for item in set(row):
            columns[item] = columns.get(item, 0) | 1 << number
    return dict(sorted(columns.items()))


def plain(
    columns: Mapping[int, int], least: int, kind: Kind = "closed", max_size: int = 5
) -> Iterator[tuple[Itemset, int]]:
    """The same sets as `eclat`, by intersecting integers: to count before mining, and without pyfim."""
    everyone = 0
    for bits in columns.values():
        everyone |= bits
    items = [item for item, bits in columns.items() if bits.bit_count() >= least]
    walk = _closed(columns, items, least, everyone) if kind == "closed" else _all(columns, items, least, max_size)
    for found, bits in walk:
        yield found, bits.bit_count()


def _all(columns: Mapping[int, int], items: list[int], least: int, max_size: int) -> Iterator[tuple[Itemset, int]]:
    stack: list[tuple[Itemset, int, int]] = [((), -1, 0)]
    while stack:
        held, bits, start = stack.pop()
        for place in range(start, len(items)):
            both = bits & columns[items[place]]
            if both.bit_count() >= least:
                grown = (*held, items[place])
                yield grown, both
                if len(grown) < max_size:
                    stack.append((grown, both, place + 1))


def _closed(columns: Mapping[int, int], items: list[int], least: int, everyone: int) -> Iterator[tuple[Itemset, int]]:
    """Each closed set once: it is reached only by the extension that adds nothing before the added item (Uno 2004)."""
    top = frozenset(item for item in items if columns[item] & everyone == everyone)
    if top and everyone.bit_count() >= least:
        yield tuple(sorted(top)), everyone
    stack: list[tuple[frozenset[int], int, int]] = [(top, everyone, 0)]
    while stack:
        held, bits, start = stack.pop()
        for place in range(start, len(items)):
            if items[place] in held:
                continue
            both = bits & columns[items[place]]
            if both.bit_count() < least:
                continue
            grown = frozenset(item for item in items if both & columns[item] == both)
            if any(item not in held for item in grown if item < items[place]):
                continue
            yield tuple(sorted(grown)), both
            stack.append((grown, both, place + 1))


def explodes(columns: Mapping[int, int], least: int, kind: Kind, max_size: int, limit: int) -> bool:
    """Whether there are more than `limit` sets, found out without ever holding more than that."""
    if kind == "closed":
        # Items with the same transactions always go together.
        columns = dict(sorted((item, bits) for bits, item in {bits: item for item, bits in columns.items()}.items()))
    if 2 ** min(len(columns), 64) <= limit:
        return False
    return any(count > limit for count, _ in enumerate(plain(columns, least, kind, max_size), start=1))
