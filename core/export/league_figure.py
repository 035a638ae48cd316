"""The league table of an exam as a figure, and the command that builds the exam again."""

import math
import shlex

import pandas as pd

from core.data.model_options import options_of
from core.exam import Exam
from core.exam.config import MEASURES as USUAL
from core.exam.config import ExamConfig
from core.exam.league import league, standings
from core.export.command import model_words
from core.figures.means import means_file
from core.figures.sheet import Kind
from core.measure.intervals import Interval
from core.params import params_of, spelled


def intervals_of(long: pd.DataFrame, measure: str) -> dict[str, Interval]:
    """The mean of each method with a number under a measure and its interval, of the rows of `standings`."""
    rows = long[(long["measure"] == measure) & (long["n"] > 0)]
    return {
        method: Interval(int(n), mean, *(None if math.isnan(end) else end for end in (low, high)))
        for method, n, mean, low, high in rows[["method", "n", "mean", "low", "high"]].itertuples(index=False)
    }


def league_figure(exam: Exam, kind: Kind = "png") -> bytes:
    """The means of all methods under all measures with their 95% intervals, as a PNG, PDF or SVG file."""
    long, table = standings(exam), league(exam)
    table = table[table["reason"] == ""]
    arrows = {"higher": "↑", "lower": "↓"}
    panels = {}
    for name, title, better in exam.measures[["name", "title", "better"]].itertuples(index=False):
        found = intervals_of(long, name)
        panels[f"{title} {arrows[better]}"] = [found.get(method) for method in table["method"]]
    config = exam.config
    subject = f"flowers {config.variant}" if config.variant else "a folder of images"
    return means_file(
        table["title"].tolist(), panels, kind=kind,
        title=f"Explainers on {subject}",
        note=f"{exam.manifest.model.name}, {len(exam.images)} images, quality {config.quality}: mean and 95% interval "
        "over images; controls are open",
        marked=table.loc[table["family"] == "control", "title"].tolist(),
    )  # fmt: skip


def exam_command(config: ExamConfig, out: str) -> str:
    """The command line that builds an exam with these settings in a folder."""
    words = ["vitrine", "exam"]
    for name in ("variant", "data", "masks"):
        if value := getattr(config, name):
            words += [f"--{name}", value]
    words += model_words(config.model, options_of(config)) if config.model else []
    words += ["--methods", ",".join(config.methods)] if config.methods else []
    words += ["--measures", ",".join(config.measures)] if config.measures != USUAL else []
    taken = {*options_of(config).changed()}
    for param in params_of(ExamConfig):
        value = getattr(config, param.name)
        if value != param.default and not (param.name in taken and config.model):
            words += [f"--{param.name.replace('_', '-')}", spelled(value)]
    return shlex.join([*words, "--out", out])
