"""Tables: rows of features and the target that models predict."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import NDArray

from core.errors import BadParameter

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["number", "category"]
# Values of features (n, p) -> probabilities of the classes (n, C), or predicted values (n, 1) of a number.
Predict = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Column:
    """A feature or target: a number, or one of several categories."""

    name: str
    kind: Kind = "number"
    categories: tuple[str, ...] = ()  # a value is an index of these


@dataclass(frozen=True, eq=False)
class Table:
    """Rows without gaps; the values of a category are indices of its names."""

    name: str
    columns: tuple[Column, ...]
    values: NDArray[np.float64]  # (n, p)
    target: Column
    answers: NDArray[np.float64]  # (n,)
    notes: tuple[str, ...] = ()  # what was assumed or left out

    def __len__(self) -> int:
        return len(self.values)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; none if the target is a number."""
        return self.target.categories

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def frame(self) -> "pd.DataFrame":
        """Features and target as people read them, with the names of categories."""
        import pandas as pd

        return pd.concat([self.features(), _named(self.target, self.answers).rename(self.target.name)], axis=1)

    def features(self, values: NDArray[np.float64] | None = None) -> "pd.DataFrame":
        """Values of the features (n, p), those of the table by default, with the names of categories."""
        import pandas as pd

        given = self.values if values is None else values
        return pd.DataFrame(
            {column.name: _named(column, given[:, number]) for number, column in enumerate(self.columns)}
        )

    def rows(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """Some of the rows."""
        return replace(self, values=self.values[chosen], answers=self.answers[chosen])

    def above_average(self, mean: float | None = None) -> Self:
        """The same rows with two classes: whether a number is above the mean, by default that of these rows.

        Raises BadParameter for a target that has classes.
        """
        if self.classes:
            raise BadParameter(f"{self.target.name} has classes and no average.", "Choose one of the classes instead.")
        target = Column(self.target.name, "category", ("average or below", "above average"))
        above = self.answers > (self.answers.mean() if mean is None else mean)
        return replace(self, target=target, answers=above.astype(np.float64))

    def encoded(self, values: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Numbers as they are and a column of zeros and ones for each category: (n, q); not to be changed."""
        given = self.values if values is None else values
        if all(column.kind == "number" for column in self.columns):
            return given
        parts = [
            given[:, number, None]
            if column.kind == "number"
            else (given[:, number, None] == np.arange(len(column.categories))).astype(float)
            for number, column in enumerate(self.columns)
        ]
        return np.concatenate(parts, axis=1) if parts else np.zeros((len(given), 0))

    @property
    def encoded_names(self) -> tuple[str, ...]:
        """The names of the columns of `encoded`, such as `colour = red`."""
        return tuple(
            name
            for column in self.columns
            for name in ((column.name,) if column.kind == "number" else _equalities(column))
        )


def _equalities(column: Column) -> tuple[str, ...]:
    return tuple(f"{column.name} = {category}" for category in column.categories)


def _named(column: Column, values: NDArray[np.float64]) -> "pd.Series":
    import pandas as pd

    if column.kind == "number":
        return pd.Series(values)
    return pd.Series(pd.Categorical.from_codes(values.astype(int).tolist(), pd.Index(column.categories)))
