"""Queues of cases: images filtered by outcome, confusion and review, and ordered by how the model decides."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from core.review.confusion import decided
from core.review.evidence import PLACES, Evidence, Place
from core.review.predictions import Predictions

Outcome = Literal["wrong", "right", "overconfident", "unsure", "unknown", "all"]
Order = Literal["confident", "unsure", "margin", "evidence", "folder"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
ORDERS: tuple[Order, ...] = get_args(Order)
Rows = NDArray[np.int64]  # indices of images


@dataclass(frozen=True)
class Limits:
    """What counts as overconfident and as unsure, by the model's own predictions, however it is calibrated."""

    overconfident: float  # the median confidence of right predictions: errors from it on look like these
    unsure: float  # the median margin of errors: right predictions up to it look like these; nan without errors


@dataclass(frozen=True)
class CaseFilter:
    """The conditions that a case must meet; the default is every error."""

    outcome: Outcome = "wrong"
    true: int | None = None  # its class
    predicted: int | None = None  # as `confusion.decided` counts it
    reviewed: bool | None = None  # whether it has a verdict
    place: Place | None = None  # where its evidence lies


def matching(
    predictions: Predictions,
    conditions: CaseFilter,
    reviewed: Collection[str] = (),
    evidence: Mapping[int, Evidence] | None = None,
) -> Rows:
    """The images that meet every condition, in the order of the folder.

    `reviewed` are the paths with a verdict. Images whose `evidence` is not known are at no place. Images without a
    prediction are never among them.
    """
    images = predictions.images
    keep = (images["predicted"] >= 0).to_numpy() & _outcome(predictions, conditions.outcome)
    if conditions.true is not None:
        keep &= (images["label"] == conditions.true).to_numpy()
    if conditions.predicted is not None:
        keep &= decided(images) == conditions.predicted
    if conditions.reviewed is not None:
        keep &= images["path"].isin(list(reviewed)).to_numpy() == conditions.reviewed
    if conditions.place is not None:
        found = [row for row, one in (evidence or {}).items() if one.place == conditions.place]
        keep &= np.isin(np.arange(len(images)), found)
    return np.flatnonzero(keep)


def ordered(predictions: Predictions, rows: Rows, order: Order, evidence: Mapping[int, Evidence] | None = None) -> Rows:
    """The same images by falling or rising confidence, rising margin, or place of the evidence; equal ones stay.

    Those by evidence come in the order of `PLACES`, the most concentrated first; those without any come last.
    """
    images = predictions.images
    if order == "folder":
        return rows
    if order == "evidence":
        known = evidence or {}
        keys = [
            (PLACES.index(known[row].place), known[row].area) if row in known else (len(PLACES), 0.0)
            for row in rows.tolist()
        ]
        return rows[np.array(sorted(range(len(rows)), key=keys.__getitem__), np.int64)]
    column = "margin" if order == "margin" else "confidence"
    values = images[column].to_numpy()[rows]
    return rows[np.argsort(-values if order == "confident" else values, kind="stable")]


def queue_limits(predictions: Predictions) -> Limits:
    """The limits of the queues `overconfident` and `unsure`; nan, which nothing meets, where there is no median."""
    images = predictions.images
    right, wrong = images[images["right"] == 1], images[images["right"] == 0]
    return Limits(float(right["confidence"].median()), float(wrong["margin"].median()))


def counts(predictions: Predictions) -> dict[Outcome, int]:
    """The number of images of each outcome."""
    return {outcome: len(matching(predictions, CaseFilter(outcome))) for outcome in OUTCOMES}


def _outcome(predictions: Predictions, outcome: Outcome) -> NDArray[np.bool_]:
    images = predictions.images
    right, limits = images["right"].to_numpy(), queue_limits(predictions)
    chosen: Mapping[Outcome, NDArray[np.bool_]] = {
        "wrong": right == 0,
        "right": right == 1,
        "overconfident": (right == 0) & (images["confidence"].to_numpy() >= limits.overconfident),
        "unsure": (right == 1) & (images["margin"].to_numpy() <= limits.unsure),
        "unknown": right < 0,
        "all": np.ones(len(images), bool),
    }
    return chosen[outcome]
