"""Frequent itemsets of filters: mined in each class by Eclat, then counted in the transactions of all classes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import TooLarge
from core.mining.bitsets import Index, Itemset
from core.mining.shared_itemsets import common
from core.mining.transactions import Transactions
from core.progress import Report, chunks, silent, subrange
from core.study.config import ItemsetKind, MiningConfig

TOTAL_FACTOR = 25  # the limit for all classes and shared sets together, as a multiple of the limit of one class
SPAN = 1024  # sets counted between two reports


def least_count(config: MiningConfig, total: int) -> int:
    """The smallest count of `total` transactions that makes a set frequent."""
    threshold = config.support * total
    return max(config.least, math.floor(threshold + 1e-9) + 1 if config.strict else math.ceil(threshold - 1e-9))


@dataclass(frozen=True)
class Frequent:
    """The sets that are frequent in at least one class, each counted in all classes (both levels)."""

    sets: list[Itemset]  # sorted, each once
    n_all: NDArray[np.int64]  # (S,) transactions of all classes that contain the set
    mined: Mapping[int, NDArray[np.int64]]  # label -> indices of the sets mined in that class
    both: Mapping[int, NDArray[np.int64]]  # label -> transactions of that class that contain them
    shared: Mapping[int, list[tuple[int, int]]]  # set -> (label, count) of all classes where it is frequent, if several
    skipped: tuple[int, ...] = ()  # labels of classes with more sets than the limit, for which none were mined


def frequent(
    transactions: Transactions,
    index: Index,
    config: MiningConfig,
    names: Sequence[str] = (),
    report: Report = silent,
) -> Frequent:
    """The filter sets frequent in a class (level 1) and their counts over all classes (level 2).

    Closed mode keeps the largest of the sets that have the same transactions in a class; the best score of a class is
    always reached by one of them. Sets shared by classes need not be closed in any, so the sets of `common` are
    counted too, but mined for no class: the class has a closed superset whose rule is at least as good. A class with
    more than `config.limit` sets is skipped. Raises TooLarge if classes are not to be skipped, if all of them are, or
    if all classes and shared sets have `TOTAL_FACTOR` times as many.
    """
    mined: dict[int, dict[Itemset, int]] = {}
    skipped: list[int] = []
    room = config.limit * TOTAL_FACTOR
    for span in chunks(len(index.labels), 1, subrange(report, 0, 0.5), "classes mined", counted=True):
        label = int(index.labels[span.start])
        title = names[label] if label < len(names) else str(label)
        of_class = _mined(transactions.items[transactions.labels == label], config)
        if of_class is None:
            skipped.append(label)
            if not config.skip_large or len(skipped) == len(index.labels):
                raise _too_many_in(title, config)
        mined[label] = of_class or {}
        room -= len(mined[label])
        if room < 0:
            raise _too_many(config)
    skip = np.isin(index.labels, skipped)  # no set is frequent in a class that is skipped
    least = np.where(skip, index.sizes + 1, [least_count(config, int(size)) for size in index.sizes])
    between: set[Itemset] = set()
    if config.sets == "closed":
        for one in common(index, least, subrange(report, 0.5, 0.7)):
            between.add(one)
            if len(between) > room:
                raise _too_many(config)
    sets = sorted(between.union(*mined.values()))
    n_all, shared = _counted(sets, index, least, subrange(report, 0.7, 1))
    number = {one: i for i, one in enumerate(sets)}
    numbers = {label: np.array([number[one] for one in ones], np.int64) for label, ones in mined.items()}
    both = {label: np.array(list(ones.values()), np.int64) for label, ones in mined.items()}
    return Frequent(sets, n_all, numbers, both, shared, tuple(skipped))


def _counted(
    sets: Sequence[Itemset], index: Index, least: NDArray[np.int64], report: Report
) -> tuple[NDArray[np.int64], dict[int, list[tuple[int, int]]]]:
    """The count of each set over all classes; for sets frequent in several, these classes and their counts."""
    n_all = np.zeros(len(sets), np.int64)
    shared: dict[int, list[tuple[int, int]]] = {}
    held = index.every(sets)
    for span in chunks(len(sets), SPAN, report, "counting itemsets"):
        counts = index.counts(np.stack([next(held) for _ in span]))
        n_all[span.start : span.stop] = counts.sum(1)
        enough = counts >= least
        for row in np.flatnonzero(enough.sum(1) > 1).tolist():
            classes = np.flatnonzero(enough[row])
            shared[span.start + row] = list(
                zip(index.labels[classes].tolist(), counts[row, classes].tolist(), strict=True)
            )
    return n_all, shared


def _too_many(config: MiningConfig) -> TooLarge:
    count = f"more than {config.limit * TOTAL_FACTOR:,} filter sets"
    message = f"The classes together have {count} at support {config.support:g}."
    return TooLarge(message, "Raise the support, or use fewer filters per transaction.")


def too_large(transactions: Transactions, config: MiningConfig, labels: Sequence[int]) -> tuple[int, ...]:
    """The classes among `labels` that have more sets than the limit."""
    return tuple(label for label in labels if _mined(transactions.items[transactions.labels == label], config) is None)


def _too_many_in(title: str, config: MiningConfig) -> TooLarge:
    count = f"more than {config.limit:,} frequent filter sets"
    way = "closed sets" if config.sets == "all" else "fewer filters per transaction"
    message = f"The class {title} has {count} at support {config.support:g}."
    return TooLarge(message, f"Raise the support, or use {way}.")


def _mined(items: NDArray[Any], config: MiningConfig) -> dict[Itemset, int] | None:
    """The frequent sets of one class with their counts there; None if there are more than the limit."""
    rows, least = _rows(items, config)
    if explodes(columns_of(rows), least, config.sets, config.max_size, config.limit):
        return None
    return eclat(rows, least, config.sets, config.max_size)


def _rows(items: NDArray[Any], config: MiningConfig) -> tuple[list[list[int]], int]:
    """The transactions of one class with only their frequent filters, and the smallest count of a frequent set."""
    least = least_count(config, len(items))
    names, counts = np.unique(items[items >= 0], return_counts=True)
    names = names[counts >= least]
    held = np.where(np.isin(items, names), items, -1)
    return [[int(item) for item in row if item >= 0] for row in held], least


def eclat(
    rows: Sequence[Sequence[int]], least: int, kind: ItemsetKind = "closed", max_size: int = 5
) -> dict[Itemset, int]:
    """All non-empty (closed) sets of at least `least` of the transactions `rows`, with their counts."""
    try:
        import fim
    except ImportError:  # no wheel for this platform: slower, same result
        return dict(plain(columns_of(rows), least, kind, max_size))
    # pyfim 6.28 drops every set contained in all transactions; an additional empty transaction prevents that. The
    # threshold must then be a count, because a percentage would refer to the wrong total.
    padded = [*map(list, rows), []]
    largest = {} if kind == "closed" else {"zmax": max_size}
    itemsets = fim.eclat(padded, target="c" if kind == "closed" else "s", supp=-least, zmin=1, report="a", **largest)
    return {tuple(sorted(items)): int(count) for items, count in itemsets}


def columns_of(rows: Sequence[Sequence[int]]) -> dict[int, int]:
    """For each item the transactions that contain it, as the bits of one integer."""
    columns: dict[int, int] = {}
    for number, row in enumerate(rows):
        for item in set(row):
            columns[item] = columns.get(item, 0) | 1 << number
    return dict(sorted(columns.items()))


def plain(
    columns: Mapping[int, int], least: int, kind: ItemsetKind = "closed", max_size: int = 5
) -> Iterator[tuple[Itemset, int]]:
    """The same sets as `eclat`, by intersecting integers; used to count before mining, and without pyfim."""
    items = [item for item, bits in columns.items() if bits.bit_count() >= least]
    walk = _closed(columns, items, least) if kind == "closed" else _all(columns, items, least, max_size)
    for itemset, bits in walk:
        yield itemset, bits.bit_count()


def _all(columns: Mapping[int, int], items: list[int], least: int, max_size: int) -> Iterator[tuple[Itemset, int]]:
    stack: list[tuple[Itemset, int, int]] = [((), -1, 0)]
    while stack:
        held, bits, start = stack.pop()
        for position in range(start, len(items)):
            both = bits & columns[items[position]]
            if both.bit_count() >= least:
                grown = (*held, items[position])
                yield grown, both
                if len(grown) < max_size:
                    stack.append((grown, both, position + 1))


def _closed(columns: Mapping[int, int], items: list[int], least: int) -> Iterator[tuple[Itemset, int]]:
    """Each closed set once: it is reached only by the extension that adds nothing before the added item (Uno 2004)."""
    stack: list[tuple[frozenset[int], int, int]] = [(frozenset(), -1, 0)]
    while stack:
        held, bits, start = stack.pop()
        for position in range(start, len(items)):
            if items[position] in held:
                continue
            both = bits & columns[items[position]]
            if both.bit_count() < least:
                continue
            grown = frozenset(item for item in items if both & columns[item] == both)
            if any(item not in held for item in grown if item < items[position]):
                continue
            yield tuple(sorted(grown)), both
            stack.append((grown, both, position + 1))


def explodes(columns: Mapping[int, int], least: int, kind: ItemsetKind, max_size: int, limit: int) -> bool:
    """Whether there are more than `limit` sets, without ever storing more than that."""
    if kind == "closed":
        # Items with the same transactions always occur together.
        columns = dict(sorted((item, bits) for bits, item in {bits: item for item, bits in columns.items()}.items()))
    if 2 ** min(len(columns), 64) <= limit:
        return False
    return any(count > limit for count, _ in enumerate(plain(columns, least, kind, max_size), start=1))
