"""The histogram of detectors by category: how many units detect a concept of each, in the browser and as a file."""

from collections.abc import Sequence

import plotly.graph_objects as go

from core.figures.charts import BLUE, ORANGE, escaped, laid, patterned
from core.figures.sheet import DPI, Kind, drawing, font, printable, saved

# What is counted, and its look: colour, and pattern in plotly and in matplotlib.
_BARS = (("units that are detectors", BLUE, "", ""), ("different concepts detected", ORANGE, "/", "///"))
_WIDTH, _ROW, _HEAD, _FOOT, _NAMES = 720, 52, 60, 90, 170  # pixels
_LARGE, _SMALL = 18, 13  # font sizes


def detector_histogram(categories: Sequence[str], detectors: Sequence[int], unique: Sequence[int]) -> go.Figure:
    """Two bars for each category: the units that detect a concept of it, and how many different concepts these are."""
    figure = go.Figure()
    for (name, colour, pattern, _), counts in zip(_BARS, (detectors, unique), strict=True):
        figure.add_bar(
            x=counts, y=[escaped(one) for one in categories], orientation="h", name=name,
            marker=patterned(colour, pattern), text=[f"{count:,}" for count in counts], textposition="outside",
            cliponaxis=False, hovertemplate="%{y}: %{x:,} " + name + "<extra></extra>",
        )  # fmt: skip
    figure.update_layout(barmode="group", bargap=0.25, legend_traceorder="normal")
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(title="Count", range=[0, 1.12 * max([*detectors, 1])], zeroline=False)
    return laid(figure, 110 + _ROW * len(categories))


def detector_histogram_file(
    categories: Sequence[str],
    detectors: Sequence[int],
    unique: Sequence[int],
    *,
    title: str,
    note: str = "",
    kind: Kind = "png",
) -> bytes:
    """The same histogram as a file, with a line below its title; the same counts give the same bytes."""
    from matplotlib.figure import Figure

    height = _HEAD + 30 + _ROW * max(len(categories), 1) + _FOOT
    with drawing():
        figure = Figure((_WIDTH / DPI, height / DPI), DPI, facecolor="white")
        for line, size, place in ((title, _LARGE, 32), (note, _SMALL, 58)):
            face = font(size, bold=size == _LARGE)
            figure.text(20 / _WIDTH, 1 - place / height, printable(line), font=face, parse_math=False)
        axes = figure.add_axes((
            _NAMES / _WIDTH, _FOOT / height, (_WIDTH - _NAMES - 40) / _WIDTH, _ROW * max(len(categories), 1) / height
        ))  # fmt: skip
        for number, ((name, colour, _, hatch), counts) in enumerate(zip(_BARS, (detectors, unique), strict=True)):
            rows = [row + 0.36 * number - 0.18 for row in range(len(categories))]
            bars = axes.barh(rows, counts, 0.34, color=colour, hatch=hatch, edgecolor="white", label=name)
            for value in axes.bar_label(bars, [f"{count:,}" for count in counts], padding=3):
                value.set_fontproperties(font(_SMALL))
        axes.set_ylim(max(len(categories), 1) - 0.5, -0.5)
        axes.set_xlim(0, 1.12 * max([*detectors, 1]))
        axes.set_yticks(range(len(categories)), [printable(one) for one in categories])
        legend = axes.legend(
            loc="upper left", bbox_to_anchor=(0, -34 / (_ROW * max(len(categories), 1))), ncols=2, frameon=False,
            prop=font(_SMALL), borderaxespad=0,
        )  # fmt: skip
        for text in (*legend.get_texts(), *axes.get_xticklabels(), *axes.get_yticklabels()):
            text.set_parse_math(False)
            text.set_fontproperties(font(_SMALL))
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        return saved(figure, kind, printable(title))
