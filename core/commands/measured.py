"""The results of `vitrine measure` as a table, as JSON and as CSV."""

import csv
import io
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from core.comparison import Line, Plan, Row, Steps
from core.data.image_files import ImageFile
from core.export.spreadsheet import cell
from core.images import Picture
from core.measure import MEASURES, Undefined
from core.measure.intervals import LEVEL, Interval
from core.resources import version as own_version
from core.workbench import Workbench

_COLUMNS = ("image", "target", "explained", "method", "layer", "measure", "step", "x", "value", "reason")
_NAMED = 3  # measures of methods in a sentence
_ARROWS = {"higher": "↑", "lower": "↓"}


@dataclass(frozen=True)
class Taken:
    """A measured image, without its pixels."""

    name: str
    facts: dict[str, Any]  # of its file
    true: int | None
    rows: Sequence[Row]
    mask_notes: tuple[str, ...]  # what was assumed about its mask, as sentences
    unmasked: str  # why it has no mask, one sentence; "" if it has one, or none was asked for

    @classmethod
    def of(
        cls, picture: Picture, image: ImageFile, rows: Sequence[Row], notes: tuple[str, ...], unmasked: str
    ) -> "Taken":
        """The rows of a picture with the facts of its file."""
        window = None if picture.scale is None else list(picture.scale.window)
        facts = {
            "image_sha256": picture.sha,
            "image_page": picture.page,
            "image_window": window,
            "image_note": picture.note,
        }
        return cls(image.name, facts, image.true, rows, notes, unmasked)


def as_text(taken: Sequence[Taken], lines: Sequence[Line]) -> list[str]:
    """The lines of a table of methods by measures, and below it what is to be said about its numbers."""
    several, spread = len({line.target for line in lines}) > 1, len(taken) > 1
    texts = [*(["target"] if several else []), "measure", "method"]
    numbers = ["mean", f"{LEVEL:.0%} interval", "n", "rank"] if spread else ["value", "rank"]
    table = [[*texts, *numbers]]
    for line in lines:
        name = f"{line.measure} {_ARROWS[MEASURES[line.measure].better]}"
        rank = f"{line.rank or ''}{'*' * bool(line.warning)}"
        between = [_span(line.mean), str(_count(line))] if spread else []
        table.append([*([line.target] if several else []), name, _method(line), _mean(line), *between, rank])
    legend = "↑ higher is better, ↓ lower is better"
    return [*_aligned(table, len(texts)), legend, *_remarks(taken, lines)]


