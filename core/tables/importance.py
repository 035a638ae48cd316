"""Importances of features by perturbation, and whether three views of a table agree."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from core.card import Card
from core.errors import Unsupported
from core.params import Knob
from core.progress import Report, chunks, silent, subrange
from core.tables.linear import Linear, linear, linear_error
from core.tables.table import Predict, Table
from core.tables.training import error
from core.tables.tree import Tree, tree

if TYPE_CHECKING:
    import pandas as pd

    from core.measure.intervals import Interval

MOST_SHUFFLES = 1000
_MOST_ROWS = 100_000  # predicted at once
LINEAR, TREE, NETWORK = "linear regression", "decision tree", "network"
CONSTANT = "Its importances are all the same, so that they have no order."


def permutation(
    predict: Predict,
    table: Table,
    *,
    shuffles: Annotated[int, Knob("Shuffles of each feature.", 1, MOST_SHUFFLES)] = 10,
    seed: Annotated[int, Knob("Random seed of the shuffles.", 0, 999_999_999)] = 0,
    report: Report = silent,
) -> NDArray[np.float64]:
    """The increase of a model's error when a feature is shuffled among the rows: (p, shuffles).

    Of classes it is accuracy that is lost, of a number mean squared error that is added. A shuffle depends on the seed,
    the feature and its own number alone.
    """
    import torch

    from core.randomness import generator

    outputs = _replacing(predict, table)
    before = error(outputs(0, table.values[None, :, 0])[0], table)
    found = np.empty((len(table.columns), shuffles))
    block = max(1, _MOST_ROWS // max(len(table), 1))
    for span in chunks(len(table.columns), 1, report, "features", counted=True):
        own = table.values[:, span.start]
        for low in range(0, shuffles, block):
            draws = range(low, min(low + block, shuffles))
            orders = [
                torch.randperm(len(table), generator=generator(seed, span.start * MOST_SHUFFLES + draw)).numpy()
                for draw in draws
            ]
            for draw, one in zip(draws, outputs(span.start, own[np.stack(orders)]), strict=True):
                found[span.start, draw] = error(one, table) - before
    return found


def imputation(predict: Predict, table: Table, training: Table, report: Report = silent) -> NDArray[np.float64]:
    """The increase of a model's error when a feature is the same in all rows: (p,).

    It is the mean of the rows of the training, or the most frequent category.
    """
    outputs = _replacing(predict, table)
    before = error(outputs(0, table.values[None, :, 0])[0], table)
    found = np.empty(len(table.columns))
    for span in chunks(len(table.columns), 1, report, "features", counted=True):
        own = training.values[:, span.start]
        category = table.columns[span.start].kind == "category"
        value = np.bincount(own.astype(int)).argmax() if category else own.mean()
        found[span.start] = error(outputs(span.start, np.full((1, len(table)), value, float))[0], table) - before
    return found


def _replacing(predict: Predict, table: Table) -> Callable[[int, NDArray[np.float64]], NDArray[np.float64]]:
    """What a model makes of the rows with replacements (k, n) of one column: (k, n, C)."""
    from core.tables.network import Network

    if isinstance(predict, Network):
        return predict.replacing(table.values)

    def outputs(column: int, replaced: NDArray[np.float64]) -> NDArray[np.float64]:
        values = table.values.copy()
        found = []
        for one in replaced:
            values[:, column] = one
            found.append(predict(values.copy()))
        return np.stack(found)

    return outputs


def dropped(
    kind: Literal["linear", "tree"],
    training: Table,
    held_out: Table,
    *,
    label: str = "",
    depth: int = 4,
    least: int = 5,
    report: Report = silent,
) -> NDArray[np.float64]:
    """The increase of the error on rows held out when a model is trained without a feature: (p,).

    The linear model is that of `linear` for the class `label`, the tree that of `tree`. Raises UnknownName as
    `linear`, Unsupported for a table of one feature.
    """
    if len(training.columns) == 1:
        raise Unsupported("Without its only feature there is nothing to train on.", "Use a table of several features.")
    parts = training, held_out
    if kind == "tree" and not training.classes:
        mean = training.answers.mean()
        parts = training.above_average(), held_out.above_average(mean)

    def loss(first: Table, second: Table) -> float:
        if kind == "linear":
            return linear_error(first, second, label)
        return error(tree(first, depth=depth, least=least)(second.values), second)

    before = loss(*parts)
    found = np.empty(len(training.columns))
    for span in chunks(len(found), 1, report, "features", counted=True):
        others = [number for number in range(len(found)) if number != span.start]
        first, second = (
            replace(part, columns=tuple(part.columns[number] for number in others), values=part.values[:, others])
            for part in parts
        )
        found[span.start] = loss(first, second) - before
    return found


@dataclass(frozen=True, eq=False)
class Agreement:
    """The importances of the same features by several methods, and how alike their orders are."""

    importances: "pd.DataFrame"  # feature, and a column for each method
    ranks: "pd.DataFrame"  # the same with 1 for the most important; equal ones share the mean of their ranks
    correlations: "pd.DataFrame"  # first, second, spearman, kendall; none (nan) where a method has no order
    sentence: str


def agreement(names: Sequence[str], importances: Mapping[str, NDArray[np.float64]]) -> Agreement:
    """Compares importances (p,) of the features `names`, by method; correlations are those of ranks."""
    import pandas as pd
    from scipy.stats import kendalltau, rankdata, spearmanr

    ranks = {method: rankdata(-values) for method, values in importances.items()}
    rows = []
    for first, second in combinations(importances, 2):
        one, other = ranks[first], ranks[second]
        ordered = np.ptp(one) > 0 and np.ptp(other) > 0
        spearman, kendall = (float(test(one, other).statistic) if ordered else float("nan")
                             for test in (spearmanr, kendalltau))  # fmt: skip
        rows.append({"first": first, "second": second, "spearman": spearman, "kendall": kendall})
    features = pd.DataFrame({"feature": list(names)})
    correlations = pd.DataFrame(rows, columns=["first", "second", "spearman", "kendall"])
    return Agreement(
        features.assign(**importances), features.assign(**ranks), correlations,
        _sentence(names, importances, correlations["spearman"].to_numpy()),
    )  # fmt: skip


def _sentence(
    names: Sequence[str], importances: Mapping[str, NDArray[np.float64]], correlations: NDArray[np.float64]
) -> str:
    """Which feature each method ranks first, and how alike the ranks are."""
    first = dict[str, list[str]]()
    for method, values in importances.items():
        best = names[int(values.argmax())] if np.ptp(values) > 0 else "no feature"
        first.setdefault(best, []).append(method)
    if len(first) == 1:
        every = {2: "Both", 3: "All three"}.get(len(importances), "Every method") if len(importances) > 1 else "It"
        said = f"{every} {'rank' if len(importances) in (2, 3) else 'ranks'} {next(iter(first))} first"
    else:
        told = (f"{' and '.join(some)} rank{'s' * (len(some) == 1)} {best} first" for best, some in first.items())
        said = "; ".join(told)
        said = said[:1].upper() + said[1:]
    known = correlations[np.isfinite(correlations)]
    if not len(known):
        return f"{said}."
    low, high = (f"{value:.2f}".replace("-", "−") for value in (known.min(), known.max()))
    between = f"is {low}" if low == high else f"lies between {low} and {high}"
    return f"{said}; the rank correlation (Spearman) over {len(names):,} features {between}."


@dataclass(frozen=True, eq=False)
class Views:
    """A network beside a linear regression and a decision tree of the same rows."""

    linear: Linear | None  # none where it cannot be determined
    tree: Tree
    shuffled: NDArray[np.float64]  # (p, shuffles) as `permutation` gives it for the network
    imputed: NDArray[np.float64]  # (p,)
    agreement: Agreement
    notes: tuple[str, ...]

    @cached_property
    def intervals(self) -> "dict[str, Interval | None]":
        """The mean increase of the network's error over shuffles, with its 95% interval, by feature."""
        from core.measure.intervals import interval

        return {name: interval(row.tolist()) for name, row in zip(self.tree.table.names, self.shuffled, strict=True)}


