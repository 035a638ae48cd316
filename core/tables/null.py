"""The weights that LIME gives under shuffled targets: a null distribution for the largest one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.progress import Report, item, silent
from core.tables.lime import (
    Alpha,
    LocalExplanation,
    SampledBy,
    Samples,
    Width,
    explained_output,
    explanation,
)
from core.tables.neighbourhood import neighbourhood
from core.tables.ridge import Ridge
from core.tables.table import Predict, Table

Train = Callable[[Table], Predict]
LEVEL = 0.95  # quantile of the maxima that a weight has to exceed
_FEWEST = 19  # shuffles: p is at least 1 / (1 + shuffles)


@dataclass(frozen=True, eq=False)
class Null:
    """The largest |weight| of a row, and those of models of the same rows with shuffled targets."""

    explanation: LocalExplanation  # by the model of the true targets
    maxima: NDArray[np.float64]  # (shuffles so far,)
    planned: int  # number of shuffles

    @property
    def largest(self) -> float:
        """The largest |weight| of the model of the true targets."""
        return float(np.abs(self.explanation.weights).max(initial=0))

    @property
    def quantile(self) -> float:
        """The 95% quantile of the maxima: the smallest that at least 95% of them do not exceed."""
        return float(np.quantile(self.maxima, LEVEL, method="inverted_cdf"))

    @property
    def p_value(self) -> float:
        """The share of models whose largest |weight| is at least that of the true one, which counts as one of them."""
        return float((1 + (self.maxima >= self.largest).sum()) / (1 + len(self.maxima)))

    @property
    def sentence(self) -> str:
        """What the comparison means, with its numbers."""
        if not self.largest:
            return "All weights are zero, so there is nothing to compare with shuffled targets."
        feature = self.explanation.features[int(self.explanation.order[0])]
        count = f"{len(self.maxima)} of {self.planned}" if len(self.maxima) < self.planned else str(self.planned)
        numbers = f"{self.quantile:.3g} ({count} shuffles, p = {self.p_value:.2g})"
        null = f"the 95% quantile of the largest weights of models trained on shuffled targets, {numbers}"
        if len(self.maxima) < _FEWEST:
            meaning = f"fewer than {_FEWEST} shuffles cannot give p ≤ 0.05"
            return f"The largest weight, {self.largest:.3g} of {feature}, beside {null}: {meaning}."
        if self.largest > self.quantile:
            return f"The largest weight, {self.largest:.3g} of {feature}, exceeds {null}: noise alone rarely gives it."
        meaning = "models of noise give weights as large, so no single feature is shown to drive this prediction"
        return f"The largest weight, {self.largest:.3g} of {feature}, does not exceed {null}: {meaning}."


def shuffled_null(
    table: Table,
    fit: Train,
    row: NDArray[np.float64],
    *,
    predict: Predict | None = None,
    output: int | None = None,
    sampling: SampledBy = "quartiles",
    samples: Samples = 1000,
    width: Width = 0.75,
    alpha: Alpha = 1.0,
    shuffles: int = 100,
    seed: int = 0,
    report: Report = silent,
) -> Iterator[Null]:
    """Compare the largest |weight| of a row with that of models trained by `fit` on shuffled targets.

    Yields the comparison after every shuffle, so that one that is stopped keeps what is finished. `predict` is the
    model of the true targets; `fit(table)` trains it if it is not given, and stops by itself if it takes long. All
    models predict the same rows, and the equations of the linear model are factored once, as they do not depend on the
    targets. Shuffle i depends on `seed` and i alone. The exchange of all targets is a null for the whole table: it says
    what training and LIME find in noise, not which of several features matter.
    """
    import torch

    from core.randomness import generator

    model = predict or fit(table)
    around = neighbourhood(
        table, row, sampling, samples=samples, width=width, seed=seed, report=lambda done, note: report(0, note)
    )
    label = explained_output(table, model, row, output)
    ridge = Ridge(around.features, around.weights, alpha)
    true = explanation(table, around, ridge, around.scores(model, label), output=label, shown=0)
    maxima: list[float] = []
    for index in range(shuffles):
        part = item(report, index, shuffles, "shuffle")
        part(0, "training")
        order = torch.randperm(len(table), generator=generator(seed, index)).numpy()
        shuffled = fit(replace(table, answers=table.answers[order]))
        scores = around.scores(shuffled, label, part)
        maxima.append(float(np.abs(ridge.fit(scores).weights).max()))
        yield Null(true, np.array(maxima), shuffles)
    report(1.0, "compared with shuffled targets")
