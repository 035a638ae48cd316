"""Records of a comparison, ready for JSON or CSV: how every map was made, and how much the maps agree."""

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
from core.images import Picture
from core.measure.agreement import overlap, spearman
from core.workbench import Answer, Request, Workbench

Answers = Sequence[tuple[Request, Answer]]  # in the order in which they are shown
CONTROLS = ("random", "edge_detector")  # whatever does not differ from these explains nothing


def key(request: Request) -> str:
    """The name of an answer's array and of its picture: method and class index."""
    return f"{request.name}-{request.target}"


def arrays(answers: Answers) -> dict[str, NDArray[np.float32]]:
    """The raw maps (H, W) by key, without the answers that failed."""
    return {key(request): found.maps[0].numpy() for request, found in answers if isinstance(found, Explanation)}


def agreement(bench: Workbench, picture: Picture, answers: Answers, seed: int = 0) -> list[dict[str, Any]]:
    """How far the maps of each class agree with each other and with the controls, ready for JSON.

    None stands where a map has no order: it has the same value everywhere.
    """
    found = []
    for target in dict.fromkeys(request.target for request, one in answers if isinstance(one, Explanation)):
        row = {
            request.name: one for request, one in answers if request.target == target and isinstance(one, Explanation)
        }
        for name in CONTROLS:
            if name not in row:
                row[name] = bench.explain(picture, Request(name, target), seed=seed)
        stacked = np.stack([one.maps[0].numpy() for one in row.values()])
        tables = {"spearman": _plain(spearman(stacked)), "overlap": _plain(overlap(stacked))}
        found.append({"target": _class(bench, target), "methods": list(row), **tables})
    return found


def record(bench: Workbench, picture: Picture, answers: Answers, seed: int = 0) -> dict[str, Any]:
    """How every map was made and what it shows, ready for JSON."""
    made = [_entry(bench, request, found) for request, found in answers if isinstance(found, Explanation)]
    failed = [
        {"method": request.name, "target": _class(bench, request.target), "reason": str(found)}
        for request, found in answers
        if not isinstance(found, Explanation)
    ]
    return {
        "image": picture.name,
        "image_sha256": picture.sha,
        "image_note": picture.note,
        "model": bench.model.name,
        "model_sha256": bench.model.sha,
        "layer": next((entry["layer"] for entry in made if entry["layer"]), bench.model.survey.default),
        "device": str(bench.model.device),
        "seed": seed,
        "top5": [{**_class(bench, index), "probability": chance} for index, _, chance in bench.top(picture)],
        "maps": made,
        "failed": failed,
        "versions": {"python": platform.python_version(), **{n: version(n) for n in ("torch", "torchvision")}},
    }


def table(bench: Workbench, picture: Picture, answers: Answers, seed: int = 0) -> str:
    """The record's maps as CSV, a line for each."""
    rows = [
        {
            "image": picture.name,
            "model": bench.model.name,
            "method": entry["method"],
            "target": entry["target"]["index"],
            "label": entry["target"]["label"],
            "score": entry["score"],
            "probability": float(bench.probabilities(picture)[entry["target"]["index"]]),
            **{name: entry[name] for name in ("min", "max", "signed", "layer", "seed", "seconds", "finished")},
            **entry["passes"],
            "settings": json.dumps(entry["settings"], ensure_ascii=False),
            "note": entry["note"],
        }
        for entry in record(bench, picture, answers, seed)["maps"]
    ]
    stream = io.StringIO()
    lines = csv.DictWriter(stream, rows[0] if rows else ())
    lines.writeheader()
    lines.writerows(rows)
    return stream.getvalue()


def _plain(table: NDArray[np.float64]) -> list[list[float | None]]:
    return [[None if np.isnan(value) else round(value, 4) for value in row] for row in table.tolist()]


def _entry(bench: Workbench, request: Request, found: Explanation) -> dict[str, Any]:
    values = found.maps[0]
    return {
        "method": request.name,
        "array": key(request),
        "overlay": f"{key(request)}.png",
        "target": _class(bench, request.target),
        "score": float(found.scores[0]),
        "settings": dict(found.settings),
        "seed": found.seed,
        "layer": found.layer,
        "seconds": round(found.seconds, 4),
        "passes": {"forward": found.forwards, "backward": found.backwards},
        "signed": found.signed,
        "min": float(values.min()),
        "max": float(values.max()),
        "note": found.note(),
        "finished": found.finished,
        "remarks": dict(found.remarks),
    }


def _class(bench: Workbench, index: int) -> dict[str, Any]:
    return {"index": index, "label": bench.model.labels[index]}
