"""What leaves Vitrine: raw maps, their pictures, how they were made, and the command that makes them again."""

import csv
import io
import json
import platform
import re
import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import Unavailable
from core.explain import EXPLAINERS, Explanation
from core.figures.encoding import PHOTO, fine
from core.figures.sheet import Panel, overlay, png, sheet
from core.figures.style import DEFAULT, DrawnMap, Span, Style, span, spans
from core.images import Picture
from core.measure.agreement import overlap, spearman
from core.params import spelled
from core.workbench import Answer, Request, Workbench

Answers = Sequence[tuple[Request, Answer]]  # in the order in which they are shown
CONTROLS = ("random", "edge_detector")  # whatever does not differ from these explains nothing


def key(request: Request) -> str:
    """The name of an answer's array and of its picture: method and class index."""
    return f"{request.name}-{request.target}"


def arrays(answers: Answers) -> dict[str, NDArray[np.float32]]:
    """The raw maps (H, W) by key, without the answers that failed."""
    return {key(request): found.maps[0].numpy() for request, found in answers if isinstance(found, Explanation)}


def npz(answers: Answers) -> bytes:
    """The raw maps as the file that `numpy.load` reads."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays(answers))  # type: ignore[arg-type]  # the stub takes the names for options
    return stream.getvalue()


def npy(found: Explanation) -> bytes:
    """One raw map (H, W) as the file that `numpy.load` reads."""
    stream = io.BytesIO()
    np.save(stream, found.maps[0].numpy())
    return stream.getvalue()


def overlays(bench: Workbench, picture: Picture, answers: Answers) -> dict[str, bytes]:
    """Each map over what the model sees of the picture, as a PNG file, by key."""
    view = bench.view(picture)
    maps = {key(request): _drawn(found) for request, found in answers if isinstance(found, Explanation)}
    return {name: png(overlay(view, one.values, span(one))) for name, one in maps.items()}


def figure(bench: Workbench, picture: Picture, answers: Answers, style: Style = DEFAULT) -> bytes:
    """All maps side by side as a PNG file: a row for each class, a column for each method."""
    ranges = _spans(answers, style)
    rows = []
    for target in dict.fromkeys(request.target for request, _ in answers):
        row = [(request, found) for request, found in answers if request.target == target]
        panels = [_panel(bench, request, found, ranges.get((target, request.name))) for request, found in row]
        chance = f"{float(bench.probabilities(picture)[target]):.1%}"
        rows.append([Panel(bench.model.labels[target], (f"probability {chance}",)), *panels])
    return png(sheet(bench.view(picture), _title(bench, picture), rows, style))


def tile(bench: Workbench, picture: Picture, answers: Answers, request: Request, style: Style = DEFAULT) -> bytes:
    """One of the maps at large as a PNG file, in the colours it has beside the others."""
    found = next(answer for one, answer in answers if one.key == request.key)
    panel = _panel(bench, request, found, _spans(answers, style).get((request.target, request.name)))
    view = fine(bench.model.preprocess, picture.pixels)
    return png(sheet(view, _title(bench, picture), [[panel]], style, side=PHOTO))


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


def command(
    model: str, image: str, requests: Sequence[Request], *, seed: int = 0, layer: str = "", out: str = "out"
) -> str:
    """The command line that makes these maps again."""
    settings: Mapping[str, Any] = {
        f"{request.name}.{n}": value for request in requests for n, value in request.settings.items()
    }
    words = ["vitrine", "explain", f"./{image}" if image.startswith("-") else image, "--model", model]
    words += ["--method", ",".join(dict.fromkeys(request.name for request in requests))]
    for target in dict.fromkeys(request.target for request in requests):
        words += ["--target", str(target)]
    for name, value in settings.items():
        words += ["--set", f"{name}={spelled(value)}"]
    if any(request.settle for request in requests):
        words.append("--settle")
    if layer:
        words += ["--layer", layer]
    return shlex.join([*words, "--seed", str(seed), "--out", out])


def write(folder: Path, bench: Workbench, picture: Picture, answers: Answers, seed: int = 0) -> dict[str, Any]:
    """One picture's folder: maps.npz, a PNG per map, figure.png and result.json, whose content is returned.

    Pictures of maps that an earlier result there tells of go, so that all in it belongs together; other files stay.
    Raises Unavailable where the folder cannot be written.
    """
    found = record(bench, picture, answers, seed)
    found["agreement"] = agreement(bench, picture, answers, seed)
    files = {f"{name}.png": content for name, content in overlays(bench, picture, answers).items()}
    files["maps.npz"] = npz(answers)
    files["figure.png"] = figure(bench, picture, answers)
    files["result.json"] = (json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in _earlier(folder) - files.keys():
            (folder / name).unlink(missing_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise unwritable(folder, error) from None
    return found


def _earlier(folder: Path) -> set[str]:
    """The names of the maps' pictures that an earlier result in this folder tells of."""
    try:
        entries = json.loads((folder / "result.json").read_text("utf-8"))["maps"]
        names = {str(entry.get("overlay")) for entry in entries}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return set()
    return {name for name in names if name.partition("-")[0] in EXPLAINERS and re.fullmatch(r"\w+-\d+\.png", name)}


def unwritable(path: Path, error: OSError) -> Unavailable:
    """The error for a file or folder that the system does not let us write."""
    return Unavailable(f"{path} cannot be written: {error.strerror or error}.", "Choose another place with --out.")


def _spans(answers: Answers, style: Style) -> dict[tuple[int, str], Span]:
    """What the colours of each map span, by class and method."""
    maps = {
        (request.target, request.name): _drawn(found) for request, found in answers if isinstance(found, Explanation)
    }
    return spans(maps, style)


def _drawn(found: Explanation) -> DrawnMap:
    return DrawnMap(found.maps[0].numpy(), found.signed, found.offset)


def _title(bench: Workbench, picture: Picture) -> str:
    return f"{picture.name} · {bench.model.name}"


def _panel(bench: Workbench, request: Request, found: Answer, colours: Span | None) -> Panel:
    title, label = EXPLAINERS[request.name].title, bench.model.labels[request.target]
    if not isinstance(found, Explanation):
        return Panel(title, (label,), note=str(found))
    at = f"layer {found.layer}" if found.layer else "pixels"
    if not found.finished:
        at += f" · unfinished, {found.forwards:,} passes"
    return Panel(title, (label, at), found.maps[0].numpy(), colours, found.note())


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
