"""The review of a model's failures as CSV, JSON and a report."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from core.errors import BadImage
from core.export.reports.report import Card, Gallery, Report, Table, data_uri, rows_of
from core.images import read_picture
from core.measure.intervals import Interval
from core.progress import Report as Progress
from core.progress import chunks, silent
from core.review.confusion import accuracy, accuracy_by_class, calibration, pairs, roc, roc_classes
from core.review.evidence import Evidence
from core.review.predictions import Predictions
from core.review.queue import Rows, counts, queue_limits
from core.review.reviews import Review, progress

_PAIRS = 20  # confusions in a report
_OUTCOMES = {1: "right", 0: "wrong", -1: ""}


def review_table(
    predictions: Predictions,
    rows: Rows,
    reviews: Mapping[str, Review] | None = None,
    evidence: Mapping[int, Evidence] | None = None,
) -> pd.DataFrame:
    """Cases with names in place of numbers, and what is said of them; for export as CSV and JSON."""
    images = predictions.images.iloc[rows]
    said = [(reviews or {}).get(path, Review(path)) for path in images["path"]]
    places = [(evidence or {}).get(row) for row in rows.tolist()]
    return pd.DataFrame({
        "image": images["path"].tolist(),
        "true": [predictions.class_name(label) for label in images["label"]],
        "predicted": [predictions.class_name(label) for label in images["predicted"]],
        "outcome": [_OUTCOMES[right] for right in images["right"]],
        "confidence": images["confidence"].to_numpy(),
        "margin": images["margin"].to_numpy(),
        "true_probability": images["truth"].to_numpy(),
        "evidence": [one.place if one else "" for one in places],
        "verdict": [one.verdict for one in said],
        "tags": ["; ".join(one.tags) for one in said],
        "note": [one.note for one in said],
        "assignee": [one.assignee for one in said],
        "reviewer": [one.reviewer for one in said],
    })  # fmt: skip


def review_json(predictions: Predictions, table: pd.DataFrame) -> dict[str, Any]:
    """Everything in numbers, and the cases of a `review_table`; gaps are null."""
    overall, reliability, model = accuracy(predictions), calibration(predictions), predictions.manifest.model
    return {
        "source": predictions.source.name,
        "model": model.name,
        "model_sha256": model.sha,
        "images": len(predictions.images),
        "notes": list(predictions.notes),
        "counts": counts(predictions),
        "accuracy": None if overall is None else vars(overall),
        "classes": _records(accuracy_by_class(predictions)),
        "confusions": _records(pairs(predictions)),
        "calibration_error": None if reliability is None else reliability.error,
        "calibration": [] if reliability is None else _records(reliability.bins),
        "roc": [_roc(predictions, label) for label in roc_classes(predictions)],
        "cases": _records(table),
    }


def _roc(predictions: Predictions, label: int) -> dict[str, Any]:
    curve = roc(predictions, label)
    return {
        "class": curve.positive,
        "area": curve.area,
        "known_from": curve.known_from,
        "points": _records(curve.table),
    }


def review_report(
    predictions: Predictions,
    rows: Rows,
    reviews: Mapping[str, Review] | None = None,
    evidence: Mapping[int, Evidence] | None = None,
    report: Progress = silent,
) -> Report:
    """The report of these cases, with their pictures: of their files, of the thumbnails where these are lost."""
    table, known = review_table(predictions, rows, reviews, evidence), reviews or {}
    spans = chunks(len(rows), 1, report, "images", counted=True)
    cards = [_card(predictions, int(rows[span.start]), table.iloc[span.start]) for span in spans]
    facts = (
        ("Images", f"{len(predictions.images):,}"),
        ("Accuracy", spelled(accuracy(predictions))),
        *extremes(predictions),
        ("Reviewed", f"{progress(known, list(table['image']))} cases"),
    )
    title = f"Failures of {predictions.model} on {predictions.source.name}"
    cases = (Gallery(f"{len(rows):,} cases", cards),) if cards else ()
    return Report(title, facts, (*_tables(predictions), *cases), predictions.notes)


def extremes(predictions: Predictions) -> list[tuple[str, str]]:
    """How many errors are overconfident and right predictions unsure, with what counts as that; nothing without any."""
    of_outcome, limits = counts(predictions), queue_limits(predictions)
    sure, unsure = of_outcome["overconfident"], of_outcome["unsure"]
    errors = f"{sure:,} with at least the median confidence of right predictions, {limits.overconfident:.1%}"
    right = f"{unsure:,} with at most the median margin of errors, {limits.unsure:.1%}"
    return [
        *([("Overconfident errors", errors)] if sure else []),
        *([("Unsure right predictions", right)] if unsure else []),
    ]


def spelled(share: Interval | None) -> str:
    """A share of images with its 95% interval as text."""
    if share is None:
        return "unknown, as no image has a class of the model"
    return f"{share.mean:.1%} of {share.n:,} images (95% interval {share.low:.1%} to {share.high:.1%})"


def _tables(predictions: Predictions) -> tuple[Table, ...]:
    by_class, confusions, reliability = accuracy_by_class(predictions), pairs(predictions), calibration(predictions)
    if reliability is None:
        return ()
    shown = confusions.head(_PAIRS)
    more = f"The {_PAIRS} most frequent of {len(confusions):,}." if len(confusions) > _PAIRS else ""
    bins = reliability.bins[reliability.bins["images"] > 0]
    return (
        Table(
            "Confusions",
            ("class", "predicted as", "images", "share of the class"),
            rows_of(shown[["true_name", "predicted_name", "images", "share"]]),
            more if len(confusions) else "All images are right.",
        ),
        Table(
            "Accuracy by class",
            ("class", "images", "right", "accuracy", "95% from", "to", "predicted", "precision"),
            rows_of(by_class.drop(columns="label")),
        ),
        Table(
            "Calibration",
            ("confidence from", "to", "images", "mean confidence", "accuracy"),
            rows_of(bins),
            f"Expected calibration error: {reliability.error:.1%}.",
        ),
    )


def _card(predictions: Predictions, row: int, case: "pd.Series[Any]") -> Card:
    confidence = f"{case['confidence']:.1%}"
    true = case["true"] or "unknown class"
    top = ", ".join(f"{name} {value:.1%}" for name, value in predictions.top(row))
    facts = [("Class", true), ("Predicted", f"{case['predicted']}, {confidence}"), ("Most probable", top)]
    named = ("verdict", "tags", "note", "evidence", "assignee", "reviewer")
    facts += [(name.capitalize(), str(case[name])) for name in named if case[name]]
    return Card(str(case["image"]), tuple(facts), _picture(predictions, row))


def _picture(predictions: Predictions, row: int) -> str:
    source = predictions.source
    try:
        return data_uri(read_picture(source.root, source.paths[row], source.window).pixels)
    except BadImage:
        return data_uri(np.asarray(predictions.array("thumbnails")[row]))


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = json.loads(table.to_json(orient="records", double_precision=15))
    return records
