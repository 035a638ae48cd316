"""Average patches: the mean patch of a filter in a class, weighted by the filter's response."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.mining.rules import Mined, transactions_of
from core.mining.transactions import Transactions
from core.progress import Report, silent
from core.study import Study

AVERAGES = ("average", "label", "filter", "patches", "weight")


def contributing(
    mined: Mined, transactions: Transactions, responses: NDArray[np.float32], label: int, filter: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """The patches of a class's rules with the filter, the filter's responses there, and how often each patch counts.

    Section 4.1 of Meynen et al. 2023. A patch counts once for each of these rules that it appears in, or once, as
    `MiningConfig.per_rule` says. The heaviest, by response times count, come first.
    """
    counted = transactions.first(mined.config.filters)
    held = [counted.holding(one, label) for one in mined.sets_of.get(label, []) if filter in one]
    every = np.concatenate(held) if held else np.zeros(0, np.int64)
    patches, counts = np.unique(every, return_counts=True)
    if not mined.config.per_rule:
        counts = np.ones_like(counts)
    at = (counted.items[patches] == filter).argmax(1)
    strengths = responses[patches, at].astype(np.float64)
    order = np.argsort(-strengths * counts, kind="stable")
    return patches[order], strengths[order], counts[order]


def weighted(crops: NDArray[np.uint8], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weighted mean of patches (n, w, w, 3), in [0, 1]."""
    total = np.zeros(crops.shape[1:])
    for crop, weight in zip(crops, weights, strict=True):
        total += weight * (crop / 255)
    return total / weights.sum()


def average(
    study: Study,
    mined: Mined,
    label: int,
    filter: int,
    *,
    uniform: bool = False,
    top: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """The average patch (w, w, 3) in [0, 1] of a class and a filter under these rules, its patches and their weights.

    `uniform` ignores the responses, and weights a patch by how often it counts; `top` uses only that many of the
    heaviest. Without patches the average is black.
    """
    patches, strengths, counts = contributing(mined, transactions_of(study), study.array("responses"), label, filter)
    kept = slice(top or None)
    patches, weights = patches[kept], (counts if uniform else strengths * counts)[kept].astype(np.float64)
    crops = study.array("crops")
    picture = weighted(crops[patches], weights) if len(patches) else np.zeros(crops.shape[1:])
    return picture, patches, weights


def all_averages(
    mined: Mined,
    transactions: Transactions,
    responses: NDArray[np.float32],
    crops: NDArray[np.uint8],
    report: Report = silent,
) -> tuple[pd.DataFrame, Iterator[NDArray[np.float16]]]:
    """Table `averages` of every class and filter that share a rule, and the patches (1, w, w, 3) of its rows."""
    selections = []
    rows: list[tuple[int, int, int, int, float]] = []
    for label, filter in zip(mined.edges["label"], mined.edges["filter"], strict=True):
        report(0.3 * len(rows) / len(mined.edges), "averaging patches")
        patches, strengths, counts = contributing(mined, transactions, responses, int(label), int(filter))
        weights = strengths * counts
        rows.append((len(rows), int(label), int(filter), len(patches), float(weights.sum())))
        selections.append((patches, weights))

    def parts() -> Iterator[NDArray[np.float16]]:
        yield np.zeros((0, *crops.shape[1:]), np.float16)
        for done, (patches, weights) in enumerate(selections):
            report(0.3 + 0.7 * done / len(selections), "averaging patches")
            yield weighted(crops[patches], weights).astype(np.float16)[None]

    return pd.DataFrame(rows, columns=list(AVERAGES)), parts()


def stretched(image: NDArray[np.floating]) -> NDArray[np.floating]:
    """An image scaled to minimum 0 and maximum 1, for display; a constant one stays unchanged."""
    low, high = float(image.min()), float(image.max())
    return (image - low) / (high - low) if high > low else image
