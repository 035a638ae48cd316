"""Means with their intervals side by side: a chart of one quantity, and a file with a panel for each of several."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from core.figures.charts import BLUE, INK, escaped, laid
from core.figures.sheet import DPI, Kind, drawing, font, printable, saved
from core.measure.intervals import Interval

_ROW, _PANEL, _NAMES, _HEAD, _FOOT = 24, 170, 230, 110, 50  # pixels
_LARGE, _SMALL = 18, 13  # font sizes
_GRID = "#b0b0b0"


def means_figure(rows: Mapping[str, Interval], *, x_name: str, marked: Sequence[str] = ()) -> go.Figure:
    """The mean of each row with its interval, top to bottom; marked rows have open grey diamonds."""
    figure = go.Figure()
    kinds = {
        "": {"symbol": "circle", "size": 10, "color": BLUE},
        "control": {"symbol": "diamond-open", "size": 11, "color": INK, "line": {"width": 2}},
    }
    for kind, look in kinds.items():
        some = {name: one for name, one in rows.items() if (name in marked) == bool(kind)}
        above = [0 if one.high is None else one.high - one.mean for one in some.values()]
        below = [0 if one.low is None else one.mean - one.low for one in some.values()]
        figure.add_scatter(
            x=[one.mean for one in some.values()], y=[escaped(name) for name in some], mode="markers", marker=look,
            name=kind or "method", error_x={"array": above, "arrayminus": below, "color": look["color"]},
            hovertemplate="%{y}: %{x:.3g}<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(categoryorder="array", categoryarray=[escaped(name) for name in [*rows][::-1]], automargin=True)
    figure.update_xaxes(title=escaped(x_name), rangemode="tozero", zeroline=False)
    return laid(figure, 110 + 22 * len(rows))


def means_file(
    rows: Sequence[str],
    panels: Mapping[str, Sequence[Interval | None]],
    *,
    title: str,
    note: str = "",
    marked: Sequence[str] = (),
    kind: Kind = "png",
) -> bytes:
    """The file of a table: a row for each name, and a panel for each quantity with means and intervals.

    Marked rows have open grey diamonds. The same numbers give the same bytes.
    """
    from matplotlib.figure import Figure

    width = _NAMES + _PANEL * len(panels) + 20
    height = _HEAD + _ROW * len(rows) + _FOOT
    with drawing():
        figure = Figure((width / DPI, height / DPI), DPI, facecolor="white")
        figure.text(20 / width, 1 - 32 / height, printable(title), font=font(_LARGE, bold=True), parse_math=False)
        figure.text(20 / width, 1 - 56 / height, printable(note), font=font(_SMALL), parse_math=False)
        for number, (name, intervals) in enumerate(panels.items()):
            axes = figure.add_axes((
                (_NAMES + _PANEL * number) / width, _FOOT / height, (_PANEL - 24) / width, _ROW * len(rows) / height
            ))  # fmt: skip
            for control, symbol, colour, face in ((False, "o", BLUE, BLUE), (True, "D", INK, "none")):
                some = {
                    row: one
                    for row, (method, one) in enumerate(zip(rows, intervals, strict=True))
                    if one is not None and (method in marked) == control
                }
                lows = [one.mean if one.low is None else one.low for one in some.values()]
                highs = [one.mean if one.high is None else one.high for one in some.values()]
                axes.hlines([*some], lows, highs, color=colour, linewidth=1.5)
                means = [one.mean for one in some.values()]
                axes.plot(means, [*some], symbol, color=colour, markerfacecolor=face, markersize=5)
            axes.set_ylim(len(rows) - 0.5, -0.5)
            if number == 0:
                axes.set_yticks(range(len(rows)), [printable(one) for one in rows])
            else:  # lines alone: a tick takes ten times as long
                axes.set_yticks([])
                across = axes.get_yaxis_transform()
                axes.hlines(range(len(rows)), 0, 1, transform=across, color=_GRID, linewidth=0.8, alpha=0.3, zorder=0.9)
            axes.grid(alpha=0.3, color=_GRID)
            axes.spines[["top", "right"]].set_visible(False)
            axes.text(
                0, 1 + 8 / (_ROW * len(rows)), printable(name), font=font(_SMALL, bold=True), parse_math=False,
                transform=axes.transAxes,
            )  # fmt: skip
            for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
                text.set_parse_math(False)
                text.set_fontproperties(font(_SMALL))
        return saved(figure, kind, printable(title))
