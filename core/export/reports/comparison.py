"""The report of a comparison: each picture with its prediction and maps, their settings, and how much they agree."""

from collections.abc import Iterable, Mapping

import numpy as np

from core.edits.apply import edits_of
from core.explain import EXPLAINERS, Explanation
from core.export.files import cell, spans_of
from core.export.record import Answers, agreement
from core.export.reports.report import Card, Gallery, Report, Table, data_uri
from core.figures.sheet import overlay
from core.figures.style import DEFAULT, Style
from core.images import Picture
from core.params import spelled
from core.workbench import Request, Workbench

_SIDE = 384  # pixels of a picture


def comparison_report(
    bench: Workbench,
    results: Iterable[tuple[Picture, Answers]],
    seed: int = 0,
    true: Mapping[str, int] | None = None,
    *,
    style: Style = DEFAULT,
    command: str = "",
) -> Report:
    """The maps of each picture as tiles in the colours of the style, with what is known of them.

    `true` has the true classes that are known, by the hash of the picture; `command` makes the maps again.
    """
    pictures, model = list(results), bench.model
    facts = (
        ("Model", f"{model.display}, weights {model.sha[:12]}"),
        *((name.replace("_", " ").capitalize(), spelled(value)) for name, value in model.options.changed().items()),
        ("Output", model.output),
        *([("Edits of filters", ", ".join(model.edits))] if model.edits else []),
        ("Seed", str(seed)),
    )
    sections: list[Gallery | Table] = []
    for picture, answers in pictures:
        sections.append(_maps(bench, picture, answers, (true or {}).get(picture.sha), style))
        sections += _agreement(bench, picture, answers, seed)
    name = pictures[0][0].name if len(pictures) == 1 else f"{len(pictures):,} images"
    return Report(f"Explanations of {name}", facts, tuple(sections), model.notes, command)


def _maps(bench: Workbench, picture: Picture, answers: Answers, true: int | None, style: Style) -> Gallery:
    view, ranges, labels = bench.view(picture), spans_of(answers, style), bench.model.labels
    form = ".1%" if bench.model.quantity == "probability" else ".4g"
    top = [(name, f"{chance:{form}}") for _, name, chance in bench.top(picture)]
    edited = [("edits", ", ".join(edits_of(picture)))] if edits_of(picture) else []
    known = [] if true is None else [("true class", labels[true])]
    cards = [Card("The image as the model sees it", (*top, *known, *edited), data_uri(view, _SIDE))]
    for request, answer in answers:
        heading = f"{EXPLAINERS[request.name].title}: {request.target.title(labels)}"
        if isinstance(answer, Explanation):
            shown = overlay(view, answer.maps[0].numpy(), ranges[cell(request)], style)
            cards.append(Card(heading, _facts(request, answer), data_uri(shown, _SIDE, exact=True)))
        else:
            cards.append(Card(heading, (("no map", str(answer)),)))
    note = f"First the {len(top)} most probable classes with their {bench.model.quantity}."
    return Gallery(picture.name, cards, note, tiles=True)


def _facts(request: Request, answer: Explanation) -> tuple[tuple[str, str], ...]:
    values = answer.maps[0]
    return (
        ("layer", answer.layer or "pixels"),
        ("values", f"{float(values.min()):.3g} to {float(values.max()):.3g}"),
        *((name, spelled(value)) for name, value in {**answer.settings, **request.settings}.items()),
        *([("note", answer.note())] if answer.note() else []),
        *([] if answer.finished else [("unfinished", answer.cost())]),
    )


def _agreement(bench: Workbench, picture: Picture, answers: Answers, seed: int) -> list[Table]:
    """Spearman's correlation of the maps of each class with each other and with the controls."""
    tables = []
    for one in agreement(bench, picture, answers, seed):
        rows = [
            (name, *(np.nan if value is None else value for value in row))
            for name, row in zip(one["methods"], one["spearman"], strict=True)
        ]
        note = "Spearman's rank correlation of the values of two maps; random and edge_detector are controls."
        tables.append(Table(f"Agreement for {one['target']['label']}", ("method", *one["methods"]), tuple(rows), note))
    return tables
