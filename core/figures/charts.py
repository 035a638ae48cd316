"""Charts of a study: accuracy with filters ablated, responses of a filter by class."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

# Okabe and Ito's colours, safe for colour blindness; every use also has its own shape or pattern.
INK, BLUE, ORANGE, GREEN, PINK, SKY = "#777777", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"
_PATTERNS = ("", "/", "x", ".", "-")


def ablation(table: pd.DataFrame) -> go.Figure:
    """Accuracy of each class with all filters, without its mined ones, and without random ones.

    `table` is `Ablation.per_class` with a column "mined", and perhaps one of as many "relevant" filters; error bars are
    one standard deviation over random draws.
    """
    table = table.sort_values("mined", ascending=False, kind="stable")
    names = table["name"]
    figure = go.Figure()
    for name, mined, baseline in zip(names, table["mined"], table["baseline"], strict=True):
        figure.add_scatter(
            x=[mined, baseline], y=[name, name], mode="lines", line={"color": INK, "width": 2}, opacity=0.5,
            showlegend=False, hoverinfo="skip",
        )  # fmt: skip
    figure.add_scatter(
        x=table["baseline"], y=names, mode="markers", name="all filters",
        marker={"symbol": "circle-open", "size": 13, "color": INK, "line": {"width": 3}},
        hovertemplate="%{y}: %{x:.1%} with all filters<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=table["random_mean"], y=names, mode="markers", name="random filters removed",
        marker={"symbol": "diamond", "size": 10, "color": BLUE},
        error_x={"array": table["random_std"], "color": BLUE, "thickness": 2},
        hovertemplate="%{y}: %{x:.1%} ± %{error_x.array:.1%} without random filters<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=table["mined"], y=names, mode="markers", name="rule filters removed",
        marker={"symbol": "square", "size": 12, "color": ORANGE}, customdata=table["filters"],
        hovertemplate="%{y}: %{x:.1%} without its %{customdata} rule filters<extra></extra>",
    )  # fmt: skip
    if "relevant" in table:
        figure.add_scatter(
            x=table["relevant"], y=names, mode="markers", name="relevant filters removed",
            marker={"symbol": "triangle-up", "size": 12, "color": GREEN},
            hovertemplate="%{y}: %{x:.1%} without its relevant filters<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title="Accuracy", range=[-0.03, 1.03], tickformat=".0%", zeroline=False)
    return laid(figure, 90 + 30 * len(table))


def responses(values: NDArray[np.floating], labels: NDArray[np.int64], names: Sequence[str]) -> go.Figure:
    """A histogram of a filter's responses, stacked by class: the four classes with the highest ones, and the rest."""
    means = {int(k): float(values[labels == k].mean()) for k in np.unique(labels) if k >= 0}
    top = [k for k in sorted(means, key=lambda k: (-means[k], k))[:4] if means[k] > 0]
    edges = np.linspace(0, max(float(values.max()), 1e-9), 31)
    middles, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    figure = go.Figure()
    kinds = [(names[k], labels == k) for k in top] + [("all others", ~np.isin(labels, top))]
    for (name, chosen), colour, pattern in zip(
        kinds, (*(BLUE, ORANGE, GREEN, PINK)[: len(top)], "#BBBBBB"), (*_PATTERNS[: len(top)], ""), strict=True
    ):
        counts = np.histogram(values[chosen], edges)[0]
        figure.add_bar(
            x=middles, y=counts, width=width, name=name, marker=patterned(colour, pattern),
            hovertemplate="%{y} at %{x:.3g}<extra>" + escaped(name) + "</extra>",
        )  # fmt: skip
    figure.update_layout(barmode="stack", bargap=0, legend_traceorder="normal")
    figure.update_yaxes(title="Count")
    return laid(figure, 320)


def switched(before: Mapping[str, float], after: Mapping[str, float]) -> go.Figure:
    """The probabilities of some classes before and after filters were ablated, sorted by the former."""
    names = list(before)
    figure = go.Figure()
    for values, name, colour, pattern in (
        (before, "all filters", INK, ""),
        (after, "without these filters", ORANGE, "/"),
    ):
        probabilities = [values[label] for label in names]
        figure.add_bar(
            x=probabilities, y=names, orientation="h", name=name, marker=patterned(colour, pattern),
            text=[f"{probability:.1%}" for probability in probabilities], textposition="outside", cliponaxis=False,
            hovertemplate="%{y}: %{x:.2%}<extra>" + name + "</extra>",
        )  # fmt: skip
    figure.update_layout(barmode="group", bargap=0.25, legend_traceorder="normal")
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(range=[0, 1.12], tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 1])
    return laid(figure, 110 + 46 * len(names))


def patterned(colour: str, pattern: str) -> dict[str, object]:
    """The marker of bars with a colour and a white pattern on it; the pattern "" is none."""
    return {"color": colour, "pattern": {"shape": pattern, "fillmode": "overlay", "fgcolor": "white", "size": 6}}


def escaped(name: str) -> str:
    """A name escaped for plotly, whose texts allow some markup."""
    return name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def laid(figure: go.Figure, height: int) -> go.Figure:
    """The figure with the margins, the legend and the transparent ground of all charts."""
    figure.update_layout(
        height=height, margin={"l": 8, "r": 8, "t": 36, "b": 8}, template="none", paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)", legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
    )  # fmt: skip
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    return figure
