"""The map of units: a scatter of their places, in the browser and as a file."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from core.figures.charts import BLUE, GREEN, INK, ORANGE, PINK, SKY, escaped, laid
from core.figures.sheet import DPI, Kind, drawing, font, printable, saved

OTHERS = "others"
_COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, "#E69F00")
_SHAPES = {"circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "cross": "P", "star": "*"}  # of matplotlib
# Every colour has its own shape: first filled, then open.
_LOOKS = tuple(
    (colour, shape)
    for hollow in ("", "-open")
    for colour, shape in zip(_COLOURS, (s + hollow for s in _SHAPES), strict=True)
)
_REST = (INK, "x")
_WIDTH, _HEIGHT = 900, 760


@dataclass(frozen=True)
class UnitMap:
    """The places of some units, and what is written about them."""

    units: Sequence[int]
    places: NDArray[np.float64]  # (n, 2)
    shares: tuple[float, float]  # of the variance along each axis
    groups: Sequence[str]  # the group of each unit, "" for none
    texts: Sequence[str]  # about each unit, for tooltips

    @property
    def legend(self) -> list[str]:
        """The groups that have their own look, the largest first; all others share one."""
        counts = Counter(group for group in self.groups if group)
        return sorted(counts, key=lambda name: (-counts[name], name))[: len(_LOOKS)]

    @property
    def axes(self) -> tuple[str, str]:
        """The titles of the axes."""
        first, second = (f"{share:.0%}" for share in self.shares)
        return f"1st component ({first} of the variance)", f"2nd component ({second})"

    def rows(self) -> list[tuple[str, list[int], tuple[str, str]]]:
        """The groups with their units' rows and look."""
        names = self.legend
        found = [(name, [row for row, own in enumerate(self.groups) if own == name]) for name in names]
        rest = [row for row, own in enumerate(self.groups) if own not in names]
        listed = [(name, rows, look) for (name, rows), look in zip(found, _LOOKS, strict=False)]
        return [*([(OTHERS, rest, _REST)] if rest else []), *listed]  # the others lie below


def unit_map(shown: UnitMap, chosen: Collection[int] = ()) -> go.Figure:
    """The map for the browser, where `customdata` of a point is its unit; `chosen` units are ringed and named."""
    figure = go.Figure()
    for name, rows, (colour, symbol) in shown.rows():
        figure.add_scatter(
            x=shown.places[rows, 0], y=shown.places[rows, 1], mode="markers", name=escaped(name),
            customdata=[shown.units[row] for row in rows], text=[escaped(shown.texts[row]) for row in rows],
            marker={"color": colour, "symbol": symbol, "size": 9, "line": {"width": 2 * ("open" in symbol)}},
            hovertemplate="%{text}<extra></extra>", opacity=0.45 if name == OTHERS else 1,
            legendrank=2000 if name == OTHERS else 1000,
        )  # fmt: skip
    rows = [row for row, unit in enumerate(shown.units) if unit in chosen]
    if rows:
        figure.add_scatter(
            x=shown.places[rows, 0], y=shown.places[rows, 1], mode="markers+text", name="picked", hoverinfo="skip",
            text=[f"F{shown.units[row]}" for row in rows], textposition="top center", showlegend=False,
            marker={"color": INK, "symbol": "circle-open", "size": 17, "line": {"width": 2}},
        )  # fmt: skip
    first, second = shown.axes
    figure.update_xaxes(title=first, zeroline=False)
    figure.update_yaxes(title=second, zeroline=False, scaleanchor="x")
    figure.update_layout(dragmode="select")
    return laid(figure, 620)


def unit_map_file(shown: UnitMap, title: str, chosen: Collection[int] = (), kind: Kind = "png") -> bytes:
    """The same map as a file; the same map gives the same bytes."""
    from matplotlib.figure import Figure

    with drawing():
        figure = Figure((_WIDTH / DPI, _HEIGHT / DPI), DPI, facecolor="white")
        axes = figure.add_axes((0.1, 0.16, 0.86, 0.76))
        for name, rows, (colour, symbol) in shown.rows():
            axes.scatter(
                shown.places[rows, 0], shown.places[rows, 1], s=42, edgecolors=colour, linewidths=1.6,
                facecolors="none" if "open" in symbol else colour, label=printable(name),
                marker=_SHAPES.get(symbol.removesuffix("-open"), "X"),
            )  # fmt: skip
        first, second = shown.axes
        texts = [axes.set_xlabel(printable(first)), axes.set_ylabel(printable(second))]
        for row, unit in enumerate(shown.units):
            if unit in chosen:
                across, down = shown.places[row]
                axes.scatter([across], [down], s=180, facecolors="none", edgecolors=INK, linewidths=2)
                offset = (0, 8)
                texts.append(axes.annotate(f"F{unit}", (across, down), offset, textcoords="offset points", ha="center"))
        axes.set_aspect("equal", adjustable="datalim")
        heading = axes.set_title(printable(title), loc="left", pad=12)
        legend = axes.legend(
            loc="upper left", bbox_to_anchor=(0, -0.1), ncols=4, frameon=False, prop=font(13), borderaxespad=0
        )
        for text in (heading, *texts, *legend.get_texts(), *axes.get_xticklabels(), *axes.get_yticklabels()):
            text.set_parse_math(False)
            text.set_fontproperties(font(18 if text is heading else 13, bold=text is heading))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        return saved(figure, kind, printable(title))
