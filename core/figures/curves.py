"""Curves of measures on top of each other: one line per method, with its area and the band of its interval."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count

import numpy as np
import plotly.graph_objects as go

from core.figures.charts import BLUE, GREEN, INK, ORANGE, PINK, SKY, escaped, laid
from core.measure.intervals import Interval, interval
from core.measure.measure import Curve, Undefined

# No two of the first 42 methods share both colour and dash, and those of one colour have different markers.
_COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, "#E69F00", INK)
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down")
_NAME = 26  # letters of the name of a step at the axis


def curves_figure(
    curves: Mapping[str, Curve],
    *,
    title: str,
    intervals: Mapping[str, Sequence[Interval]] | None = None,
    step: int | None = None,
    dark: bool = False,
) -> go.Figure:
    """Curves by the title of their method, each the mean over its images, with a vertical line at one step.

    The legend has the area under each curve, with its interval where there are several images; `intervals` are those of
    each step, drawn as bands. Points have the title and the number of their step as `customdata`.
    """
    figure = go.Figure()
    ink = "#FAFAFA" if dark else "#111111"
    for (name, curve), (colour, dash, marker) in zip(curves.items(), looks(), strict=False):
        mean = mean_curve(curve)
        if outline := band((intervals or {}).get(name, ())):
            figure.add_scatter(
                x=[*curve.x, *curve.x[::-1]], y=outline, fill="toself", fillcolor=colour, opacity=0.18, mode="none",
                legendgroup=name, showlegend=False, hoverinfo="skip",
            )  # fmt: skip
        steps = curve.steps or [f"{x:.0%}" if is_share(curve) else f"{x:g}" for x in curve.x]
        figure.add_scatter(
            x=[] if mean is None else curve.x, y=[] if mean is None else mean, mode="lines+markers", legendgroup=name,
            name=escaped(f"{name} · {area_text(curve)}"), showlegend=True,
            line={"color": colour, "dash": dash, "width": 2.5}, marker={"symbol": marker, "size": 7, "color": colour},
            customdata=[[name, number] for number in range(len(curve.x))], text=[escaped(one) for one in steps],
            hovertemplate=f"{escaped(curve.y_name)} %{{y:.3f}} at %{{text}}<extra>{escaped(name)}</extra>",
            selected={"marker": {"opacity": 1}}, unselected={"marker": {"opacity": 1}},
        )  # fmt: skip
    if first := next(iter(curves.values()), None):
        _axes(figure, first)
        if step is not None:
            figure.add_vline(x=first.x[step], line={"color": ink, "dash": "dash", "width": 1.5})
    laid(figure, 400 + 15 * len(curves))
    figure.update_layout(
        title={"text": escaped(title), "x": 0, "font": {"size": 16}}, font={"color": ink}, hovermode="closest",
        margin={"t": 48}, legend={"y": -0.2, "yanchor": "top", "entrywidth": 330, "itemwidth": 45},
    )  # fmt: skip
    return figure


def mean_curve(curve: Curve) -> np.ndarray | None:
    """The mean (S,) over the images that have a curve; None if none has."""
    rows = [row for row in curve.y if not isinstance(row, Undefined)]
    return np.mean(rows, axis=0) if rows else None


def area_text(curve: Curve) -> str:
    """The area under a curve as a text, with its interval over several images; "–" if no image has a curve."""
    found = interval(curve.areas)
    if found is None:
        return "–"
    name = "area" if is_share(curve) else "mean"
    span = "" if found.low is None else f" [{found.low:.3f}, {found.high:.3f}]"
    return f"{name} {found.mean:.3f}{span}"


def is_share(curve: Curve) -> bool:
    """Whether the axis is a share of something, so that the mean height is the area."""
    return not curve.steps and bool(curve.x[0] == 0 and curve.x[-1] == 1)


def looks() -> Iterator[tuple[str, str, str]]:
    """Colour, dash and marker of one method after the other."""
    for number in count():
        yield _COLOURS[number % len(_COLOURS)], _DASHES[number % len(_DASHES)], _MARKERS[number % len(_MARKERS)]


def band(steps: Sequence[Interval]) -> list[float]:
    """The outline of a band, upper ends forward and lower ones back; empty for one image, which has no interval."""
    low = [one.low for one in steps if one.low is not None]
    high = [one.high for one in steps if one.high is not None]
    return [*high, *low[::-1]]


def step_names(curve: Curve) -> list[str]:
    """The names of the steps, short enough for an axis."""
    return [one if len(one) <= _NAME else f"{one[: _NAME - 1]}…" for one in curve.steps]


def _axes(figure: go.Figure, curve: Curve) -> None:
    figure.update_xaxes(title=escaped(curve.x_name), zeroline=False)
    if is_share(curve):
        figure.update_xaxes(tickformat=".0%", range=[-0.02, 1.02])
    if curve.steps:
        figure.update_xaxes(tickvals=list(curve.x), ticktext=[escaped(one) for one in step_names(curve)])
    figure.update_yaxes(title=escaped(curve.y_name), rangemode="tozero", zeroline=True)
