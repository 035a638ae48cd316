"""The report of an exam: its model and images, the league table, intervals, and how stable the order is."""

import math
import shlex

from core.exam import Exam
from core.exam.league import above_controls, league, standings
from core.export.league_figure import exam_command, league_figure
from core.export.reports.report import Figure, Report, Table, rows_of, svg_uri
from core.models.name import parsed


def exam_report(exam: Exam) -> Report:
    """Everything an exam says of its methods."""
    config, images = exam.config, exam.images
    known = images[images["label"] >= 0]
    right = int((known["label"] == known["predicted"]).sum())
    subject = f"flowers {config.variant}" if config.variant else "a folder of images"
    facts = (
        ("Model", f"{parsed(exam.manifest.model.name).display}, weights {exam.manifest.model.sha[:12]}"),
        ("Images", f"{len(images):,} of {subject}, {config.folds} folds"),
        *([("Right predictions", f"{right:,} of {len(known):,}")] if len(known) else []),
        ("Quality of the methods", config.quality),
    )
    figure = Figure(
        "Means and 95% intervals", svg_uri(league_figure(exam, "svg")),
        "Means of every method under every measure with their intervals: the table above has the same numbers",
        "Over images, by the bootstrap; controls are open.",
    )  # fmt: skip
    sections = (_league(exam), figure, _controls(exam), _failed(exam))
    report = shlex.join(["--report", f"{exam.name}.html"])
    command = "" if config.data else f"{exam_command(config, exam.name)} {report}"  # a folder's path is of one machine
    return Report(f"Exam {exam.name}: explainers on {subject}", facts, sections, command=command)


def _league(exam: Exam) -> Table:
    table = league(exam)
    table = table[table["reason"] == ""]
    titles = dict(zip(exam.measures["name"], exam.measures["title"], strict=True))
    arrows = dict(zip(exam.measures["name"], exam.measures["better"].map({"higher": "↑", "lower": "↓"}), strict=True))
    found = {(one["method"], one["measure"]): one for one in standings(exam).to_dict("records")}

    def cell(method: str, measure: str) -> str:
        mean, low, high = (found[method, measure][name] for name in ("mean", "low", "high"))
        if math.isnan(mean):
            return "–"
        return f"{mean:.3f}" if math.isnan(low) else f"{mean:.3f} [{low:.3f}, {high:.3f}]"

    rows = [
        (place, row["title"], row["family"], *(cell(row["method"], one) for one in titles), row["flips"])
        for place, row in enumerate(table.to_dict("records"), 1)
    ]
    heads = (f"{title} {arrows[name]}" for name, title in titles.items())
    note = "Mean over images with its 95% interval. Flips: how often the order with another method differs by fold."
    return Table("League", ("", "method", "family", *heads, "flips"), tuple(rows), note)


def _controls(exam: Exam) -> Table:
    """How far methods stand above the controls under the first measure."""
    measure = exam.measures["name"].iloc[0]
    titles = dict(zip(exam.methods["name"], exam.methods["title"], strict=True))
    table = above_controls(exam, measure)
    table = table.assign(**{name: table[name].map(titles) for name in ("method", "control")})
    return Table(
        "Methods against controls",
        ("method", "control", "images", "difference", "95% from", "to"),
        rows_of(table[["method", "control", "n", "difference", "low", "high"]]),
        f"Difference of {exam.measures['title'].iloc[0]} image by image, positive where the method is better.",
    )


def _failed(exam: Exam) -> Table:
    methods = exam.methods[exam.methods["reason"] != ""]
    note = "" if len(methods) else "All methods work for this model."
    return Table("Methods that do not work", ("method", "reason"), rows_of(methods[["title", "reason"]]), note)
