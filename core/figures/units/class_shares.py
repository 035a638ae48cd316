"""A chart of the shares of filters in the logit of a class."""

import pandas as pd
import plotly.graph_objects as go

from core.figures.charts import BLUE, INK, ORANGE, laid, patterned

_LEAST = 0.005  # of the largest share: a bar of less cannot be seen


def class_shares_figure(shares: pd.DataFrame, most: int = 15) -> go.Figure:
    """Signed bars of the largest shares and of the sum of all others, with diamonds for the mean over all images.

    `shares` is the table of `ClassShares`; at most `most` filters have a bar of their own. Bars that lower the logit
    are hatched. Each has the number of its filter as `customdata`, -1 for the others.
    """
    sizes = shares["share"].abs()
    count = min(most, int((sizes >= _LEAST * sizes.max()).sum()))
    table, rest = shares.iloc[:count], shares.iloc[count:]
    columns = (table[name].tolist() for name in ("filter", "share", "everywhere"))
    rows = [(f"F{number}", number, share, mean) for number, share, mean in zip(*columns, strict=True)]
    if len(rest):
        rows.append((f"{len(rest):,} others", -1, float(rest["share"].sum()), float(rest["everywhere"].sum())))
    figure = go.Figure()
    for name, raises, marker in (
        ("raises the logit", True, patterned(BLUE, "")),
        ("lowers the logit", False, patterned(ORANGE, "/")),
    ):
        some = [row for row in rows if (row[2] >= 0) == raises]
        figure.add_bar(
            x=[share for *_, share, _ in some], y=[title for title, *_ in some], orientation="h", name=name,
            customdata=[number for _, number, *_ in some], marker=marker,
            hovertemplate="%{y}: %{x:+.3g}<extra></extra>",
        )  # fmt: skip
    figure.add_scatter(
        x=[mean for *_, mean in rows], y=[title for title, *_ in rows], mode="markers", name="mean over all images",
        customdata=[number for _, number, *_ in rows],
        marker={"symbol": "diamond-open", "size": 10, "color": INK, "line": {"width": 2}},
        hovertemplate="%{y}: %{x:+.3g} over all images<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(categoryorder="array", categoryarray=[title for title, *_ in rows][::-1])
    figure.update_xaxes(title="Share of the mean logit")
    figure.update_layout(barmode="overlay", legend_traceorder="normal", clickmode="event+select")
    return laid(figure, 120 + 22 * len(rows))