def _aligned(table: Sequence[Sequence[str]], texts: int) -> Iterator[str]:
    """The rows of a table as lines; its first columns are texts, the others numbers."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = [word.ljust(width) for word, width in zip(row[:texts], widths[:texts], strict=True)]
        cells += [word.rjust(width) for word, width in zip(row[texts:], widths[texts:], strict=True)]
        yield "  ".join(cells).rstrip()


def _remarks(taken: Sequence[Taken], lines: Sequence[Line]) -> Iterator[str]:
    """What is to be said about the numbers of a table, as sentences."""
    warnings = {line.method: line.warning for line in reversed(lines) if line.warning}
    yield from (f"* {warnings[name]}" for name in dict.fromkeys(line.method for line in lines) if name in warnings)
    without: dict[tuple[int, str], list[str]] = {}
    for line in lines:
        if line.undefined:
            without.setdefault((line.undefined, line.reason), []).append(f"{line.measure} of {_method(line)}")
    for (count, reason), names in without.items():
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        often = "most often: " if count > 1 else ""
        many = f"{count:,} of {len(taken):,} images"
        yield f"Undefined for {many}: {', '.join(names[:_NAMED])}{more}; {often}{reason}"
    if noted := [one for one in taken if one.mask_notes]:
        yield f"Assumed about masks, of {len(noted):,} of {len(taken):,} images: {' '.join(noted[0].mask_notes)}"


def _method(line: Line) -> str:
    return f"{line.method} at {line.layer}" if line.layer else line.method


def _mean(line: Line) -> str:
    if line.mean:
        return f"{line.mean.mean:.4g}"
    if not line.curve:
        return "–"
    values = line.curve[0].y
    return f"{sum(values) / len(values):.4g} over {len(values)} steps"


def _span(mean: Interval | None) -> str:
    return "" if mean is None or mean.low is None else f"{mean.low:.4g} – {mean.high:.4g}"


def _count(line: Line) -> int:
    return line.mean.n if line.mean else line.curve[1][0].n if line.curve else 0


def as_json(
    bench: Workbench, plan: Plan, taken: Sequence[Taken], lines: Sequence[Line], notes: Sequence[str]
) -> dict[str, Any]:
    """Everything about the results: how they were made, those of every image, and their summary."""
    model = bench.model
    return {
        "model": model.name,
        "model_sha256": model.sha,
        "model_options": model.options.changed(),
        "layers": list(plan.layers or [model.survey.default]),
        "device": str(model.device),
        "seed": plan.seed,
        "targets": list(plan.targets),
        "methods": plan.methods,
        "measures": {name: {**_facts(name), "settings": chosen} for name, chosen in plan.measures.items()},
        "notes": list(notes),
        "images": [_image(bench, one) for one in taken],
        "summary": [_line(line) for line in lines],
        "versions": {
            "vitrine": own_version(),
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "torchvision")},
        },
    }


def _facts(measure: str) -> dict[str, Any]:
    card = MEASURES[measure]
    return {name: getattr(card, name) for name in ("title", "family", "kind", "unit", "better", "low", "high")}


def _image(bench: Workbench, one: Taken) -> dict[str, Any]:
    labels = bench.model.labels
    true = None if one.true is None else {"index": one.true, "label": labels[one.true]}
    rows = [
        {
            "target": row.target,
            "explained": {"target": str(row.explained), "label": row.explained.title(labels)},
            "method": row.method,
            "layer": row.layer,
            "measure": row.measure,
            **_result(row.result),
        }
        for row in one.rows
    ]
    return {
        "image": one.name, **one.facts, "true": true, "mask_notes": list(one.mask_notes), "no_mask": one.unmasked,
        "results": rows,
    }  # fmt: skip


def _result(result: float | Steps | Undefined) -> dict[str, Any]:
    if isinstance(result, Undefined):
        return {"value": None, "reason": result.reason}
    return _curve(result) if isinstance(result, Steps) else {"value": result}


def _curve(steps: Steps) -> dict[str, Any]:
    return {
        "x_name": steps.x_name,
        "y_name": steps.y_name,
        "curve": [{"step": name, "x": x, "value": y} for name, x, y in _steps(steps)],
    }


def _steps(steps: Steps) -> Iterator[tuple[str, float, float]]:
    """The steps of a curve: name or number, x and value."""
    names = steps.names or map(str, range(len(steps.x)))
    return zip(names, steps.x, steps.y, strict=True)


def _line(line: Line) -> dict[str, Any]:
    curve = _curve(line.curve[0]) if line.curve else {}
    for entry, found in zip(curve.get("curve", ()), line.curve[1] if line.curve else (), strict=True):
        entry |= {"low": found.low, "high": found.high}
    mean = {} if curve else {name: getattr(line.mean, name, None) for name in ("mean", "low", "high")}
    return {
        "target": line.target,
        "measure": line.measure,
        "method": line.method,
        "layer": line.layer,
        "n": _count(line),
        **mean,
        **curve,
        "rank": line.rank,
        "undefined": line.undefined,
        "reason": line.reason,
        "warning": line.warning,
    }


def as_csv(taken: Sequence[Taken]) -> tuple[str, int]:
    """Every value as a row, of curves every step, as CSV; and the number of rows."""
    rows = [row for one in taken for row in _csv_rows(one)]
    stream = io.StringIO()
    lines = csv.writer(stream)
    lines.writerow(_COLUMNS)
    lines.writerows([cell(value) for value in row] for row in rows)
    return stream.getvalue(), len(rows)


def _csv_rows(one: Taken) -> Iterator[tuple[object, ...]]:
    for row in one.rows:
        first = (one.name, row.target, str(row.explained), row.method, row.layer, row.measure)
        if isinstance(row.result, Undefined):
            yield *first, "", "", "", row.result.reason
        elif isinstance(row.result, Steps):
            yield from ((*first, *step, "") for step in _steps(row.result))
        else:
            yield *first, "", "", row.result, ""
