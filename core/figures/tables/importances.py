"""Charts of models of tables: importances of features side by side, and a decision tree."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from core.errors import brief
from core.figures.charts import BLUE, GREEN, INK, ORANGE, escaped, laid, patterned
from core.measure.intervals import Interval
from core.tables.tree import Node

MOST = 30  # features that are drawn
_BARS = ((BLUE, ""), (ORANGE, "/"), (GREEN, "x"))  # of the methods, and their patterns
_ROW, _LEAF = 22, 46  # pixels
_NAME = 32  # characters of a feature or question


def importances(
    names: Sequence[str],
    methods: Mapping[str, NDArray[np.float64]],
    intervals: Mapping[str, Sequence[Interval | None]] | None = None,
) -> go.Figure:
    """The importances (p,) of the features `names` by each method, a panel each; at most 30 features.

    They are in the order of the last method, the most important on top. `intervals` are those of some methods.
    """
    order = np.argsort(-list(methods.values())[-1], kind="stable")[:MOST]
    shown = [escaped(brief(names[number], _NAME)) for number in order]
    figure = make_subplots(
        1, len(methods), shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=[escaped(name) for name in methods]
    )
    for panel, (method, values) in enumerate(methods.items()):
        colour, pattern = _BARS[panel % len(_BARS)]
        ends = (intervals or {}).get(method)
        known = [ends[number] if ends else None for number in order]
        figure.add_bar(
            x=values[order], y=list(range(len(order))), orientation="h", name=escaped(method), showlegend=False,
            marker=patterned(colour, pattern), customdata=shown,
            error_x=_errors(known) if any(known) else None,
            hovertemplate="%{customdata}: %{x:.4g}<extra>" + escaped(method) + "</extra>", row=1, col=panel + 1,
        )  # fmt: skip
    figure.update_yaxes(tickvals=list(range(len(order))), ticktext=shown, autorange="reversed")
    figure.update_xaxes(zeroline=True, nticks=5)
    return laid(figure, 100 + _ROW * len(order))


def tree(root: Node) -> go.Figure:
    """A decision tree from left to right: questions as squares with their text, rows and most frequent class.

    Up is yes, down is no, with a dashed line. Each node has its number as `customdata`.
    """
    places = _places(root)
    figure = go.Figure()
    for answer, dash in (("yes", "solid"), ("no", "dash")):
        x: list[float | None] = []
        y: list[float | None] = []
        for node in root:
            if node.children:
                child = places[node.children[answer == "no"].number]
                own = places[node.number]
                x += [own[0], own[0], child[0], None]
                y += [own[1], child[1], child[1], None]
        figure.add_scatter(x=x, y=y, mode="lines", name=answer, line={"color": INK, "dash": dash}, hoverinfo="skip")
    for leaves, symbol, colour in ((False, "square", BLUE), (True, "circle", ORANGE)):
        some = [node for node in root if leaves != bool(node.children)]
        figure.add_scatter(
            x=[places[node.number][0] for node in some], y=[places[node.number][1] for node in some],
            mode="markers+text", name="leaf" if leaves else "question", text=[_text(node) for node in some],
            textposition="middle right", customdata=[node.number for node in some],
            marker={"symbol": symbol, "color": colour, "size": [8 + 14 * (node.n / root.n) ** 0.5 for node in some]},
            hovertext=[_details(node) for node in some], hovertemplate="%{hovertext}<extra></extra>",
        )  # fmt: skip
    leaf_count = sum(not node.children for node in root)
    figure.update_xaxes(visible=False, range=[-0.1, root.depth + 0.9])
    figure.update_yaxes(visible=False, range=[leaf_count - 0.4, -0.6])
    return laid(figure, 60 + _LEAF * max(2, leaf_count))


def _errors(known: Sequence[Interval | None]) -> dict[str, object]:
    above = [0 if one is None or one.high is None else one.high - one.mean for one in known]
    below = [0 if one is None or one.low is None else one.mean - one.low for one in known]
    return {"array": above, "arrayminus": below, "color": INK, "thickness": 2}


def _places(root: Node) -> dict[int, tuple[float, float]]:
    """The depth of each node, and its height: that of a leaf by its order, that of others between their branches."""
    places: dict[int, tuple[float, float]] = {}

    def place(node: Node, depth: int, first: int) -> int:
        """Places a node whose leaves begin at `first`; returns where those of the next one begin."""
        if not node.children:
            places[node.number] = depth, first
            return first + 1
        second = place(node.children[0], depth + 1, first)
        places[node.number] = depth, second - 0.5
        return place(node.children[1], depth + 1, second)

    place(root, 0, 0)
    return places


def _text(node: Node) -> str:
    value = escaped(brief(node.value, _NAME))
    if not node.children:
        return f" {node.n:,} · {value}"
    return f" <b>{escaped(brief(node.question, _NAME))}?</b><br> {node.n:,} · {value}"


def _details(node: Node) -> str:
    asked = f"{escaped(node.question)}?<br>" if node.children else ""
    counts = ", ".join(f"{count:,}" for count in node.counts)
    value = escaped(node.value)
    return f"{asked}{node.n:,} rows, most {value}<br>rows of each class: {counts}<br>Gini {node.impurity:.3f}"
