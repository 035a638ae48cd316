"""Files of a comparison across images: one sheet and one set of arrays for all of them."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from core.explain import EXPLAINERS, Explanation
from core.export.files import drawn, tile
from core.export.record import Answers, arrays
from core.figures.sheet import Kind, Panel, sheet
from core.figures.style import DEFAULT, Span, Style, spans
from core.images import Picture
from core.workbench import Request, Workbench

_COLUMNS = 6
_LONGEST = 80  # characters of a name
Results = Sequence[tuple[Picture, Answers]]  # in display order


def names(files: Iterable[str]) -> list[str]:
    """A name for each image after its file, usable as a folder's; a number is added where it occurs before."""
    used: set[str] = set()
    found = []
    for file in files:
        stem = PurePath(file.replace("/", "-")).stem[:_LONGEST]
        stem = stem if stem.strip(". ") else "image"  # ".." would lead out of a folder
        name = next(name for name in _numbered(stem) if name.casefold() not in used)  # some file systems ignore case
        used.add(name.casefold())
        found.append(name)
    return found


def _numbered(stem: str) -> Iterable[str]:
    return (f"{stem}-{number}" if number > 1 else stem for number in count(1))


def arrays_of_images(results: Results) -> dict[str, NDArray[np.float32]]:
    """The raw maps (H, W) by the name of the image, the method and the target."""
    named = zip(names(picture.name for picture, _ in results), results, strict=True)
    return {f"{name}-{key}": values for name, (_, answers) in named for key, values in arrays(answers).items()}


def figure_of_images(
    bench: Workbench,
    results: Results,
    style: Style = DEFAULT,
    kind: Kind = "png",
    true: Mapping[str, int] | None = None,
) -> bytes:
    """The maps of all images as a PNG, PDF or SVG file: six in a row, each over its image and with its class.

    `true` has the true classes that are known, by the hash of the picture: the predictions are marked right or wrong.
    """
    ranges, panels = _ranges(results, style), []
    for picture, answers in results:
        view = bench.view(picture)
        for request, answer in answers:
            label = f"{request.target.title(bench.model.labels)}, {bench.spelled(picture, request.target)}"
            lines = (label, *_judged(bench, picture, (true or {}).get(picture.sha)))
            if isinstance(answer, Explanation):
                values, span = answer.maps[0].numpy(), ranges[picture.key, request.key]
                panels.append(Panel(picture.name, lines, values, span, answer.note(), view))
            else:
                panels.append(Panel(picture.name, lines, note=str(answer), view=view))
    rows = [panels[start : start + _COLUMNS] for start in range(0, len(panels), _COLUMNS)]
    methods = dict.fromkeys(EXPLAINERS[request.name].title for _, answers in results for request, _ in answers)
    title = f"{', '.join(methods)} · {bench.model.display} · {len(results)} image{'s' * (len(results) != 1)}"
    return sheet(bench.view(results[0][0]), title, rows, style, kind=kind)


def _judged(bench: Workbench, picture: Picture, true: int | None) -> tuple[str, ...]:
    """Lines about the prediction of an image whose true class is known."""
    if true is None or (right := bench.model.right(bench.logits(picture), true)) is None:
        return ()
    return ("Prediction right",) if right else ("Prediction wrong", f"True class: {bench.model.labels[true]}")


def tile_of_images(
    bench: Workbench, results: Results, picture: Picture, request: Request, style: Style = DEFAULT
) -> bytes:
    """One of the maps, enlarged, as a PNG file, with the same colours as in the figure of all images."""
    answers = next(answers for one, answers in results if one.key == picture.key)
    return tile(bench, picture, answers, request, style, colours=_ranges(results, style)[picture.key, request.key])


def _ranges(results: Results, style: Style) -> dict[tuple[str, str], Span]:
    """The range of the colour map for each map, by the hash of its image and the key of its request.

    A range shared per method is shared by all images, one shared per row by the maps of an image.
    """
    maps = {
        (picture.key, request.key): (request.name, drawn(answer))
        for picture, answers in results
        for request, answer in answers
        if isinstance(answer, Explanation)
    }
    # A cell of `spans` is a row and a column: the maps of an image share the row, those of a method the column.
    if style.range == "method":
        return {
            cell[0]: one for cell, one in spans({(key, name): one for key, (name, one) in maps.items()}, style).items()
        }
    return spans({key: one for key, (_, one) in maps.items()}, style)
