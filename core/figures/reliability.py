"""Reliability diagrams of confidences, and ROC curves with the point of one threshold: in the browser and as files."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go

from core.figures.charts import BLUE, INK, ORANGE, escaped, laid
from core.figures.sheet import DPI, Kind, drawing, font, printable, saved

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 560, 560  # pixels of a file
_LARGE, _SMALL = 17, 13  # font sizes
_DIAGONAL = ("perfect calibration", "chance")
_MEAN = "mean confidence"
_COUNTS, _END = 1.08, 1.13  # where the counts stand, above all marks, and the end of the axis

Point = tuple[float, float]  # false and true positive rate


def reliability_figure(bins: pd.DataFrame) -> go.Figure:
    """The accuracy of each bin of confidence as a bar, its number of images above, its mean confidence as a diamond.

    `bins` has low, high, images, confidence and accuracy, as of `review.confusion.Calibration`.
    """
    filled = bins[bins["images"] > 0]
    figure = go.Figure()
    figure.add_bar(
        x=(filled["low"] + filled["high"]) / 2, y=filled["accuracy"], width=filled["high"] - filled["low"],
        name="accuracy", marker={"color": BLUE, "line": {"color": "white", "width": 1}},
        customdata=filled[["images", "low", "high"]],
        hovertemplate="%{customdata[0]:,} images of %{customdata[1]:.0%} to %{customdata[2]:.0%}: %{y:.1%} right"
        "<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=(filled["low"] + filled["high"]) / 2, y=filled["confidence"], mode="markers", name=_MEAN,
        marker={"symbol": "diamond-open", "size": 11, "color": ORANGE, "line": {"width": 2}},
        hovertemplate="mean confidence %{y:.1%}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=(filled["low"] + filled["high"]) / 2, y=[_COUNTS] * len(filled), mode="text", showlegend=False,
        text=[f"{count:,}" for count in filled["images"]], hoverinfo="skip",
    )  # fmt: skip
    return _square(figure, _DIAGONAL[0], "Confidence", "Accuracy")


def roc_figure(points: pd.DataFrame, at: Point, name: str) -> go.Figure:
    """The curve of true against false positive rates, with a marker at one threshold, whose name is given.

    `points` has true_positive_rate and false_positive_rate, as `review.confusion.Roc.table`.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=points["false_positive_rate"], y=points["true_positive_rate"], mode="lines", name="ROC",
        line={"color": BLUE, "width": 2.5}, customdata=points["threshold"],
        hovertemplate="true %{y:.1%}, false %{x:.1%} from %{customdata:.3f}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=[at[0]], y=[at[1]], mode="markers", name=escaped(name),
        marker={"symbol": "diamond", "size": 15, "color": ORANGE, "line": {"color": "white", "width": 1}},
        hovertemplate="true %{y:.1%}, false %{x:.1%}<extra></extra>",
    )  # fmt: skip
    return _square(figure, _DIAGONAL[1], "False positive rate", "True positive rate")


def reliability_file(bins: pd.DataFrame, *, title: str, note: str = "", kind: Kind = "png") -> bytes:
    """The file of a `reliability_figure`; the same bins give the same bytes."""
    filled = bins[bins["images"] > 0]

    def draw(axes: "Axes") -> None:
        middles = (filled["low"] + filled["high"]) / 2
        widths = filled["high"] - filled["low"]
        axes.bar(middles, filled["accuracy"], widths, color=BLUE, edgecolor="white", label="accuracy")
        for middle, count in zip(middles, filled["images"], strict=True):
            axes.text(middle, _COUNTS, f"{count:,}", ha="center", va="center", font=font(_SMALL))
        axes.plot(
            middles, filled["confidence"], "D", color=ORANGE, markerfacecolor="none", markersize=7, markeredgewidth=1.8,
            label=_MEAN,
        )  # fmt: skip

    return _file(draw, (_DIAGONAL[0], "Confidence", "Accuracy"), title, note, kind)


def roc_file(points: pd.DataFrame, at: Point, name: str, *, title: str, note: str = "", kind: Kind = "png") -> bytes:
    """The file of a `roc_figure`; the same numbers give the same bytes."""

    def draw(axes: "Axes") -> None:
        axes.plot(points["false_positive_rate"], points["true_positive_rate"], color=BLUE, linewidth=2.5, label="ROC")
        axes.plot(*at, "D", color=ORANGE, markeredgecolor="white", markersize=10, linestyle="", label=printable(name))

    return _file(draw, (_DIAGONAL[1], "False positive rate", "True positive rate"), title, note, kind)


def _square(figure: go.Figure, diagonal: str, x_name: str, y_name: str) -> go.Figure:
    """The figure with shares on both axes and a dashed diagonal."""
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", name=diagonal, line={"color": INK, "dash": "dash", "width": 1.5},
        hoverinfo="skip",
    )  # fmt: skip
    figure.update_xaxes(title=x_name, range=[-0.02, 1.02], tickformat=".0%", zeroline=False)
    figure.update_yaxes(title=y_name, range=[-0.02, _END], tickformat=".0%", zeroline=False)
    return laid(figure, 360)


def _file(draw: "Callable[[Axes], None]", names: tuple[str, str, str], title: str, note: str, kind: Kind) -> bytes:
    """A file with a title, a line below it, and what is drawn over a dashed diagonal with these names."""
    from matplotlib.figure import Figure

    diagonal, x_name, y_name = names
    with drawing():
        figure = Figure((_WIDTH / DPI, _HEIGHT / DPI), DPI, facecolor="white")
        for line, size, place in ((title, _LARGE, 30), (note, _SMALL, 54)):
            face = font(size, bold=size == _LARGE)
            figure.text(16 / _WIDTH, 1 - place / _HEIGHT, printable(line), font=face, parse_math=False)
        axes = figure.add_axes((0.13, 0.2, 0.83, 0.66))
        axes.plot([0, 1], [0, 1], color=INK, linestyle="dashed", linewidth=1.2, label=diagonal)
        draw(axes)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, _END))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:.0%}")
        legend = axes.legend(
            loc="upper left", bbox_to_anchor=(0, -0.15), ncols=3, frameon=False, prop=font(_SMALL), borderaxespad=0
        )
        texts = [axes.set_xlabel(x_name), axes.set_ylabel(y_name), *axes.get_xticklabels(), *axes.get_yticklabels()]
        for text in (*texts, *legend.get_texts()):
            text.set_parse_math(False)
            text.set_fontproperties(font(_SMALL))
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        return saved(figure, kind, printable(title))
