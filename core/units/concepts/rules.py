"""Concepts beside mined rules: which rule has a concept's filters, and which concept a rule's."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.units.concepts.factorisation import Concepts

COLUMNS = ("concept", "rule", "filters", "patches")


@dataclass(frozen=True)
class Matches:
    """The best rule of each concept and the best concept of each rule; rows only where they share a filter.

    `filters` and `patches` are Jaccard indices of the rule's filters and the concept's strongest ones, and of the
    patches of the rule's class with its filters and those whose strongest concept it is.
    """

    by_concept: pd.DataFrame  # COLUMNS
    by_rule: pd.DataFrame  # COLUMNS

    def rule(self, concept: int) -> "pd.Series[float] | None":
        """The row of a concept, None if no rule has any of its strongest filters."""
        found = self.by_concept[self.by_concept["concept"] == concept]
        return found.iloc[0] if len(found) else None


def matched(concepts: Concepts, rules: pd.DataFrame, items: NDArray[np.int32], labels: NDArray[np.int64]) -> Matches:
    """The rules and concepts that have most filters in common, of equal ones those with most patches in common.

    `rules` has the columns rule, label and filters, `items` (P, N) are the filters of each patch that rules are mined
    from, `labels` (P,) the classes of the patches.
    """
    rows = []
    owned = {concept: concepts.owners == concept for concept in range(len(concepts.directions))}
    strongest = {concept: set(concepts.filters(concept).tolist()) for concept in owned}
    for rule, label, filters in zip(rules["rule"], rules["label"], rules["filters"], strict=True):
        own = {int(number) for number in filters}
        held = (labels == label) & np.all([(items == number).any(1) for number in own], axis=0)
        for concept, others in strongest.items():
            if own & others:
                shared = len(own & others) / len(own | others)
                rows.append((concept, int(rule), shared, _jaccard(held, owned[concept])))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return Matches(_best(table, "concept", "rule"), _best(table, "rule", "concept"))


def _best(table: pd.DataFrame, each: str, other: str) -> pd.DataFrame:
    """The first row of each concept, or of each rule."""
    ranked = table.sort_values([each, "filters", "patches", other], ascending=[True, False, False, True])
    return ranked.drop_duplicates(each).reset_index(drop=True)


def _jaccard(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    either = int((one | other).sum())
    return float((one & other).sum() / either) if either else 0.0
