"""SP-LIME: a few rows whose explanations together show the features that matter in a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import BadParameter
from core.progress import Report, chunks, silent, subrange
from core.tables.lime import LocalExplanation, lime_table
from core.tables.table import Predict, Table


@dataclass(frozen=True, eq=False)
class Representatives:
    """Rows chosen from those explained, in the order in which they were."""

    rows: tuple[int, ...]  # of the table
    explanations: tuple[LocalExplanation, ...]  # of these rows
    importance: NDArray[np.float64]  # (p,): √ of the sum of |weights| of a feature over all rows explained
    covered: tuple[float, ...]  # share of the importance in the features of the rows up to each


def representative_rows(
    table: Table,
    predict: Predict,
    rows: Sequence[int],
    count: int,
    *,
    seed: int = 0,
    report: Report = silent,
    **settings: Any,
) -> Representatives:
    """Explain rows of a table by `lime_table` and choose those that cover most of its features (Ribeiro et al. 2016).

    `settings` are those of `lime_table`; an explanation counts with the features that it shows. Fewer than `count` rows
    are chosen if these cover all such features. Raises BadParameter for no rows and for one that is not in the table.
    """
    if not rows or min(rows) < 0 or max(rows) >= len(table):
        raise BadParameter("The rows to choose from are not all in the table.", f"Give numbers below {len(table):,}.")
    found = []
    for span in chunks(len(rows), 1, report, "rows explained", counted=True):
        part = subrange(report, span.start / len(rows), span.stop / len(rows))
        row = table.values[rows[span.start]]
        found.append(lime_table(table, predict, row, seed=seed, report=part, **settings))
    weights = np.zeros((len(rows), len(table.names)))
    for number, one in enumerate(found):
        strongest = one.order[: one.shown]
        weights[number, strongest] = np.abs(one.weights[strongest])
    importance = np.sqrt(weights.sum(0))
    chosen, covered = cover(weights > 0, importance, count)
    return Representatives(
        tuple(rows[number] for number in chosen), tuple(found[number] for number in chosen), importance, tuple(covered)
    )


def cover(shown: NDArray[np.bool_], importance: NDArray[np.float64], count: int) -> tuple[list[int], list[float]]:
    """At most `count` rows of `shown` (m, p), each adding most importance; and the share covered after each.

    Among equals the first is chosen; none that adds nothing.
    """
    missing, chosen, covered = importance.copy(), [], []
    for _ in range(count):
        gains = shown @ missing
        best = int(gains.argmax())
        if not gains[best] > 0:
            break
        missing[shown[best]] = 0
        chosen.append(best)
        covered.append(float(1 - missing.sum() / importance.sum()))
    return chosen, covered
