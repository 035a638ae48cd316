"""Linear regression with t statistics and p values."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.data.labels import class_index
from core.errors import Unsupported
from core.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd

# The least shares of a column's deviation, and of its length, that other columns leave unexplained.
_DEPENDENT, _ROUNDING = 1e-9, 1e-13


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear model of a number, or of zero and one for a class."""

    table: Table
    outcome: str  # what it is a model of
    coefficients: "pd.DataFrame"  # term, feature, coefficient, std_error, t, p, low and high (95%); the intercept first
    features: "pd.DataFrame"  # feature, importance, p
    r_squared: float
    degrees: int  # of freedom of the residuals
    notes: tuple[str, ...]


def linear(table: Table, label: str = "") -> Linear:
    """Ordinary least squares on a number, or on whether a row is of the class `label`, the last one by default.

    A category is a column of zeros and ones for each of its names but the first. The importance of a number is its |t|,
    that of a category √F of its columns together, which is the same for one column. Raises UnknownName for a class
    that does not exist, Unsupported if there are not more rows than coefficients.
    """
    import pandas as pd
    from statsmodels.api import OLS

    outcome, answers = _outcome(table, label)
    terms, owners, columns = _design(table)
    kept = _independent(columns)
    left_out = [term for number, term in enumerate(terms) if number not in set(kept)]
    if len(table) < len(kept) + 2:
        message = f"A linear model has {len(terms) + 1:,} coefficients, which {len(table):,} rows do not determine."
        raise Unsupported(message, "Use fewer features, or more rows.")
    design = np.column_stack([np.ones(len(table)), columns[:, kept]])
    fitted = OLS(answers, design).fit()
    low, high = fitted.conf_int().T
    coefficients = pd.DataFrame({
        "term": ["intercept", *(terms[number] for number in kept)],
        "feature": ["", *(owners[number] for number in kept)],
        "coefficient": fitted.params, "std_error": fitted.bse, "t": fitted.tvalues, "p": fitted.pvalues,
        "low": low, "high": high,
    })  # fmt: skip
    rows = []
    for name in table.names:
        own = np.flatnonzero(coefficients["feature"] == name)
        test = fitted.f_test(np.eye(len(coefficients))[own]) if len(own) else None
        value, p = (float(np.sqrt(test.fvalue)), float(test.pvalue)) if test else (0.0, 1.0)
        rows.append({"feature": name, "importance": value, "p": p})
    notes = tuple(f"{term} was left out: the constant and other columns determine it." for term in left_out)
    return Linear(table, outcome, coefficients, pd.DataFrame(rows), float(fitted.rsquared), int(fitted.df_resid), notes)


def linear_error(training: Table, held_out: Table, label: str = "") -> float:
    """The error on rows held out of a linear model of others: mean squared, or the share of wrong answers for a class.

    Coefficients are of least norm where they are not determined.
    """
    answers = _outcome(training, label)[1]
    parts = [np.column_stack([np.ones(len(table)), _design(table)[2]]) for table in (training, held_out)]
    outputs = parts[1] @ np.linalg.lstsq(parts[0], answers)[0]
    expected = _outcome(held_out, label)[1]
    if training.classes:
        return float(((outputs >= 0.5) != (expected == 1)).mean())
    return float(np.square(outputs - expected).mean())


def _outcome(table: Table, label: str) -> tuple[str, NDArray[np.float64]]:
    if not table.classes:
        return table.target.name, table.answers
    number = class_index(label, table.classes, "The table") if label else len(table.classes) - 1
    return f"{table.target.name} = {table.classes[number]}", (table.answers == number).astype(np.float64)


def _design(table: Table) -> tuple[list[str], list[str], NDArray[np.float64]]:
    """The names of the columns, the features that they are of, and the columns (n, q)."""
    encoded, names = table.encoded(), table.encoded_names
    terms, owners, chosen, start = list[str](), list[str](), list[int](), 0
    for column in table.columns:
        width = len(column.categories) or 1
        own = range(start + (column.kind == "category"), start + width)
        start += width
        chosen += own
        terms += [names[number] for number in own]
        owners += [column.name] * len(own)
    return terms, owners, encoded[:, chosen]


def _independent(columns: NDArray[np.float64]) -> list[int]:
    """The columns, from the left, that are no linear function of a constant and the columns before them."""
    basis = np.ones((len(columns), 1)) / np.sqrt(len(columns))
    found = []
    for number, column in enumerate(columns.T):
        if basis.shape[1] >= len(columns):
            break
        rest, least = (
            column,
            max(_DEPENDENT * np.linalg.norm(column - column.mean()), _ROUNDING * np.linalg.norm(column)),
        )
        for _ in range(2):  # the second time for what rounding left
            rest = rest - basis @ (basis.T @ rest)
        if (size := np.linalg.norm(rest)) > least:
            basis = np.column_stack([basis, rest / size])
            found.append(number)
    return found
