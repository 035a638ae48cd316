"""League tables of exams as text, CSV and LaTeX."""

import math
import re

import pandas as pd

from core.exam import Exam
from core.exam.league import league, standings
from core.export.spreadsheet import as_csv
from core.measure import MEASURES

_NUMBERS = ("n", "mean", "deviation", "low", "high", "rank")
_ESCAPED = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "×": r"$\times$"}


def league_csv(exam: Exam) -> str:
    """The league table as CSV: all numbers of every method under every measure, a row per method."""
    table = league(exam)
    wide = standings(exam).pivot(index="method", columns="measure", values=list(_NUMBERS))
    measures = exam.measures["name"].tolist()
    columns = {f"{name}_{number}": wide[number][name] for name in measures for number in _NUMBERS}
    numbers = pd.DataFrame(columns).reindex(table["method"]).reset_index(drop=True)
    rest = ["best", "worst", "median", "flips", "seconds", "passes", "reason"]
    return as_csv(pd.concat([table[["method", "title", "family"]], numbers, table[rest]], axis=1))


def league_text(exam: Exam) -> list[str]:
    """The league table as lines of text: mean ± deviation over folds, and the range of ranks over all measures."""
    cells, places = _cells(exam, " ± "), league(exam)
    works = places["reason"] == ""
    table = pd.DataFrame({"": range(1, int(works.sum()) + 1), "method": places.loc[works, "title"]})
    for measure, title in _titles(exam).items():
        table[title] = [cells[method, measure] for method in places.loc[works, "method"]]
    table["ranks"] = _spread(places[works])
    table["flips"] = places.loc[works, "flips"].map(lambda share: _number(share, "{:.0%}"))
    table["s"] = places.loc[works, "seconds"].map(lambda seconds: _number(seconds, "{:.2f}"))
    table["passes"] = places.loc[works, "passes"].map(lambda passes: _number(passes, "{:,.0f}"))
    return table.to_string(index=False).split("\n")


def league_latex(exam: Exam) -> str:
    r"""The league table as a LaTeX tabular for the package booktabs; the best mean of each measure is bold."""
    long, cells, places = standings(exam), _cells(exam, r" $\pm$ "), league(exam)
    places = places[places["reason"] == ""]
    best = set(long.loc[long["rank"] == 1, ["method", "measure"]].itertuples(index=False, name=None))
    titles = _titles(exam)
    config, images = exam.config, len(exam.images)
    subject = f"flowers {config.variant}" if config.variant else "a folder of images"
    lines = [
        f"% {images} images of {subject}, {config.folds} folds, quality {config.quality}: "
        "mean and deviation of the means of the folds",
        rf"\begin{{tabular}}{{l{'r' * len(titles)}r}}",
        r"\toprule",
        " & ".join(["Method", *map(_escaped, titles.values()), "Ranks"]) + r" \\",
        r"\midrule",
    ]
    for (method, title), spread in zip(
        places[["method", "title"]].itertuples(index=False), _spread(places), strict=True
    ):
        row = [rf"\textbf{{{cells[method, one]}}}" if (method, one) in best else cells[method, one] for one in titles]
        lines.append(" & ".join([_escaped(title), *row, spread.replace("–", "--")]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _titles(exam: Exam) -> dict[str, str]:
    """The title of each measure with an arrow that says what is better."""
    arrows = {"higher": "↑", "lower": "↓"}
    table = exam.measures[["name", "title", "better"]].itertuples(index=False)
    return {name: f"{title} {arrows[better]}" for name, title, better in table}


def _cells(exam: Exam, between: str) -> dict[tuple[str, str], str]:
    """Mean and deviation of each method and measure as text."""
    long = standings(exam)
    entries = dict(zip(exam.measures["name"], exam.measures["entry"], strict=True))
    cells = {}
    for method, measure, mean, deviation in zip(
        *(long[name].tolist() for name in ("method", "measure", "mean", "deviation")), strict=True
    ):
        form = "{:.1f}" if entries[measure] in MEASURES and MEASURES[entries[measure]].high == 100 else "{:.3f}"
        parts = [_number(mean, form), *([_number(deviation, form)] if math.isfinite(deviation) else [])]
        cells[method, measure] = between.join(parts)
    return cells


def _number(value: float, form: str) -> str:
    return form.format(value) if math.isfinite(value) else "–"


def _spread(places: pd.DataFrame) -> list[str]:
    """The ranks over all measures, lowest to highest."""
    pairs = places[["best", "worst"]].itertuples(index=False)
    return [f"{best:.0f}–{worst:.0f}" if math.isfinite(best) else "–" for best, worst in pairs]


def _escaped(text: str) -> str:
    """A text as LaTeX."""
    arrows = {"↑": r"$\uparrow$", "↓": r"$\downarrow$"}
    return re.sub(r"[\\~^×↑↓&%$#_{}]", lambda match: (_ESCAPED | arrows).get(match[0], rf"\{match[0]}"), text)
