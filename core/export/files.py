"""Files of a comparison: raw maps, pictures, figures, and one folder with all of them."""

import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.edits.apply import edits_of
from core.edits.what_if import Change
from core.environment import limit
from core.errors import Unavailable
from core.explain import EXPLAINERS, Explanation
from core.explain.target_name import TargetName
from core.export.record import Answers, agreement, arrays, key, record
from core.figures.encoding import PHOTO, fine
from core.figures.sheet import KINDS, Kind, Panel, overlay, png, sheet
from core.figures.style import DEFAULT, DrawnMap, Span, Style, span, spans
from core.files import atomic_write, read_json
from core.images import Picture
from core.workbench import Answer, Request, Workbench


def npz(maps: Mapping[str, NDArray[Any]]) -> bytes:
    """Raw maps by name as the file that `numpy.load` reads."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **maps)  # type: ignore[arg-type]  # the stub mistakes the names for options
    return stream.getvalue()


def npy(explanation: Explanation) -> bytes:
    """One raw map (H, W) as the file that `numpy.load` reads."""
    stream = io.BytesIO()
    np.save(stream, explanation.maps[0].numpy())
    return stream.getvalue()


def overlays(bench: Workbench, picture: Picture, answers: Answers) -> dict[str, bytes]:
    """Each map over the model's view of the picture, as a PNG file, by key."""
    view = bench.view(picture)
    maps = {key(request): drawn(answer) for request, answer in answers if isinstance(answer, Explanation)}
    return {name: png(overlay(view, one.values, span(one))) for name, one in maps.items()}


def figure(bench: Workbench, picture: Picture, answers: Answers, style: Style = DEFAULT, kind: Kind = "png") -> bytes:
    """All maps side by side as a PNG, PDF or SVG file: a row for each target, a column for each method and layer."""
    ranges = spans_of(answers, style)
    rows = []
    for target in dict.fromkeys(request.target for request, _ in answers):
        row = [(request, answer) for request, answer in answers if request.target == target]
        panels = [_panel(request, answer, ranges.get(cell(request))) for request, answer in row]
        value = f"{target.quantity(bench.model.output)} {bench.spelled(picture, target)}"
        lines = [f"{target.kind} {target}", value]
        lines = [", ".join(lines)] if target.kind == "class" else lines  # of others the text may be long
        rows.append([Panel(target.title(bench.model.labels), tuple(lines)), *panels])
    return sheet(bench.view(picture), _title(bench, picture), rows, style, kind=kind)


def tile(
    bench: Workbench, picture: Picture, answers: Answers, request: Request, style: Style = DEFAULT, *,
    colours: Span | None = None,
) -> bytes:  # fmt: skip
    """One of the maps, enlarged, as a PNG file; with the same colours as in the figure of all maps by default."""
    answer = next(candidate for one, candidate in answers if one.key == request.key)
    panel = _panel(request, answer, colours or spans_of(answers, style).get(cell(request)))
    panel = replace(panel, lines=(request.target.title(bench.model.labels), *panel.lines))
    view = fine(bench.model.preprocess, picture.pixels)
    return sheet(view, _title(bench, picture), [[panel]], style, side=PHOTO)


def write(
    folder: Path,
    bench: Workbench,
    picture: Picture,
    answers: Answers,
    seed: int = 0,
    *,
    kind: Kind = "png",
    true: int | None = None,
    changes: Sequence[Change] = (),
) -> dict[str, Any]:
    """Write one picture's folder: maps.npz, a PNG per map, a figure and result.json, whose content is returned.

    Pictures listed in an earlier result there are deleted, so that all files belong together; other files stay.
    Raises Unavailable if the folder cannot be written, or if it or a file to write in it is a link.
    """
    result = record(bench, picture, answers, seed, true, changes=changes)
    result["figure"] = f"figure.{kind}"
    result["agreement"] = agreement(bench, picture, answers, seed)
    files = {f"{name}.png": content for name, content in overlays(bench, picture, answers).items()}
    files["maps.npz"] = npz(arrays(answers))
    files[result["figure"]] = figure(bench, picture, answers, kind=kind)
    files["result.json"] = (json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    write_files(folder, files, _earlier(folder))
    return result


def write_files(folder: Path, files: Mapping[str, bytes], earlier: Set[str] = frozenset()) -> None:
    """Write files by name into a folder, and delete those of an earlier result that are not among them.

    Raises Unavailable if the folder cannot be written, or if it or a file to write in it is a link.
    """
    _refuse_links(folder, files)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in earlier - files.keys():
            (folder / name).unlink(missing_ok=True)
        for name, content in files.items():
            with atomic_write(folder / name) as file:
                file.write(content)
    except OSError as error:
        raise unwritable(folder, error) from None


def _refuse_links(folder: Path, names: Iterable[str]) -> None:
    """Raise Unavailable if the folder, or a file to write in it, is a link: what it leads to is not ours to change."""
    for path in (folder, *(folder / name for name in names)):
        if path.is_symlink():
            raise Unavailable(f"{path} is a link.", "Remove it, or choose another folder.")


def _earlier(folder: Path) -> set[str]:
    """The names of the pictures listed in an earlier result in this folder."""
    try:
        earlier = read_json(folder / "result.json", limit("text"))
        overlays = {str(entry.get("overlay")) for entry in earlier["maps"]}
        drawn = str(earlier.get("figure", "figure.png"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return set()
    maps = {
        name
        for name in overlays
        if name.partition("-")[0] in EXPLAINERS and re.fullmatch(r"\w+-[\w.+~%@-]+\.png", name)
    }
    return maps | ({drawn} & {f"figure.{kind}" for kind in KINDS})


def unwritable(path: Path, error: OSError) -> Unavailable:
    """The error for a file or folder that cannot be written."""
    return Unavailable(f"{path} cannot be written: {error.strerror or error}.", "Choose another folder.")


def spans_of(answers: Answers, style: Style) -> dict[tuple[TargetName, str], Span]:
    """The range of the colour map for each map, by its row and column in the figure."""
    maps = {cell(request): drawn(answer) for request, answer in answers if isinstance(answer, Explanation)}
    return spans(maps, style)


def cell(request: Request) -> tuple[TargetName, str]:
    """The row of a map in the figure, its target, and the column: the method and its layer."""
    return request.target, f"{request.name}@{request.layer}"


def drawn(explanation: Explanation) -> DrawnMap:
    """A result as a map with the facts that its colours depend on."""
    return DrawnMap(explanation.maps[0].numpy(), explanation.signed, explanation.offset)


def _title(bench: Workbench, picture: Picture) -> str:
    edited = " · edited" if edits_of(picture) or bench.model.edits else ""
    return f"{picture.name} · {bench.model.display}{edited}"


def _panel(request: Request, answer: Answer, colours: Span | None) -> Panel:
    title = EXPLAINERS[request.name].title
    if not isinstance(answer, Explanation):
        return Panel(title, note=str(answer))
    lines = [f"layer {answer.layer}" if answer.layer else "pixels"]
    if not answer.finished:
        lines.append(f"unfinished, {answer.cost()}")
    return Panel(title, tuple(lines), answer.maps[0].numpy(), colours, answer.note())
