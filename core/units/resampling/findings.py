"""The bundled comparisons of metrics: their tables, and what they say beside what Lengerich et al. 2017 say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from core.measure.intervals import bracketed
from core.resources import ASSETS

FOLDER = ASSETS / "selections"
METRICS_FILE = "metrics.csv"
TOPS = (5, 20)
# Their table 1: metric -> (patch localisation, accuracy of the secondary classifier) of the top 5 and the top 20.
PAPER: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "w_sum": ((0.94, 0.607), (0.82, 0.703)),
    "w_var": ((0.91, 0.787), (0.80, 0.948)),
    "act_sum": ((0.92, 0.734), (0.79, 0.862)),
    "act_var": ((0.91, 0.711), (0.80, 0.857)),
    "corr": ((0.93, 0.705), (0.85, 0.931)),
    "prec": ((0.96, 0.940), (0.91, 0.901)),
}


@dataclass(frozen=True)
class Training:
    """A training whose epochs were compared."""

    file: str
    title: str
    images: int  # in an epoch


WHOLE = Training("epochs.csv", "3,600 images an epoch: the bundled network", 3600)
FIRST = Training("first-steps.csv", "240 images an epoch: the first steps", 240)
TRAININGS = (WHOLE, FIRST)


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, and what is measured on flowers."""

    text: str
    measured: str
    holds: bool | None  # None if the intervals do not decide


@cache
def metrics() -> list[dict[str, Any]]:
    """Table 1: rows with the columns of `compared`."""
    table = pd.read_csv(FOLDER / METRICS_FILE)
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


@cache
def epochs(training: Training) -> pd.DataFrame:
    """Figures 2 and 3: the columns of `followed`."""
    return pd.read_csv(FOLDER / training.file)


def claims() -> tuple[Claim, ...]:
    """The statements of sections 5.1 to 5.3 in their order."""
    return _accuracy(), _early(), _convergence(), _localisation(), _fewer()


def _accuracy() -> Claim:
    found = []
    for training in TRAININGS:
        table = epochs(training)
        better = int((table["accuracy_prec"] > table["accuracy_corr"]).sum())
        found.append((
            f"after {better} of {len(table)} epochs of {training.images:,} images ({table['accuracy_prec'].mean():.0%} "
            f"and {table['accuracy_corr'].mean():.0%} on average)",
            better == len(table),
        ))  # fmt: skip
    return Claim(
        "Patches selected by activation precision tell the class better than those selected by activation–output "
        "correlation over the entire range of training epochs.",
        f"They do {' and '.join(text for text, _ in found)}.",
        _together([holds for _, holds in found]),
    )


def _early() -> Claim:
    first, last = (epochs(FIRST).iloc[place] for place in (0, -1))
    return Claim(
        "Early in training a small network on these patches outperforms the full network on whole images; later the "
        "full network surpasses it.",
        f"{first['accuracy_prec']:.0%} of the patches and {first['network']:.0%} of the images are told after the "
        f"first {FIRST.images} images, {last['accuracy_prec']:.0%} and {last['network']:.0%} after the last.",
        bool(first["accuracy_prec"] > first["network"] and last["accuracy_prec"] < last["network"]),
    )


def _convergence() -> Claim:
    found = []
    for training in TRAININGS:
        first, last = (epochs(training).iloc[place] for place in (0, -1))
        told = [f"{one['similarity']:.2f}{bracketed(one['low'], one['high'], '.2f')}" for one in (first, last)]
        found.append((
            f"from {told[0]} to {told[1]} in epochs of {training.images:,} images (random sets: {last['random']:.2f})",
            _greater(last["low"], max(first["high"], last["random"]), last["high"], first["low"]),
        ))  # fmt: skip
    return Claim(
        "Correlation and precision come to select similar sets of filters as the accuracy of the network rises.",
        f"Their Jaccard index goes {' and '.join(text for text, _ in found)}.",
        _together([holds for _, holds in found]),
    )


def _localisation() -> Claim:
    others = _of_paper(TOPS[0])
    own = others.pop("prec")
    best = max(others.values(), key=lambda one: float(one["localisation"]))
    last = min(others.values(), key=lambda one: float(one["localisation"]))
    return Claim(
        "The patches of activation precision lie on the object more often than those of any other metric.",
        f"{_share(own)} of its patches do, {_share(best)} of those of the best other one "
        f"({best['title'].lower()}), {_share(last)} of those of the last ({last['title'].lower()}).",
        _greater(own["low"], best["high"], own["high"], best["low"]),
    )


def _fewer() -> Claim:
    few, many = ({name: float(one["localisation"]) for name, one in _of_paper(top).items()} for top in TOPS)
    better = sum(few[name] > many[name] for name in few)
    return Claim(
        "The top 5 filters of a layer lie on the object more often than its top 20, by every metric.",
        f"By {better} of {len(few)} metrics: {np.mean([*few.values()]):.0%} and {np.mean([*many.values()]):.0%} on "
        "average.",
        better == len(few),
    )


def _greater(low: float, other_high: float, high: float, other_low: float) -> bool | None:
    """Whether one number is greater than another one; None where their intervals overlap."""
    return True if low > other_high else False if high < other_low else None


def _together(verdicts: Sequence[bool | None]) -> bool | None:
    """A verdict about all trainings: undecided where they differ."""
    return verdicts[0] if len(set(verdicts)) == 1 else None


def _of_paper(top: int) -> dict[str, dict[str, Any]]:
    """The rows of the paper's metrics, by metric."""
    return {row["metric"]: row for row in metrics() if row["top"] == top and row["metric"] in PAPER}


def _share(row: Mapping[str, Any]) -> str:
    return f"{row['localisation']:.0%}{bracketed(row['low'], row['high'], '.0%')}"
