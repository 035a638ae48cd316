"""Rules for the classes of a table: their terms, which one fires for a row, and how well they describe a model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.errors import Unsupported
from core.tables.rules.boxes import Boxes
from core.tables.table import Column, Predict, Table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, order=True)
class Term:
    """A condition on one column: low < number ≤ high, or a category among some."""

    column: int
    low: float = -math.inf
    high: float = math.inf
    categories: tuple[int, ...] = ()  # none for a number

    def __len__(self) -> int:
        """The number of comparisons."""
        return 1 if self.categories else (self.low > -math.inf) + (self.high < math.inf)

    def holds(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each row of features (n, p) fulfils it."""
        column = values[:, self.column]
        return np.isin(column, self.categories) if self.categories else (column > self.low) & (column <= self.high)

    def sentence(self, column: Column) -> str:
        """As in "5.2 < hours ≤ 8" or "colour = red or blue"; numbers have six digits."""
        if self.categories:
            return f"{column.name} = {' or '.join(column.categories[number] for number in self.categories)}"
        if self.high == math.inf:
            return f"{column.name} > {self.low:.6g}"
        return (
            f"{column.name} ≤ {self.high:.6g}"
            if self.low == -math.inf
            else (f"{self.low:.6g} < {column.name} ≤ {self.high:.6g}")
        )


