"""Rules "these filters → this class": mined from stored transactions, scored, merged and limited to the best."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.errors import TooLarge
from core.mining.bitsets import Index, Itemset
from core.mining.graph import graph
from core.mining.itemsets import Frequent, frequent, too_large
from core.mining.transactions import Transactions
from core.progress import Report, chunks, silent, subrange
from core.study import Study
from core.study.config import MiningConfig


@dataclass(frozen=True)
class Mined:
    """The result of mining the transactions of a study with a `MiningConfig`; tables as in `core.study`."""

    config: MiningConfig
    itemsets: pd.DataFrame
    rules: pd.DataFrame
    shared: pd.DataFrame
    nodes: pd.DataFrame
    edges: pd.DataFrame
    skipped: tuple[int, ...] = ()  # labels of classes with more itemsets than the limit

    @cached_property
    def sets_of(self) -> dict[int, list[Itemset]]:
        """The filter sets of each class's rules, best first."""
        sets: dict[int, list[Itemset]] = {}
        for label, filters in zip(self.rules["label"], self.rules["filters"], strict=True):
            sets.setdefault(int(label), []).append(tuple(filters))
        return sets

    @cached_property
    def shared_by_rules(self) -> pd.DataFrame:
        """The filter sets in rules of several classes."""
        return shared_by_rules(self.rules)

    def filters_of(self, label: int) -> tuple[int, ...]:
        """F_c: the union of the filters of a class's rules, ascending."""
        return tuple(sorted({item for one in self.sets_of.get(label, []) for item in one}))


def shared_by_rules(rules: pd.DataFrame) -> pd.DataFrame:
    """The filter sets in rules of several classes, as table `shared`.

    These are what section 3.4 of Meynen et al. 2023 calls shared among classes; table `shared` itself has all sets
    that are frequent in several classes.
    """
    classes: dict[Itemset, list[tuple[float, int]]] = {}
    n_all: dict[Itemset, int] = {}
    for filters, label, support, count in zip(*(rules[name] for name in _OF_SHARED), strict=True):
        one = tuple(int(item) for item in filters)
        classes.setdefault(one, []).append((float(support), int(label)))
        n_all[one] = int(count)
    shared = {one: pairs for one, pairs in classes.items() if len(pairs) > 1}
    return _shared_table((one, pairs, n_all[one]) for one, pairs in shared.items())


