"""Files of a comparison: raw maps, pictures, figures, and one folder with all of them."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import Unavailable
from core.explain import EXPLAINERS, Explanation
from core.export.record import Answers, agreement, arrays, key, record
from core.figures.encoding import PHOTO, fine
from core.figures.sheet import KINDS, Kind, Panel, overlay, png, sheet
from core.figures.style import DEFAULT, DrawnMap, Span, Style, span, spans
from core.files import atomic_write
from core.images import Picture
from core.workbench import Answer, Request, Workbench


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


def figure(bench: Workbench, picture: Picture, answers: Answers, style: Style = DEFAULT, kind: Kind = "png") -> bytes:
    """All maps side by side as a PNG, PDF or SVG file: a row for each class, a column for each method."""
    ranges = _spans(answers, style)
    rows = []
    for target in dict.fromkeys(request.target for request, _ in answers):
        row = [(request, found) for request, found in answers if request.target == target]
        panels = [_panel(request, found, ranges.get((target, request.name))) for request, found in row]
        chance = f"{float(bench.probabilities(picture)[target]):.1%}"
        rows.append([Panel(bench.model.labels[target], (f"class {target}, probability {chance}",)), *panels])
    return sheet(bench.view(picture), _title(bench, picture), rows, style, kind=kind)


def tile(bench: Workbench, picture: Picture, answers: Answers, request: Request, style: Style = DEFAULT) -> bytes:
    """One of the maps at large as a PNG file, in the colours it has beside the others."""
    found = next(answer for one, answer in answers if one.key == request.key)
    panel = _panel(request, found, _spans(answers, style).get((request.target, request.name)))
    panel = replace(panel, lines=(bench.model.labels[request.target], *panel.lines))
    view = fine(bench.model.preprocess, picture.pixels)
    return sheet(view, _title(bench, picture), [[panel]], style, side=PHOTO)


def write(
    folder: Path, bench: Workbench, picture: Picture, answers: Answers, seed: int = 0, *, kind: Kind = "png"
) -> dict[str, Any]:
    """One picture's folder: maps.npz, a PNG per map, a figure and result.json, whose content is returned.

    Pictures that an earlier result there tells of go, so that all in it belongs together; other files stay.
    Raises Unavailable where the folder cannot be written.
    """
    found = record(bench, picture, answers, seed)
    found["figure"] = f"figure.{kind}"
    found["agreement"] = agreement(bench, picture, answers, seed)
    files = {f"{name}.png": content for name, content in overlays(bench, picture, answers).items()}
    files["maps.npz"] = npz(answers)
    files[found["figure"]] = figure(bench, picture, answers, kind=kind)
    files["result.json"] = (json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in _earlier(folder) - files.keys():
            (folder / name).unlink(missing_ok=True)
        for name, content in files.items():
            with atomic_write(folder / name) as file:
                file.write(content)
    except OSError as error:
        raise unwritable(folder, error) from None
    return found


def _earlier(folder: Path) -> set[str]:
    """The names of the pictures that an earlier result in this folder tells of."""
    try:
        earlier = json.loads((folder / "result.json").read_text("utf-8"))
        overlays = {str(entry.get("overlay")) for entry in earlier["maps"]}
        drawn = str(earlier.get("figure", "figure.png"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return set()
    maps = {name for name in overlays if name.partition("-")[0] in EXPLAINERS and re.fullmatch(r"\w+-\d+\.png", name)}
    return maps | ({drawn} & {f"figure.{kind}" for kind in KINDS})


def unwritable(path: Path, error: OSError) -> Unavailable:
    """The error for a file or folder that the system does not let us write."""
    return Unavailable(f"{path} cannot be written: {error.strerror or error}.", "Choose another folder.")


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


def _panel(request: Request, found: Answer, colours: Span | None) -> Panel:
    title = EXPLAINERS[request.name].title
    if not isinstance(found, Explanation):
        return Panel(title, note=str(found))
    lines = [f"layer {found.layer}" if found.layer else "pixels"]
    if not found.finished:
        lines.append(f"unfinished, {found.forwards:,} passes")
    return Panel(title, tuple(lines), found.maps[0].numpy(), colours, found.note())