@dataclass(frozen=True)
class Rule:
    """A conjunction of terms, at most one per column, and the class it gives."""

    label: int  # of the class
    terms: tuple[Term, ...]  # none is always true
    rows: int  # of those it was made from that fulfil it
    confidence: float  # share of these to which the model gives the class; 0 if there are none

    def holds(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each row of features (n, p) fulfils all terms."""
        held = np.ones(len(values), bool)
        for term in self.terms:
            held &= term.holds(values)
        return held

    def __len__(self) -> int:
        """The number of comparisons."""
        return sum(map(len, self.terms))


@dataclass(frozen=True)
class Quality:
    """How well rules describe a model on some rows."""

    rows: int
    fidelity: float  # share of rows for which the rules give the model's class
    accuracy: float  # share for which they give the true class
    uncovered: float  # share for which no rule fires, so that they give the majority class
    rules: int
    terms: float  # mean number of comparisons of a rule


@dataclass(frozen=True, eq=False)
class Rules:
    """A disjunction of rules for every class.

    Where rules of several classes hold, the one with the largest confidence fires, among equals that with more rows;
    where none holds, the rows get the majority class.
    """

    columns: tuple[Column, ...]
    classes: tuple[str, ...]
    rules: tuple[Rule, ...]  # in the order in which they are tried
    majority: int  # the class that the model gives to most rows
    notes: tuple[str, ...] = ()  # what was left out, or done instead

    def fired(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """The number of the rule that fires for each row of features (n, p), from 0; -1 where none does."""
        found = np.full(len(values), -1)
        for number in reversed(range(len(self.rules))):
            found[self.rules[number].holds(values)] = number
        return found

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """The index of the class of each row of features (n, p)."""
        labels = np.array([*(rule.label for rule in self.rules), self.majority])
        return labels[self.fired(values)]

    def quality(self, table: Table, predict: Predict) -> Quality:
        """How well they describe `predict` on the rows of a table. Raises Unsupported for a table without rows."""
        if not len(table):
            raise Unsupported("The table has no rows to measure rules on.", "Keep some rows apart from the training.")
        given = self(table.values)
        return Quality(
            len(table),
            float((given == predicted_classes(table, predict)).mean()),
            float((given == table.answers).mean()),
            float((self.fired(table.values) < 0).mean()),
            len(self.rules),
            float(np.mean([len(rule) for rule in self.rules])) if self.rules else 0.0,
        )

    def conditions(self, rule: Rule) -> str:
        """The terms of a rule in words, as in "hours > 5.2 and colour = red"."""
        return " and ".join(term.sentence(self.columns[term.column]) for term in rule.terms) or "always"

    def sentence(self, number: int) -> str:
        """Rule `number` (from 0) as a sentence; -1 is the one for rows that no rule covers."""
        if number < 0:
            return f"If no rule holds: {self.classes[self.majority]}, the majority class."
        rule = self.rules[number]
        rows = f"{rule.rows:,} row{'s' * (rule.rows != 1)}"
        return f"If {self.conditions(rule)}: {self.classes[rule.label]} ({rows}, {rule.confidence:.1%})."

    @property
    def text(self) -> str:
        """All rules as numbered sentences, in the order in which they are tried, and the notes."""
        sentences = [f"{number + 1}. {self.sentence(number)}" for number in range(len(self.rules))]
        return "\n".join([*sentences, self.sentence(-1), *self.notes]) + "\n"

    @cached_property
    def frame(self) -> "pd.DataFrame":
        """A row per rule: its number, class, conditions, comparisons, rows and confidence."""
        import pandas as pd

        return pd.DataFrame(
            [
                (n + 1, self.classes[rule.label], self.conditions(rule), len(rule), rule.rows, rule.confidence)
                for n, rule in enumerate(self.rules)
            ],
            columns=["rule", "class", "conditions", "terms", "rows", "confidence"],
        )

    @cached_property
    def terms(self) -> "pd.DataFrame":
        """A row per term, with thresholds at full precision: above and up_to of a number, categories of a category."""
        import pandas as pd

        return pd.DataFrame(
            [
                (n + 1, self.classes[rule.label], column.name, term.low, term.high, " | ".join(named))
                for n, rule in enumerate(self.rules)
                for term in rule.terms
                for column in [self.columns[term.column]]
                for named in [[column.categories[number] for number in term.categories]]
            ],
            columns=["rule", "class", "feature", "above", "up_to", "categories"],
        ).replace({"above": {-math.inf: math.nan}, "up_to": {math.inf: math.nan}})


def rules_of(
    table: Table,
    predicted: NDArray[np.int64],
    boxes: Sequence[Boxes],
    used: NDArray[np.int64],
    notes: Sequence[str] = (),
    *,
    unseen: bool = True,
) -> Rules:
    """Rules from the boxes of every class over the `used` columns of `Table.encoded`, with their rows in the table.

    `predicted` is the model's class of each row. Conditions on the columns of one category become one term; boxes that
    no category can fulfil are left out. Without `unseen`, so are rules that no row of the table fulfils; a note counts
    them.
    """
    found = []
    for label, of_class in enumerate(boxes):
        for low, high in zip(of_class.low, of_class.high, strict=True):
            terms = _terms(table.columns, low, high, used)
            if terms is not None:
                held = Rule(label, terms, 0, 0).holds(table.values)
                confidence = float((predicted[held] == label).mean()) if held.any() else 0.0
                found.append(Rule(label, terms, int(held.sum()), confidence))
    if not unseen and (empty := sum(not rule.rows for rule in found)):
        found = [rule for rule in found if rule.rows]
        notes = [*notes, f"{empty:,} rules that no row of the training fulfils were left out."]
    found.sort(key=lambda rule: (-rule.confidence, -rule.rows, rule.label, rule.terms))
    counts = np.bincount(predicted, minlength=len(table.classes))
    return Rules(table.columns, table.classes, tuple(dict.fromkeys(found)), int(counts.argmax()), tuple(notes))


def predicted_classes(table: Table, predict: Predict, values: NDArray[np.float64] | None = None) -> NDArray[np.int64]:
    """The class that a model gives to each row. Raises Unsupported if the table's target is a number."""
    if not table.classes:
        message = f"Rules give classes, and {table.target.name} is a number."
        raise Unsupported(message, "Choose a target of classes, such as whether it is above its mean.")
    return predict(table.values if values is None else values).argmax(1)


def _terms(
    columns: Sequence[Column], low: NDArray[np.float64], high: NDArray[np.float64], used: NDArray[np.int64]
) -> tuple[Term, ...] | None:
    """The terms of a box; None if no row can lie in it."""
    bounds = {int(place): (float(low[n]), float(high[n])) for n, place in enumerate(used)}
    terms, start = [], 0
    for number, column in enumerate(columns):
        if column.kind == "number":
            term, start = Term(number, *bounds.get(start, (-math.inf, math.inf))), start + 1
        else:
            count = len(column.categories)
            limits = [bounds.get(start + place, (-math.inf, math.inf)) for place in range(count)]
            # A row of category k has 1 in the column of k, and 0 in the others.
            allowed = tuple(
                k for k in range(count) if all(a < (k == place) <= b for place, (a, b) in enumerate(limits))
            )
            if not allowed:
                return None
            term, start = Term(number, categories=allowed if len(allowed) < count else ()), start + count
        if len(term):
            terms.append(term)
    return tuple(terms)
