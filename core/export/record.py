"""Records of a comparison for JSON or CSV: how every map was made, and how much the maps agree."""

import csv
import io
import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.explain import Explanation
from core.export.spreadsheet import cell
from core.images import Picture
from core.measure.agreement import overlap, spearman
from core.workbench import Answer, Request, Workbench

Answers = Sequence[tuple[Request, Answer]]  # in display order
CONTROLS = ("random", "edge_detector")  # a map that does not differ from these explains nothing


def key(request: Request) -> str:
    """The name of an answer's array and of its picture: method and class index."""
    return f"{request.name}-{request.target}"


def arrays(answers: Answers) -> dict[str, NDArray[np.float32]]:
    """The raw maps (H, W) by key, without the answers that failed."""
    return {key(request): answer.maps[0].numpy() for request, answer in answers if isinstance(answer, Explanation)}


def agreement(bench: Workbench, picture: Picture, answers: Answers, seed: int = 0) -> list[dict[str, Any]]:
    """The agreement of the maps of each class with each other and with the controls, for JSON.

    None if a map is constant and so has no order.
    """
    tables_by_class = []
    for target in dict.fromkeys(request.target for request, one in answers if isinstance(one, Explanation)):
        row = {
            request.name: one for request, one in answers if request.target == target and isinstance(one, Explanation)
        }
        for name in CONTROLS:
            if name not in row:
                row[name] = bench.explain(picture, Request(name, target), seed=seed)
        stacked = np.stack([one.maps[0].numpy() for one in row.values()])
        tables = {"spearman": _plain(spearman(stacked)), "overlap": _plain(overlap(stacked))}
        tables_by_class.append({"target": _class(bench, target), "methods": list(row), **tables})
    return tables_by_class


def record(
    bench: Workbench, picture: Picture, answers: Answers, seed: int = 0, true: int | None = None
) -> dict[str, Any]:
    """How every map was made and its properties, for JSON; with the true class, whether the prediction is right."""
    maps = [_entry(bench, request, answer) for request, answer in answers if isinstance(answer, Explanation)]
    failed = [
        {"method": request.name, "target": _class(bench, request.target), "reason": str(answer)}
        for request, answer in answers
        if not isinstance(answer, Explanation)
    ]
    return {
        "image": picture.name,
        "image_sha256": picture.sha,
        "image_note": picture.note,
        "model": bench.model.name,
        "model_sha256": bench.model.sha,
        "model_options": bench.model.options.changed(),
        "output": bench.model.output,
        "threshold": bench.model.threshold,
        "preparation": vars(bench.model.preprocess),
        "notes": list(bench.model.notes),
        "layer": next((entry["layer"] for entry in maps if entry["layer"]), bench.model.survey.default),
        "device": str(bench.model.device),
        "seed": seed,
        "top5": [{**_class(bench, index), bench.model.quantity: chance} for index, _, chance in bench.top(picture)],
        "predicted": [_class(bench, index) for index in bench.model.asserted(bench.logits(picture))],
        "true": None if true is None else _class(bench, true),
        "right": None if true is None else bench.model.right(bench.logits(picture), true),
        "maps": maps,
        "failed": failed,
        "versions": {"python": platform.python_version(), **{n: version(n) for n in ("torch", "torchvision")}},
    }


def table(bench: Workbench, picture: Picture, answers: Answers, seed: int = 0, true: int | None = None) -> str:
    """The record's maps as CSV, one line each."""
    whole = record(bench, picture, answers, seed, true)
    judged = {"true_label": whole["true"]["label"] if whole["true"] else "", "right": whole["right"]}
    rows = [
        {
            "image": picture.name,
            "model": bench.model.name,
            "method": entry["method"],
            "target": entry["target"]["index"],
            "label": entry["target"]["label"],
            "score": entry["score"],
            bench.model.quantity: float(bench.probabilities(picture)[entry["target"]["index"]]),
            **{name: entry[name] for name in ("min", "max", "signed", "layer", "seed", "seconds", "finished")},
            **entry["passes"],
            "settings": json.dumps(entry["settings"], ensure_ascii=False),
            "note": entry["note"],
            **judged,
        }
        for entry in whole["maps"]
    ]
    stream = io.StringIO()
    lines = csv.DictWriter(stream, rows[0] if rows else ())
    lines.writeheader()
    lines.writerows({name: cell(value) for name, value in row.items()} for row in rows)
    return stream.getvalue()


def _plain(table: NDArray[np.float64]) -> list[list[float | None]]:
    return [[None if np.isnan(value) else round(value, 4) for value in row] for row in table.tolist()]


def _entry(bench: Workbench, request: Request, explanation: Explanation) -> dict[str, Any]:
    values = explanation.maps[0]
    return {
        "method": request.name,
        "array": key(request),
        "overlay": f"{key(request)}.png",
        "target": _class(bench, request.target),
        "score": float(explanation.scores[0]),
        "settings": dict(explanation.settings),
        "seed": explanation.seed,
        "layer": explanation.layer,
        "seconds": round(explanation.seconds, 4),
        "passes": {"forward": explanation.forwards, "backward": explanation.backwards},
        "signed": explanation.signed,
        "min": float(values.min()),
        "max": float(values.max()),
        "note": explanation.note(),
        "finished": explanation.finished,
        "remarks": dict(explanation.remarks),
    }


def _class(bench: Workbench, index: int) -> dict[str, Any]:
    return {"index": index, "label": bench.model.labels[index]}
