"""LIME for tables: the linear model that best fits a model's predictions around one row."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray

from core.card import Card
from core.errors import BadParameter
from core.params import Knob
from core.progress import Report, silent, subrange
from core.tables.neighbourhood import Neighbourhood, Sampling, neighbourhood
from core.tables.ridge import Ridge
from core.tables.table import Predict, Table

if TYPE_CHECKING:
    import pandas as pd

Samples = Annotated[int, Knob("Number of rows drawn around the one explained.", 50, 100_000, 500)]
SampledBy = Annotated[
    Sampling,
    Knob(
        "How rows are drawn: a quarter of the values and then one in it, or normally distributed around mean or row.",
        names=("quartiles", "normal, around the mean", "normal, around the row"),
    ),
]
Width = Annotated[float, Knob("Kernel width, as a multiple of √(number of features).", 0.05, 10, 0.05)]
Alpha = Annotated[float, Knob("Ridge penalty (α).", 0.001, 1000, 0.5)]


@dataclass(frozen=True, eq=False)
class LocalExplanation:
    """The linear model around a row: signed weights of all features, and how well it fits."""

    features: tuple[str, ...]
    conditions: tuple[str, ...]  # per feature: the fact about the row whose effect the weight is
    explained: str  # such as "probability of yes"
    weights: NDArray[np.float64]  # (p,): the change of the prediction where the condition holds
    intercept: float
    local_prediction: float  # of the linear model, for the row itself
    prediction: float  # of the model
    fit: float | None  # weighted R² on the rows drawn; None if the model's predictions for them are all equal
    samples: int
    shown: int  # features that are shown

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """The features by the size of their weight, largest first; equal ones in the order of the columns."""
        return np.argsort(-np.abs(self.weights), kind="stable")

    @cached_property
    def frame(self) -> "pd.DataFrame":
        """All features by the size of their weight: feature, condition, weight."""
        import pandas as pd

        return pd.DataFrame({
            "feature": [self.features[number] for number in self.order],
            "condition": [self.conditions[number] for number in self.order],
            "weight": self.weights[self.order],
        })  # fmt: skip

    @property
    def sentence(self) -> str:
        """The prediction, that of the linear model, and what its fit says."""
        local = f"that of the linear model {self.local_prediction:.4g}"
        said = f"The model's {self.explained} is {self.prediction:.4g}, {local}"
        if self.fit is None:
            return f"{said}; the model's predictions around the row are all equal, so every weight is zero."
        fit = f"{said}; weighted R² {self.fit:.2f} on {self.samples:,} rows drawn around it."
        if len(self.features) >= self.samples:
            return f"{fit} It says nothing here: {len(self.features):,} features can fit any {self.samples:,} rows."
        return fit


def lime_table(
    table: Table,
    predict: Predict,
    row: NDArray[np.float64],
    *,
    output: int | None = None,
    sampling: SampledBy = "quartiles",
    samples: Samples = 5000,
    width: Width = 0.75,
    alpha: Alpha = 1.0,
    features: Annotated[int, Knob("Number of features shown; 0 for all.", 0, 1000)] = 10,
    seed: int = 0,
    report: Report = silent,
) -> LocalExplanation:
    """The effect of each feature on the prediction for one row, by a linear model of rows drawn around it.

    With quartiles, a feature's weight is the effect of being in the same quarter of the table's values as the row; of a
    category, of being equal; with a normal distribution, that of one standard deviation. All features are in the
    regression; the original repeats it with only those that it shows. `table` gives quarters, frequencies and
    deviations: take the rows of the training, or all.
    """
    around = neighbourhood(
        table, row, sampling, samples=samples, width=width, seed=seed, report=subrange(report, 0, 0.3)
    )
    label = explained_output(table, predict, row, output)
    scores = around.scores(predict, label, subrange(report, 0.3, 0.9))
    ridge = Ridge(around.features, around.weights, alpha)
    report(1.0, "linear model fitted")
    return explanation(table, around, ridge, scores, output=label, shown=features)


LIME = Card.of(
    lime_table,
    "LIME",
    family="local",
    source="Ribeiro et al. 2016",
    formula="argmin_w Σᵢ πᵢ (f(xᵢ) − w·zᵢ − b)² + α‖w‖², πᵢ = √exp(−dᵢ²/σ²), σ = width · √p",
    caution="A weight has a meaning only where the local fit is high and larger than those under shuffled targets.",
    cost=lambda settings, side: settings["samples"],
    budgets={"quick": {"samples": 1000}},
)


def explanation(
    table: Table, around: Neighbourhood, ridge: Ridge, scores: NDArray[np.float64], *, output: int, shown: int
) -> LocalExplanation:
    """What the linear model of the scores of a neighbourhood says of its row; `ridge` is of its features."""
    fit = ridge.fit(scores)
    return LocalExplanation(
        features=table.names,
        conditions=around.conditions,
        explained=f"probability of {table.classes[output]}" if table.classes else table.target.name,
        weights=fit.weights,
        intercept=fit.intercept,
        local_prediction=float(fit.intercept + around.features[0].astype(np.float64) @ fit.weights),
        prediction=float(scores[0]),
        fit=fit.score,
        samples=len(scores),
        shown=min(shown or len(table.names), len(table.names)),
    )


def explained_output(table: Table, predict: Predict, row: NDArray[np.float64], output: int | None) -> int:
    """The index of the output that is explained: the class given, or else predicted; 0 of a number.

    Raises BadParameter for a class that the table does not have.
    """
    if not table.classes:
        return 0
    if output is None:
        return int(predict(row[None])[0].argmax())
    if not 0 <= output < len(table.classes):
        raise BadParameter(f"There is no class {output}.", f"Give a number from 0 to {len(table.classes) - 1}.")
    return output
