"""Evidence for a planted tag: what lies inside it, and predictions that change when it is removed."""

import streamlit as st

from core.exam import Exam
from core.exam.images import TAG
from core.export.league_figure import intervals_of
from core.figures.means import means_figure
from pages.ui.exam import league_table, open_exam
from pages.ui.widgets.text import plain


def drawn(exam: Exam) -> None:
    """The answer for an exam of images with tags; nothing for others."""
    inside = exam.measures.loc[exam.measures["region"] == TAG, "name"].tolist()
    if not exam.flipped or not inside:
        return
    st.header("Which explainers reveal the planted tag?", anchor=False)
    changed, tagged = exam.flipped
    found = intervals_of(open_exam.numbers(exam), inside[0])
    ordered = dict(sorted(found.items(), key=lambda pair: -pair[1].mean))
    controls = {
        name: one for name, one in ordered.items() if exam.methods["family"].iloc[exam.method(name)] == "control"
    }
    highest = max((one.high if one.high is not None else one.mean for one in controls.values()), default=0.0)
    reveal = [
        name for name, one in ordered.items()
        if name not in controls and (one.mean if one.low is None else one.low) > highest
    ]  # fmt: skip
    words = (
        f"The prediction changes for {changed:,} of {tagged:,} images ({changed / tagged:.0%}) when the tag is "
        "removed: for those the network reads the tag. A method reveals it if its positive evidence lies there: the "
        f"95% interval of {len(reveal)} of {len(ordered) - len(controls)} methods lies above that of every control."
    )
    st.markdown(plain(words))
    rows = {league_table.title(exam, name): one for name, one in ordered.items()}
    figure = means_figure(
        rows, x_name="Share of the positive evidence inside the tag, with the 95% interval",
        marked=[league_table.title(exam, name) for name in controls],
    )  # fmt: skip
    st.plotly_chart(figure, key="exam-tags", config={"displayModeBar": False})
