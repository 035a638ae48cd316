"""The relevance of units for the classes of a model, from its responses to labelled or predicted images."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.card import Passes
from core.errors import Unsupported
from core.explain.filter_relevance import NONZERO, WEIGHTS, energies, shares
from core.models.model import Model
from core.params import Knob
from core.progress import Report, subrange
from core.units.analysis import Arrays, Findings, Subject, analysis
from core.units.convolutions import convolutions
from core.units.relevance.lasso import Solution, mu_lasso

PATH = (0.05, 0.1, 0.2, 0.5)  # further bounds, as shares of the one that is asked for


def _every_convolution(model: Model) -> tuple[str, ...]:
    """The layers that are read where none are named."""
    return tuple(layer.at for layer in convolutions(model))


@analysis(
    "Filter relevance",
    family="classes",
    source="Oramas et al. 2019",
    formula="min Σⱼ ‖Xᵀwⱼ − lⱼ‖² with ‖wⱼ‖₁ ≤ μ; X: squared norms of the maps, as shares of their layer",
    caution="Of units that respond alike only some get a weight: one without a weight may matter as much.",
    cost=lambda settings, side: Passes(1),
    needs=("images",),
    layers=_every_convolution,
    tables=WEIGHTS,
    noun="relevance",
)
def relevance(
    subject: Subject,
    *,
    mu: Annotated[float, Knob("Bound of the l1 norm of the weights of a class (μ).", 0.1, 100, 0.1)] = 10.0,
    classes: Annotated[
        Literal["predicted", "true"],
        Knob("Class of an image.", names=("predicted: explains the model", "true: explains the data")),
    ] = "predicted",
    positive: Annotated[bool, Knob("No weight is negative.")] = False,
) -> Findings:
    """The units by whose responses the classes can be told apart.

    A linear model of every class on the responses of all units of the layers, whose weights are bounded in l1 norm, so
    that few are not zero. It is solved exactly along the path of growing bounds, and the gap to the least possible
    error is reported. Classes without images get no weights.
    """
    model = subject.model
    if model.output not in ("softmax", "sigmoid"):
        message = f"{model.display} gives {model.output} outputs, and relevance is that of one class of several."
        raise Unsupported(message, "Choose a model that predicts one class.")
    parts = subject.mapper(partial(_responses, subject), subject.shards, subrange(subject.report, 0.0, 0.8))
    features = np.concatenate([parts.array(shard, "features") for shard in range(len(parts))]).T
    predicted = np.concatenate([parts.array(shard, "predicted") for shard in range(len(parts))])
    of = predicted if classes == "predicted" else np.array(subject.images.labels)
    known = of >= 0
    if not known.any():
        message = "None of the images has a class of the model."
        raise Unsupported(message, "Name a folder with one sub-folder per class, or choose predicted classes.")
    present = np.unique(of[known])
    bounds = [*(mu * share for share in PATH), mu]
    found = mu_lasso(
        features[:, known], (of[known] == present[:, None]) * 1.0, bounds, positive=positive,
        report=subrange(subject.report, 0.8, 1.0),
    )  # fmt: skip
    counts = np.bincount(of[known], minlength=len(model.labels))
    return _findings(subject, dict(zip(present.tolist(), found, strict=True)), counts)


def _responses(subject: Subject, shard: int, report: Report) -> Arrays:
    """The features (B, M) of the images of a shard, and the classes (B,) that the model predicts."""
    parts, predicted = [], []
    for _, layers, logits in subject.reduced(subject.rows(shard), energies, report):
        parts.append(shares(layers))
        predicted.append(subject.model.predicted(logits).numpy(force=True))
    return {"features": np.concatenate(parts), "predicted": np.concatenate(predicted)}


def _findings(subject: Subject, solved: Mapping[int, list[Solution]], images: NDArray[np.int64]) -> Findings:
    """The tables of the solutions of each class, the last one for the bound that was asked for."""
    model, units = subject.model, subject.units
    weights = np.zeros((len(model.labels), len(units)))
    classes, path = [], []
    for label, name in enumerate(model.labels):
        solutions = solved.get(label, [])
        if solutions:
            weights[label] = np.where(np.abs(solutions[-1].weights) > NONZERO, solutions[-1].weights, 0)
        last = (solutions[-1].features, solutions[-1].error, solutions[-1].gap) if solutions else (0, 0.0, 0.0)
        classes.append((label, name, int(images[label]), *last))
        path += [(label, one.bound, one.features, one.error, one.gap) for one in solutions]
    records = [
        (label, rank, *units[feature], float(row[feature]))
        for label, row in enumerate(weights)
        for rank, feature in enumerate(one for one in np.argsort(-row, kind="stable").tolist() if row[one])
    ]
    tables = {
        "units": pd.DataFrame({
            "layer": [layer for layer, _ in units], "unit": [unit for _, unit in units],
            "classes": (weights > 0).sum(0),
        }),
        "classes": pd.DataFrame(classes, columns=["label", "name", "images", "units", "error", "gap"]),
        "weights": pd.DataFrame(records, columns=["label", "rank", "layer", "unit", "weight"]),
        "path": pd.DataFrame(path, columns=["label", "mu", "units", "error", "gap"]),
    }  # fmt: skip
    without = int((images == 0).sum())
    notes = (f"{without:,} of the {len(images):,} classes have no images, and so no weights.",) if without else ()
    return Findings(tables, notes=notes)
