"""Records of a comparison for JSON or CSV: how every map was made, and how much the maps agree."""

import csv
import io
import json
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from core.edits.apply import edits_of, original_of
from core.edits.what_if import Change
from core.explain import Explanation
from core.explain.target_name import TargetName
from core.export.spreadsheet import cell
from core.images import Picture
from core.measure.agreement import overlap, spearman
from core.workbench import Answer, Request, Workbench

Answers = Sequence[tuple[Request, Answer]]  # in display order
Measured = Mapping[tuple[str, str], Mapping[str, float]]  # numbers of maps by the keys of picture and request, by name
CONTROLS = ("random", "edge_detector")  # a map that does not differ from these explains nothing


def key(request: Request) -> str:
    """The name of an answer's array and of its picture: method, target (of a class its index), and layer if chosen."""
    layer = f"@{quote(request.layer, safe='')}" if request.layer else ""
    return f"{request.name}-{request.target.file}{layer}"


def arrays(answers: Answers) -> dict[str, NDArray[np.float32]]:
    """The raw maps (H, W) by key, without the answers that failed."""
    return {key(request): answer.maps[0].numpy() for request, answer in answers if isinstance(answer, Explanation)}


def agreement(bench: Workbench, picture: Picture, answers: Answers, seed: int = 0) -> list[dict[str, Any]]:
    """The agreement of the maps of each class with each other and with the controls, for JSON.

    None if a map is constant and so has no order.
    """
    tables_by_class = []
    for target in dict.fromkeys(request.target for request, one in answers if isinstance(one, Explanation)):
        found = [(request, one) for request, one in answers if isinstance(one, Explanation)]
        found = [(request, one) for request, one in found if request.target == target]
        counts = Counter(request.name for request, _ in found)
        row = {_column(request) if counts[request.name] > 1 else request.name: one for request, one in found}
        for name in CONTROLS:
            if name not in row:
                row[name] = bench.explain(picture, Request(name, target), seed=seed)
        stacked = np.stack([one.maps[0].numpy() for one in row.values()])
        tables = {"spearman": _plain(spearman(stacked)), "overlap": _plain(overlap(stacked))}
        tables_by_class.append({"target": _target(bench, target), "methods": list(row), **tables})
    return tables_by_class


def _column(request: Request) -> str:
    """The method at its layer."""
    return f"{request.name}@{request.layer}"


def record(
    bench: Workbench,
    picture: Picture,
    answers: Answers,
    seed: int = 0,
    true: int | None = None,
    *,
    changes: Sequence[Change] = (),
) -> dict[str, Any]:
    """How every map was made and its properties, for JSON; with the true class, whether the prediction is right.

    `changes` are those of the prediction by the edits of picture and model, where they are known.
    """
    maps = [_entry(bench, request, answer) for request, answer in answers if isinstance(answer, Explanation)]
    failed = [
        {"method": request.name, "target": _target(bench, request.target), "reason": str(answer)}
        for request, answer in answers
        if not isinstance(answer, Explanation)
    ]
    return {
        "image": picture.name,
        "image_sha256": original_of(picture).sha,
        "image_note": picture.note,
        "image_page": picture.page,
        "image_pages": picture.pages,
        "image_window": None if picture.scale is None else list(picture.scale.window),
        "model": bench.model.name,
        "model_sha256": bench.model.sha,
        "model_options": bench.model.options.changed(),
        "output": bench.model.output,
        "threshold": bench.model.threshold,
        "preparation": vars(bench.model.preprocess),
        "notes": list(bench.model.notes),
        "edits": [*edits_of(picture), *bench.model.edits],
        "changes": [asdict(change) for change in changes],
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


def table(
    bench: Workbench,
    results: Iterable[tuple[Picture, Answers]],
    seed: int = 0,
    true: Mapping[str, int] | None = None,
    measured: Measured | None = None,
) -> str:
    """The maps in the records of all pictures as CSV, one line each.

    `true` has the true classes that are known, by the hash of the picture; `measured` the measures of maps that are
    known, which become the last columns, empty where a map has no number.
    """
    known, numbers = true or {}, measured or {}
    names = dict.fromkeys(name for one in numbers.values() for name in one)
    rows = []
    for picture, answers in results:
        found = {key(request): numbers.get((picture.key, request.key), {}) for request, _ in answers}
        for array, row in _rows(bench, picture, answers, seed, known.get(picture.sha)):
            rows.append(row | {name: found[array].get(name, "") for name in names})
    stream = io.StringIO()
    lines = csv.DictWriter(stream, rows[0] if rows else ())
    lines.writeheader()
    lines.writerows({name: cell(value) for name, value in row.items()} for row in rows)
    return stream.getvalue()


def _rows(
    bench: Workbench, picture: Picture, answers: Answers, seed: int, true: int | None
) -> list[tuple[str, dict[str, Any]]]:
    """The key of each map, and its line."""
    whole = record(bench, picture, answers, seed, true)
    quantity, targets = bench.model.quantity, {key(request): request.target for request, _ in answers}
    values = {
        name: bench.value(picture, target) if target.quantity(bench.model.output) == quantity else ""
        for name, target in targets.items()
    }
    judged = {"true_label": whole["true"]["label"] if whole["true"] else "", "right": whole["right"]}
    return [
        (
            entry["array"],
            {
                "image": picture.name,
                "model": bench.model.name,
                "method": entry["method"],
                "target": str(targets[entry["array"]]),
                "label": entry["target"]["label"],
                "score": entry["score"],
                quantity: values[entry["array"]],
                **{name: entry[name] for name in ("min", "max", "signed", "layer", "seed", "seconds", "finished")},
                **entry["passes"],
                "settings": json.dumps(entry["settings"], ensure_ascii=False),
                "note": entry["note"],
                **judged,
            },
        )
        for entry in whole["maps"]
    ]


def _plain(table: NDArray[np.float64]) -> list[list[float | None]]:
    return [[None if np.isnan(value) else round(value, 4) for value in row] for row in table.tolist()]


def _entry(bench: Workbench, request: Request, explanation: Explanation) -> dict[str, Any]:
    values = explanation.maps[0]
    return {
        "method": request.name,
        "array": key(request),
        "overlay": f"{key(request)}.png",
        "target": _target(bench, request.target),
        "score": float(explanation.scores[0]),
        "settings": dict(explanation.settings),
        "seed": explanation.seed,
        "layer": explanation.layer,
        "seconds": round(explanation.seconds, 4),
        "passes": {
            "forward": explanation.forwards,
            "backward": explanation.backwards,
            "reused": explanation.reused,
        },
        "signed": explanation.signed,
        "min": float(values.min()),
        "max": float(values.max()),
        "note": explanation.note(),
        "finished": explanation.finished,
        "remarks": dict(explanation.remarks),
    }


def _class(bench: Workbench, index: int) -> dict[str, Any]:
    return {"index": index, "label": bench.model.labels[index]}


def _target(bench: Workbench, target: TargetName) -> dict[str, Any]:
    """A class as any other; other targets without an index, but with the text that `--target` takes."""
    if target.index is not None:
        return _class(bench, target.index)
    return {"target": target.text(bench.model.labels), "label": target.title(bench.model.labels)}
