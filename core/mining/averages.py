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
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The patches of a class's rules whose transaction contains the filter, with the filter's responses as weights.

    Section 4.1 of Meynen et al. 2023; each patch once, by falling weight.
    """
    counted = transactions.first(mined.config.filters)
    held = [counted.holding(one, label) for one in mined.sets_of.get(label, []) if filter in one]
    patches = np.unique(np.concatenate(held)) if held else np.zeros(0, np.int64)
    at = (counted.items[patches] == filter).argmax(1)
    weights = responses[patches, at].astype(np.float64)
    order = np.argsort(-weights, kind="stable")
    return patches[order], weights[order]


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

    `uniform` weights all patches equally, `top` uses only that many of the strongest. Without patches the average is
    black.
    """
    patches, weights = contributing(mined, transactions_of(study), study.array("responses"), label, filter)
    if top:
        patches, weights = patches[:top], weights[:top]
    crops = study.array("crops")
    if not len(patches):
        return np.zeros(crops.shape[1:]), patches, weights
    used = np.ones(len(weights)) if uniform else weights
    return weighted(crops[patches], used), patches, weights


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
        patches, weights = contributing(mined, transactions, responses, int(label), int(filter))
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