def with_names(table: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Rules, or shared sets, with a column for the name of their class, or the names of their classes."""
    if "label" in table:
        return table.assign(name=[labels[label] for label in table["label"]])
    return table.assign(names=[", ".join(labels[label] for label in several) for several in table["labels"]])


def transactions_of(study: Study) -> Transactions:
    """The transactions of a study with all stored filters."""
    return Transactions(np.asarray(study.array("items")), study.table("patches")["label"].to_numpy(np.int64))


def mine(
    source: Study | Transactions,
    config: MiningConfig | None = None,
    names: Sequence[str] = (),
    seed: int = 0,
    *,
    report: Report = silent,
) -> Mined:
    """Itemsets, rules, class-shared sets and their graph, mined anew; raises TooLarge where there are too many sets.

    Sections 3.3 and 3.4 of Meynen et al. 2023. `names` are those of the classes, taken from a study if not given.
    """
    config = config or MiningConfig()
    if isinstance(source, Study):
        names = names or source.labels
        source = transactions_of(source)
    transactions = source.first(config.filters)
    if not len(transactions.labels):
        report(1.0, "rules mined")
        itemsets, rules, shared = (_frame([], columns) for columns in (ITEMSETS, RULES, SHARED))
        return Mined(config, itemsets, rules, shared, *graph(rules))
    index = Index(transactions)
    frequent_sets = frequent(transactions, index, config, names, subrange(report, 0, 0.8))
    rules = _rules(frequent_sets, index, config, subrange(report, 0.8, 0.9))
    report(0.9, "computing the graph layout")  # the only step that cannot be cancelled
    itemsets, shared = _itemsets(frequent_sets), _shared(frequent_sets, index)
    mined = Mined(config, itemsets, rules, shared, *graph(rules, names, seed), frequent_sets.skipped)
    report(1.0, "rules mined")
    return mined


def stored(study: Study, config: MiningConfig) -> Mined:
    """The result of mining at build time, from the study's tables; `config` are the settings it was built with."""
    itemsets, rules, shared, nodes, edges = (
        _plain_lists(study.table(name)) for name in ("itemsets", "rules", "shared", "nodes", "edges")
    )
    transactions = transactions_of(study).first(config.filters)
    without = sorted({*np.unique(transactions.labels).tolist()} - {*itemsets["label"].tolist()})
    skipped = too_large(transactions, config, without) if config.skip_large else ()
    return Mined(config, itemsets, rules, shared, nodes, edges, skipped)


def _plain_lists(table: pd.DataFrame) -> pd.DataFrame:
    """The table with lists where parquet gives arrays."""
    lists = [name for name in ("filters", "labels", "supports") if name in table]
    return table.assign(**{name: pd.Series([one.tolist() for one in table[name]], dtype=object) for name in lists})


def highest_support(source: Study | Transactions, config: MiningConfig, label: int | None = None) -> float | None:
    """The highest support, in hundredths, below that of `config` at which it gives a rule; None if none does.

    With a label, a rule of that class. Raises TooLarge if all lower supports give too many sets.
    """
    transactions = (transactions_of(source) if isinstance(source, Study) else source).first(config.filters)
    index = Index(transactions)
    many, none = 0, math.ceil(config.support * 100 - 1e-9)  # support in hundredths: too many sets, no rule
    while none - many > 1:
        middle = (many + none) // 2
        try:
            frequent_sets = frequent(transactions, index, replace(config, support=middle / 100))
        except TooLarge:
            many = middle
            continue
        reached = [0.0]
        for position, class_label in enumerate(index.labels.tolist()):
            if label is None or class_label == label:
                support, confidence = _measured(frequent_sets, index, position, config)
                reached += support[confidence >= config.confidence].tolist()
        if highest := max(reached):
            return (math.ceil(highest * 100 - 1e-9) - 1 if config.strict else math.floor(highest * 100 + 1e-9)) / 100
        if label in frequent_sets.skipped if label is not None else frequent_sets.skipped:
            many = middle
        else:
            none = middle
    if many:
        message = f"Below support {none / 100:.2f} there are too many filter sets."
        raise TooLarge(message, "Use fewer filters per transaction.")
    return None


ITEMSETS = ("label", "filters", "n_both", "n_all")
RULES = (
    "rule", "label", "rank", "filters", "size", "n_class", "n_all", "n_both", "support", "confidence", "lift", "score",
)  # fmt: skip
SHARED = ("filters", "size", "labels", "supports", "classes", "n_all")
_OF_SHARED = ("filters", "label", "support", "n_all")  # the columns of `rules` that tell what is shared


def _rules(frequent_sets: Frequent, index: Index, config: MiningConfig, report: Report) -> pd.DataFrame:
    total = int(index.sizes.sum())
    rows: list[tuple[Any, ...]] = []
    for span in chunks(len(index.labels), 1, report, "classes scored", counted=True):
        position, label = span.start, int(index.labels[span.start])
        sets, n_both = frequent_sets.mined[label], frequent_sets.both[label]
        n_class, n_all = int(index.sizes[position]), frequent_sets.n_all[sets]
        support, confidence = _measured(frequent_sets, index, position, config)
        # One division of integers, so that equal scores are bit-identical and the tie-breaking order decides.
        score = support * confidence if config.balanced else n_both**2 / (n_class * n_all)
        sizes = np.array([len(frequent_sets.sets[i]) for i in sets], np.int64)
        # Sets are numbered in lexicographic order, which breaks ties of score and size.
        order = [i for i in np.lexsort((sets, -sizes, -score)) if confidence[i] >= config.confidence]
        for rank, i in enumerate(_folded(frequent_sets, index, position, order, config)):
            lift = (n_both[i] / n_all[i]) / (n_class / total)
            rows.append((
                len(rows), label, rank, list(frequent_sets.sets[sets[i]]), int(sizes[i]), n_class, int(n_all[i]),
                int(n_both[i]), support[i], confidence[i], lift, score[i],
            ))  # fmt: skip
    return _frame(rows, RULES)


def _folded(frequent_sets: Frequent, index: Index, position: int, order: list[int], config: MiningConfig) -> list[int]:
    """The best of the `order`ed sets; of sets with the same patches of the class only the first."""
    if not config.fold or config.sets == "closed":  # two closed sets never have the same patches
        return order[: config.best]
    sets = frequent_sets.mined[int(index.labels[position])]
    ranked = sorted(order, key=lambda i: frequent_sets.sets[sets[i]])
    held = index.every([frequent_sets.sets[sets[i]] for i in ranked])
    patches = {i: index.of_class(bits, position).tobytes() for i, bits in zip(ranked, held, strict=True)}
    first: dict[bytes, int] = {}
    for i in order:
        first.setdefault(patches[i], i)
    return list(first.values())[: config.best]


def _measured(
    frequent_sets: Frequent, index: Index, position: int, config: MiningConfig
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Support and confidence of all sets of one class."""
    label = int(index.labels[position])
    sets, n_both = frequent_sets.mined[label], frequent_sets.both[label]
    support = n_both / index.sizes[position]
    if not config.balanced:
        return support, n_both / np.maximum(frequent_sets.n_all[sets], 1)
    total = np.zeros(len(sets))
    for i, bits in enumerate(index.every([frequent_sets.sets[s] for s in sets])):
        total[i] = (index.counts(bits) / index.sizes).sum()
    return support, support / total


def _itemsets(frequent_sets: Frequent) -> pd.DataFrame:
    rows = [
        (label, list(frequent_sets.sets[i]), int(both), int(frequent_sets.n_all[i]))
        for label, sets in frequent_sets.mined.items()
        for i, both in zip(sets, frequent_sets.both[label], strict=True)
    ]
    return _frame(rows, ITEMSETS)


def _shared(frequent_sets: Frequent, index: Index) -> pd.DataFrame:
    """The sets that are frequent in several classes."""
    size = dict(zip(index.labels.tolist(), index.sizes.tolist(), strict=True))
    return _shared_table(
        (frequent_sets.sets[i], [(count / size[label], label) for label, count in classes], int(frequent_sets.n_all[i]))
        for i, classes in frequent_sets.shared.items()
    )


def _shared_table(sets: Iterable[tuple[Itemset, list[tuple[float, int]], int]]) -> pd.DataFrame:
    """Table `shared` of sets with their (support, label) pairs: those of most classes first, then by support, size."""
    rows = []
    for filters, pairs, n_all in sets:
        ranked = sorted(pairs, key=lambda pair: (-pair[0], pair[1]))
        labels, supports = [label for _, label in ranked], [support for support, _ in ranked]
        rows.append((list(filters), len(filters), labels, supports, len(labels), n_all))
    rows.sort(key=lambda row: (-row[4], -sum(row[3]), -row[1], row[0]))
    return _frame(rows, SHARED)


def _frame(rows: Iterable[Sequence[Any]], columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(columns))
