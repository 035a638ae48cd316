"""Charts of a table's explanations: signed weights of a row beside their null, and fidelity of rules by depth."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from core.figures.charts import BLUE, GREEN, INK, ORANGE, escaped, laid

_PATTERNS = {"raises": "", "lowers": "/"}
_COLOURS = {"raises": BLUE, "lowers": ORANGE}


def weights_figure(
    conditions: Sequence[str], weights: Sequence[float], *, explained: str, quantile: float | None = None
) -> go.Figure:
    """Signed bars of the weights of some conditions, top to bottom.

    Bars that lower the prediction are hatched. `quantile` is that of the largest |weight| under shuffled targets, drawn
    as a dashed line on either side.
    """
    figure = go.Figure()
    rows = [f"{number + 1}. {escaped(condition)}" for number, condition in enumerate(conditions)]  # they may be equal
    for name, sign in (("raises", 1), ("lowers", -1)):
        some = [(row, weight) for row, weight in zip(rows, weights, strict=True) if (weight >= 0) == (sign > 0)]
        figure.add_bar(
            x=[weight for _, weight in some], y=[row for row, _ in some], orientation="h",
            name=f"{name} {escaped(explained)}", text=[f"{weight:+.3g}" for _, weight in some],
            textposition="outside", cliponaxis=False, hovertemplate="%{y}: %{x:+.4g}<extra></extra>",
            marker={
                "color": _COLOURS[name],
                "pattern": {"shape": _PATTERNS[name], "fillmode": "overlay", "fgcolor": "white", "size": 6},
            },
        )  # fmt: skip
    if quantile is not None:
        figure.add_scatter(
            x=[quantile, quantile, None, -quantile, -quantile], y=[rows[0], rows[-1], None, rows[0], rows[-1]],
            mode="lines+markers", line={"color": INK, "width": 2, "dash": "dash"}, marker={"symbol": "line-ns-open"},
            name="95% quantile of the largest weights under shuffled targets",
            hovertemplate="%{x:+.3g}<extra></extra>",
        )  # fmt: skip
    largest = max([abs(weight) for weight in weights] + [quantile or 0]) or 1
    figure.update_yaxes(categoryorder="array", categoryarray=rows[::-1])
    figure.update_xaxes(title=f"Weight: change of {escaped(explained)}", range=[-1.25 * largest, 1.25 * largest])
    figure.update_layout(barmode="overlay", legend_traceorder="normal")
    return laid(figure, 130 + 30 * len(rows))


def fidelity_figure(table: pd.DataFrame) -> go.Figure:
    """Fidelity and accuracy of surrogate trees by depth, on rows held out; `table` is that of `fidelity_by_depth`."""
    figure = go.Figure()
    for column, colour, symbol, dash in (
        ("fidelity", BLUE, "circle", "solid"),
        ("accuracy", GREEN, "diamond", "dash"),
    ):
        figure.add_scatter(
            x=table["depth"], y=table[column], mode="lines+markers", name=column,
            line={"color": colour, "width": 2, "dash": dash}, marker={"symbol": symbol, "size": 9},
            customdata=table[["rules", "terms"]],
            hovertemplate="depth %{x}: " + column + " %{y:.1%}, %{customdata[0]} rules of %{customdata[1]:.1f} terms"
            "<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title="Depth of the tree", dtick=1 if len(table) <= 20 else None)
    figure.update_yaxes(title="Share of held-out rows", range=[0, 1.03], tickformat=".0%")
    return laid(figure, 340)
