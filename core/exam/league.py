"""The league table of an exam: means, intervals and ranks of every method, and how stable the ranks are."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.exam import Exam
from core.measure.intervals import Interval, intervals
from core.measure.measure import Better, Curve
from core.measure.ranks import ranks

Floats = NDArray[np.float64]


def standings(exam: Exam) -> pd.DataFrame:
    """Every method under every measure: one row each, in the order of the exam.

    Columns: method, measure (names), n (images with a number), mean, deviation (of the means of the folds), low and
    high (95% bootstrap interval of the mean over images), rank (1 is best; equal means share the lower one), flips
    (how often the order with another method changes between two folds, mean over the others). Where a method has no
    number all but n are nan; deviation and flips are so with a single fold, the interval with a single image.
    """
    fold, values = exam.images["fold"].to_numpy(), exam.values
    found = _intervals(values)
    by_fold = fold_means(values, fold, exam.config.folds)
    deviation = _deviation(by_fold)
    places = ranked(np.array([[_mean(one) for one in row] for row in found]), exam.measures["better"].tolist())
    flips = np.stack([_flips_of_each(order_flips(by_fold[:, :, k])) for k in range(values.shape[2])], 1)
    records = [
        {
            "method": method,
            "measure": measure,
            "n": one.n if (one := found[m][k]) else 0,
            "mean": _mean(one),
            "deviation": deviation[m, k],
            "low": np.nan if one is None or one.low is None else one.low,
            "high": np.nan if one is None or one.high is None else one.high,
            "rank": places[m, k],
            "flips": flips[m, k],
        }
        for m, method in enumerate(exam.methods["name"])
        for k, measure in enumerate(exam.measures["name"])
    ]
    return pd.DataFrame(records)


def league(exam: Exam) -> pd.DataFrame:
    """One row for each method, the best of the first measure first; methods that do not work come last.

    Columns: method, title, family, the mean of every measure by its name, best, worst and median (the ranks over all
    measures), flips (mean over the measures), seconds and passes (of one image; a backward counts as two forwards),
    reason (why it does not work, or "").
    """
    long = standings(exam)
    by_method = long.groupby("method", sort=False)
    means = long.pivot_table(index="method", columns="measure", values="mean", dropna=False, sort=False)
    ranks = by_method["rank"].agg(best="min", worst="max", median="median")
    first = long[long["measure"] == exam.measures["name"].iloc[0]].set_index("method")["rank"]
    methods, count = exam.methods.set_index("name"), len(exam.images)
    table = methods[["title", "family"]].join(means[exam.measures["name"]]).join(ranks)
    table["flips"] = by_method["flips"].mean()
    table["seconds"] = pd.Series(exam.seconds, dtype=float) / count
    table["passes"] = (methods["forwards"] + 2 * methods["backwards"]) / count
    table["reason"] = methods["reason"]
    table.loc[table["reason"] != "", ["seconds", "passes"]] = np.nan
    order = first.reindex(table.index).sort_values(kind="stable", na_position="last").index
    return table.loc[order].rename_axis("method").reset_index()


def flips(exam: Exam, measure: str) -> pd.DataFrame:
    """How often the order of two methods changes between two folds, for each pair: (M, M), with names.

    Of all pairs of folds, the share in which the better method of one fold is the worse of the other; a tie in one of
    the two counts half. Nan where a method has no number in some fold, and with a single fold.
    """
    means = fold_means(exam.values, exam.images["fold"].to_numpy(), exam.config.folds)[:, :, exam.measure(measure)]
    names = exam.methods["name"].tolist()
    return pd.DataFrame(order_flips(means), index=names, columns=names)


def cases(exam: Exam, method: str, measure: str, count: int = 5, *, worst: bool = True) -> pd.DataFrame:
    """The images on which a method does worst, or best, under a measure: rows of table `images`, with the value.

    Images without a number are left out; equal ones are in the order of the exam.
    """
    column = exam.measure(measure)
    values = exam.values[:, exam.method(method), column]
    order = np.argsort(values * _signs(exam)[column] * (1 if worst else -1), kind="stable")
    chosen = [row for row in order.tolist() if np.isfinite(values[row])][:count]
    return exam.images.iloc[chosen].assign(value=values[chosen])


def above_controls(exam: Exam, measure: str) -> pd.DataFrame:
    """How far each method stands above each control under a measure, image by image: is it better than no explanation?

    Columns: method, control, n, difference (mean over images, positive if the method is better), low, high (95%
    bootstrap interval). Methods and controls without a number are left out.
    """
    column, methods = exam.measure(measure), exam.methods
    values = exam.values[:, :, column] * _signs(exam)[column]
    controls = methods.loc[methods["family"] == "control", "method"].tolist()
    pairs = [(m, c) for m in range(len(methods)) for c in controls if m not in controls]
    found = _intervals(np.stack([values[:, m] - values[:, c] for m, c in pairs], 1)[:, :, None]) if pairs else []
    names = methods["name"].tolist()
    columns = ["method", "control", "n", "difference", "low", "high"]
    records = [
        (names[m], names[c], one.n, one.mean, one.low, one.high)
        for (m, c), (one,) in zip(pairs, found, strict=True)
        if one
    ]
    return pd.DataFrame(records, columns=columns)


def fold_means(values: Floats, fold: NDArray[np.int64], folds: int) -> Floats:
    """The mean (F, M, K) of each fold over its images with a number; nan where it has none."""
    means = np.full((folds, *values.shape[1:]), np.nan)
    for number in range(folds):
        some = values[fold == number]
        counts = np.isfinite(some).sum(0)
        np.divide(np.nansum(some, 0), counts, out=means[number], where=counts > 0)
    return means


def ranked(means: Floats, better: Sequence[Better]) -> Floats:
    """The rank (M, K) of each method by its mean, 1 for the best; nan where it has none."""
    columns = [ranks(means[:, column].tolist(), one) for column, one in enumerate(better)]
    return np.array(columns, dtype=np.float64).T


def order_flips(means: Floats) -> Floats:
    """How often the order of two methods changes between two folds (M, M), from the means (F, M) of one measure."""
    signs = np.sign(means[:, :, None] - means[:, None, :])  # (F, M, M)
    pairs = [np.abs(signs[a] - signs[b]) / 2 for a in range(len(signs)) for b in range(a)]
    return np.mean(pairs, 0) if pairs else np.full(signs.shape[1:], np.nan)


def _flips_of_each(flips: Floats) -> Floats:
    """The mean (M,) over the other methods with a number."""
    others = np.where(np.eye(len(flips), dtype=bool), np.nan, flips)
    counts = np.isfinite(others).sum(1)
    return np.divide(np.nansum(others, 1), counts, out=np.full(len(flips), np.nan), where=counts > 0)


def _deviation(by_fold: Floats) -> Floats:
    """The sample deviation (M, K) of the means (F, M, K) of folds; nan where fewer than two have one."""
    known = np.isfinite(by_fold)
    counts = known.sum(0)
    means = np.where(known, by_fold, 0).sum(0) / np.maximum(counts, 1)
    squares = np.where(known, (by_fold - means) ** 2, 0).sum(0)
    return np.where(counts > 1, np.sqrt(squares / np.maximum(counts - 1, 1)), np.nan)


def _intervals(values: Floats) -> list[list[Interval | None]]:
    """The mean over images and its interval for each method and measure of values (N, M, K); None without a number.

    Columns with numbers for the same images share the draws of the bootstrap, which takes a tenth of the time.
    """
    _, methods, measures = values.shape
    found: list[list[Interval | None]] = [[None] * measures for _ in range(methods)]
    for rows, columns in _alike(values.reshape(len(values), -1)):
        numbers = values.reshape(len(values), -1)[rows][:, columns]
        curve = Curve("column", np.arange(len(columns), dtype=np.float64), "value", numbers)
        for column, one in zip(columns, intervals(curve), strict=True):
            found[column // measures][column % measures] = one
    return found


def _alike(values: Floats) -> Iterator[tuple[NDArray[np.int64], list[int]]]:
    """The rows with a number and the columns, for columns of values (N, C) that have numbers in the same rows."""
    known = np.isfinite(values)
    groups: dict[bytes, list[int]] = {}
    for column in range(values.shape[1]):
        groups.setdefault(known[:, column].tobytes(), []).append(column)
    for columns in groups.values():
        rows = np.flatnonzero(known[:, columns[0]])
        if len(rows):
            yield rows, columns


def _signs(exam: Exam) -> Floats:
    """1 for each measure (K,) of which more is better, else -1."""
    return np.where(exam.measures["better"] == "higher", 1.0, -1.0)


def _mean(one: Interval | None) -> float:
    return np.nan if one is None else one.mean
