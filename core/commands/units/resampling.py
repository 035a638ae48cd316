"""`vitrine units resample`: the filters that matter in a neighbourhood of an image, as files."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from core.commands import path_argument
from core.commands.interruption import Interruption
from core.commands.requests import names, pairs
from core.commands.units.images import STOPPED, opened, request, write
from core.errors import BadParameter, Cancelled
from core.params import Knob, checked, params_of, whole
from core.progress import printed, subrange
from core.registry import unknown

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from core.figures.sheet import Kind
    from core.images import Pixels
    from core.units.resampling import Patch, Resampled

_IN_A_ROW = 6  # patches of a layer in the sheet
_SIDE = 128  # pixels of a patch there
_PAPER = 255
_KINDS: tuple["Kind", ...] = ("png", "svg")
_BOX = ("top", "left", "height", "width")


@dataclass(frozen=True)
class Selection:
    """Which filters of a layer are selected."""

    threshold: Annotated[
        float, Knob("Least mean activation of a selected filter; negative: that of the metric.", -1, 1e9)
    ] = -1.0
    relative: Annotated[float, Knob("The same, as a share of the layer's largest mean activation.", 0, 1)] = 0.0


def resample(parser: ArgumentParser) -> None:
    """Declare `vitrine units resample`."""
    request(parser)
    parser.add_argument("--image", required=True, type=path_argument, metavar="FILE", help="image that is varied")
    parser.add_argument(
        "--target", default="predicted", metavar="TARGET",
        help="output that is compared with the filters: predicted (default), a class (index or label), a difference "
        "A-B, a group A+B or a unit LAYER:NUMBER",
    )  # fmt: skip
    parser.add_argument(
        "--layers", default="", metavar="NAMES", help="convolutions, separated by commas (default: all)"
    )
    parser.add_argument(
        "--metric", default="corr", help="metric that selects filters (default: %(default)s); README.md lists them"
    )
    parser.add_argument(
        "--top", default="5", metavar="COUNT", help="filters selected in each layer (default: %(default)s)"
    )
    parser.set_defaults(run=_resample)


def _resample(args: Namespace) -> int:
    from core.environment import seed
    from core.export.files import npz
    from core.export.spreadsheet import as_csv
    from core.images import picture_file
    from core.units import resampling
    from core.workbench import Workbench

    seed(args.seed)
    scoring, selection, drawing = _settings(args.set)
    if args.metric not in resampling.METRICS:
        raise unknown("metric", args.metric, resampling.METRICS)
    top = whole(args.top)
    if not top:
        raise BadParameter(f"--top cannot be {args.top!r}.", "Give a number of filters, at least 1.")
    picture = picture_file(args.image)
    bench = Workbench(opened(args))
    target = bench.target(picture, args.target)
    with Interruption(printed(sys.stderr)) as interruption:
        query = bench.query(picture, target, seed=args.seed, report=subrange(interruption.report, 0, 0.7))
        try:
            found = resampling.resample(query, names(args.layers), **scoring)
        except Cancelled:
            return STOPPED
        threshold = None if selection["threshold"] < 0 else selection["threshold"]
        chosen = found.selected(
            args.metric, top=top, threshold=threshold, relative=selection["relative"], seed=args.seed
        )
        query = query.with_report(subrange(interruption.report, 0.7, 1))
        patches: tuple[Patch, ...] = ()
        finished = False
        with suppress(Cancelled):
            filters = {layer: numbers.tolist() for layer, numbers in chosen.items()}
            patches = resampling.patches(query, filters, **drawing)
            finished = True
    files = {
        "scores.csv": as_csv(_scores(found)).encode(),
        "selected.csv": as_csv(_selected(found, args.metric, chosen, patches)).encode(),
        "result.npz": npz(_arrays(found)),
    }
    if patches:
        title = f"{picture.name} · {bench.model.display} · {resampling.METRICS[args.metric].title}"
        view = bench.view(picture)
        for kind in _KINDS:
            files[f"boxes.{kind}"] = resampling.picture(found, view, patches, title=title, kind=kind)
            files[f"patches.{kind}"] = _sheet(view, patches, title, kind)
    facts = {
        "image": str(args.image),
        "target": str(target),
        "score": found.score,
        "metric": args.metric,
        "reading": resampling.METRICS[args.metric].reading,
        "top": top,
        "settings": {**scoring, **selection, **drawing},
        "seed": args.seed,
        "selected": {layer: filters.tolist() for layer, filters in chosen.items()},
        "finished": finished,
        "passes": str(query.log.passes),
    }
    write(args, bench.model, files, facts, *_notes(found, args.metric, chosen, patches))
    return 0 if finished else STOPPED


def _settings(texts: Sequence[str]) -> list[dict[str, Any]]:
    """The settings of resampling, of the selection and of the patches, checked before any work."""
    from core.units import resampling

    sources = (resampling.resample, Selection, resampling.patches)
    params = [params_of(source) for source in sources]
    values = checked([param for some in params for param in some], pairs(texts), "resample")
    return [{param.name: values[param.name] for param in some} for some in params]


def _scores(found: "Resampled") -> "pd.DataFrame":
    """Every filter with its scores by all metrics, empty where a metric is undefined for its layer."""
    import numpy as np
    import pandas as pd

    tables = []
    for layer in found.layers:
        count = layer.shape[0]
        scores = {metric: by_layer.get(layer.name, np.full(count, np.nan)) for metric, by_layer in found.scores.items()}
        columns = {"layer": layer.name, "filter": range(count), "group": layer.group, "mean": found.means[layer.name]}
        tables.append(pd.DataFrame({**columns, **scores}))
    return pd.concat(tables, ignore_index=True)


def _selected(
    found: "Resampled", metric: str, chosen: "Mapping[str, NDArray[np.int64]]", patches: "Sequence[Patch]"
) -> "pd.DataFrame":
    """The selected filters, the best of each layer first, with their patches; empty for one that is not projected."""
    import pandas as pd

    from core.units.resampling.picture import drawn

    projected = {(patch.layer, patch.filter): patch for patch in patches}
    numbers = [(patch.layer, patch.filter) for patch in drawn(patches) if patch.box]
    rows = []
    for layer, filters in chosen.items():
        for rank, number in enumerate(filters.tolist()):
            row = {"layer": layer, "rank": rank, "filter": number, "metric": metric}
            row |= {"score": found.scores[metric][layer][number], "mean": found.means[layer][number]}
            if patch := projected.get((layer, number)):
                row |= {"activation": patch.activation, "row": patch.position[0], "column": patch.position[1]}
            if patch and patch.box:
                row |= dict(zip(_BOX, patch.box, strict=True))
            if (layer, number) in numbers:
                row["number"] = numbers.index((layer, number)) + 1  # in the picture
            rows.append(row)
    columns = ["layer", "rank", "filter", "metric", "score", "mean", "activation", "row", "column", *_BOX, "number"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[7:], "Int64"))


def _arrays(found: "Resampled") -> "dict[str, NDArray[Any]]":
    """Outputs, mean activations and scores by layer."""
    arrays = {f"mean-{layer}": values for layer, values in found.means.items()}
    for metric, by_layer in found.scores.items():
        arrays |= {f"{metric}-{layer}": values for layer, values in by_layer.items()}
    return {"outputs": found.outputs, **arrays}


def _sheet(view: "Pixels", patches: "Sequence[Patch]", title: str, kind: "Kind") -> bytes:
    """The patches themselves, a row or more for each layer."""
    from core.figures.sheet import Panel, sheet

    rows = []
    for layer in dict.fromkeys(patch.layer for patch in patches):
        panels = [
            Panel(patch.name, (f"activation {patch.activation:.3g}",), view=_square(view, patch))
            if patch.box
            else Panel(patch.name, note="Not active in this image.", view=_square(view, patch))
            for patch in patches
            if patch.layer == layer
        ]
        rows += [panels[start : start + _IN_A_ROW] for start in range(0, len(panels), _IN_A_ROW)]
    return sheet(_square(view, None), title, rows, side=_SIDE, kind=kind)


def _square(view: "Pixels", patch: "Patch | None") -> "Pixels":
    """A patch in the middle of a white square, so that it keeps its proportions; white for none."""
    import numpy as np

    top, left, height, width = (patch.box if patch else None) or (0, 0, 0, 0)
    side = max(height, width, 1)
    square = np.full((side, side, 3), _PAPER, np.uint8)
    row, column = (side - height) // 2, (side - width) // 2
    square[row : row + height, column : column + width] = view[top : top + height, left : left + width]
    return square


def _notes(
    found: "Resampled", metric: str, chosen: "Mapping[str, NDArray[np.int64]]", patches: "Sequence[Patch]"
) -> list[str]:
    """What is to be said about layers without a score, without a selected filter and without patches."""
    names = [layer.name for layer in found.layers]
    notes = []
    if lacking := [name for name in names if name not in chosen]:
        notes.append(f"{metric} is not defined for {_listed(lacking)}: other operations lie behind them.")
    if empty := [name for name in chosen if not len(chosen[name])]:
        notes.append(f"No filter of {_listed(empty)} reaches the threshold of {metric}.")
    if silent := [patch.name for patch in patches if not patch.box]:
        notes.append(f"No patch, as they are not active in this image: {_listed(silent)}.")
    return notes


def _listed(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