def views(
    predict: Predict,
    training: Table,
    held_out: Table,
    *,
    label: Annotated[str, Knob("Class of the linear regression; empty for the last one.")] = "",
    depth: Annotated[int, Knob("Most questions of the tree on the way to a leaf.", 1, 30)] = 4,
    least: Annotated[int, Knob("Least rows in a leaf of the tree.", 1, 1000)] = 5,
    shuffles: Annotated[int, Knob("Shuffles of each feature.", 1, MOST_SHUFFLES)] = 10,
    seed: int = 0,
    report: Report = silent,
) -> Views:
    """Importances of features by three models of the same rows (Song and Zhang, 3.1).

    The t statistics of a linear regression, the Gini importances of a decision tree, and the loss of the network when a
    feature is shuffled, by the seed, in the rows held out.
    """
    simple: Linear | None = None
    notes = list[str]()
    try:
        simple = linear(training, label)
        notes += simple.notes
    except Unsupported as problem:
        notes.append(problem.message)
    grown = tree(training, depth=depth, least=least)
    shuffled = permutation(predict, held_out, shuffles=shuffles, seed=seed, report=subrange(report, 0, 0.9))
    imputed = imputation(predict, held_out, training, subrange(report, 0.9, 1))
    found = {LINEAR: simple.features["importance"].to_numpy()} if simple else {}
    found |= {TREE: grown.importances, NETWORK: shuffled.mean(1)}
    notes += [f"{method}: {CONSTANT}" for method, values in found.items() if np.ptp(values) == 0]
    return Views(simple, grown, shuffled, imputed, agreement(training.names, found), tuple(notes))


VIEWS = Card.of(
    views,
    "Do the three agree?",
    family="table",
    source="Song and Zhang, section 3.1",
    formula="|t|; Σ n/N Δ Gini; loss(shuffled) − loss",
    caution="A feature that another one stands in for loses importance in all three, but not in the same way. With "
    "thousands of features the shuffles take minutes for any model other than a network trained here.",
    cost=lambda settings, side: 0,
)
