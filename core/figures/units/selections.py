"""Charts of filter selections over the epochs of a training: figures 2 and 3 of Lengerich et al. 2017."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from core.figures.charts import BLUE, GREEN, INK, ORANGE, laid

_HEIGHT = 340
_NETWORK = "the network, on whole images"
_ACCURACIES = {
    "network": (_NETWORK, INK, "solid", "circle"),
    "accuracy_prec": ("patches by activation precision", ORANGE, "dash", "square"),
    "accuracy_corr": ("patches by activation–output correlation", BLUE, "dot", "diamond"),
}
_SIMILARITIES = {
    "similarity": ("similarity of the two selections", GREEN, "solid", "triangle-up"),
    "random": ("random selections", INK, "dot", "x"),
    "network": (f"accuracy of {_NETWORK}", INK, "solid", "circle"),
}


def accuracies(table: pd.DataFrame) -> go.Figure:
    """The accuracy of a network and of secondary classifiers on patches, after each epoch; columns as in `followed`."""
    figure = go.Figure()
    _lines(figure, table, _ACCURACIES, "%{y:.0%}")
    figure.update_yaxes(title="Accuracy", range=[0, 1.05], tickformat=".0%", zeroline=False)
    return _by_epoch(figure)


def similarities(table: pd.DataFrame) -> go.Figure:
    """The Jaccard index of two selections after each epoch with its interval, that of random sets, and the accuracy."""
    figure = go.Figure()
    figure.add_scatter(
        x=[*table["epoch"], *table["epoch"][::-1]], y=[*table["high"], *table["low"][::-1]], fill="toself",
        fillcolor=GREEN, opacity=0.18, mode="none", showlegend=False, hoverinfo="skip",
    )  # fmt: skip
    _lines(figure, table, _SIMILARITIES, "%{y:.2f}")
    figure.update_yaxes(title="Jaccard index; accuracy", range=[0, 1.05], zeroline=False)
    return _by_epoch(figure)


def _lines(figure: go.Figure, table: pd.DataFrame, looks: Mapping[str, tuple[str, str, str, str]], value: str) -> None:
    """A line for each column; `looks` are its name, colour, dash and marker."""
    for column, (name, colour, dash, marker) in looks.items():
        figure.add_scatter(
            x=table["epoch"], y=table[column], name=name, mode="lines+markers",
            line={"color": colour, "dash": dash, "width": 2.5}, marker={"symbol": marker, "size": 8, "color": colour},
            hovertemplate=f"{value} after epoch %{{x}}<extra>{name}</extra>",
        )  # fmt: skip


def _by_epoch(figure: go.Figure) -> go.Figure:
    figure.update_xaxes(title="Epoch", dtick=1, zeroline=False)
    laid(figure, _HEIGHT)
    figure.update_layout(legend={"y": -0.25, "yanchor": "top"}, margin={"t": 12})
    return figure
