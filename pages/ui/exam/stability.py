"""Stability of the numbers of an exam: IoU curves of the chosen methods, and changes of order between folds."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from core.exam import Exam
from core.exam.curves import iou_curves
from core.figures.curves import curves_figure
from pages.ui.exam import league_table, open_exam
from pages.ui.widgets.text import plain

_MOST = 10  # methods of a matrix


def curves(exam: Exam, chosen: Sequence[str]) -> None:
    """The IoU with the object's mask against the threshold, the chosen methods on top of each other."""
    found = iou_curves(exam, chosen)
    if not found:
        st.caption("This exam has no masks, and so no curves of IoU.")
        return
    shown = {league_table.title(exam, name): curve for name, curve in found.items()}
    figure = curves_figure(shown, title="IoU with the mask, by threshold", dark=st.context.theme.type == "dark")
    figure.update_traces(mode="lines")  # markers at all thresholds would hide the lines
    st.plotly_chart(figure, key="exam-curves", config={"displayModeBar": False})
    st.caption(
        "At each threshold, the pixels whose value is at least that fraction of the map's range are compared with the "
        "mask: their intersection by their union, mean over images. AUC-IoU is the area below."
    )


def order(exam: Exam, measure: str, chosen: Sequence[str]) -> None:
    """In words and as a matrix of the chosen methods: how often the order of two methods changes between two folds."""
    title = str(exam.measures["title"].iloc[exam.measure(measure)])
    if exam.config.folds < 2:
        st.caption("With a single fold it cannot be said how stable the order of the methods is.")
        return
    table = open_exam.order_flips(exam, measure)
    known = [name for name in table.index if np.isfinite(table.loc[name, name])]
    if len(known) < 2:
        st.caption("Fewer than two methods have a number in every fold.")
        return
    pairs = table.loc[known, known].to_numpy()[np.triu_indices(len(known), 1)]
    stable = float((pairs == 0).mean())
    words = (
        f"Under {title}, two of the {len(known)} methods change their order between two folds in {pairs.mean():.0%} of "
        f"the cases, on average; {stable:.0%} of all pairs never do."
    )
    some = [name for name in chosen if name in known][:_MOST]
    small = table.loc[some, some]
    if len(some) > 1:
        values = np.triu(small.to_numpy(), 1)
        row, column = np.unravel_index(int(values.argmax()), values.shape)
        most = float(values[row, column])
        one, other = (league_table.title(exam, some[int(place)]) for place in (row, column))
        words += (
            f" Of the chosen ones, {one} and {other} do so most often ({most:.0%}); at 50% their order is a coin toss."
            if most
            else " The chosen ones never do."
        )
    st.markdown(plain(words))
    if len(some) > 1:
        titles = [league_table.title(exam, name) for name in some]
        percent = st.column_config.NumberColumn(format="%.0f%%", width=110)
        small = small.set_axis(titles, axis=0).set_axis(titles, axis=1)
        small = 100 * small.mask(np.eye(len(some), dtype=bool))
        st.dataframe(
            small, column_config=dict.fromkeys(titles, percent), height="content", placeholder="–",
            alt="How often the order of two methods changes between two folds",
        )  # fmt: skip
