"""The worth of confidences: a reliability diagram, and the ROC of a class with a threshold to move."""

from functools import partial
from math import ceil

import streamlit as st

from core.export.spreadsheet import as_csv
from core.figures.reliability import reliability_figure, reliability_file, roc_figure, roc_file
from core.review.confusion import Calibration, Decisions, Roc, calibration, roc, roc_classes
from core.review.predictions import Predictions
from pages.ui.session import parameters, state
from pages.ui.widgets import downloads
from pages.ui.widgets.text import plain


def reliability(found: Predictions) -> None:
    """Both charts side by side, on request; nothing where no class is known."""
    measured = calibration(found)
    if measured is None:
        return
    st.caption(f"Expected calibration error {measured.error:.1%}: by how much confidence and accuracy differ.")
    if not parameters.switch("Calibration and ROC", "reliability").draw(st.toggle):
        return
    left, right = st.columns(2, gap="medium")
    with left:
        _calibration(found, measured)
    with right:
        _roc(found)


def _calibration(found: Predictions, measured: Calibration) -> None:
    st.header("Calibration", anchor=False)
    st.plotly_chart(
        reliability_figure(measured.bins), key="failures-calibration", config={"displayModeBar": False},
        alt="Accuracy by confidence: the CSV file has the same numbers",
    )  # fmt: skip
    note = f"expected calibration error {measured.error:.1%}, {int(measured.bins['images'].sum()):,} images"
    draw = partial(reliability_file, measured.bins, title=f"Calibration of {found.model}", note=note)
    downloads.of_chart("calibration", partial(as_csv, measured.bins), draw)
    st.caption(
        f"Bars: the share of images that are right, by confidence; above them how many these are. The expected "
        f"calibration error, {measured.error:.1%}, is the mean distance of a bar from its diamond, weighted by images "
        "(Naeini et al. 2015; Guo et al. 2017)."
    )


def _roc(found: Predictions) -> None:
    st.header("ROC", anchor=False)
    labels = roc_classes(found)
    if not labels:
        st.caption("A ROC needs images of two classes, each image of one class.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        label = parameters.choice("Class of the ROC", labels, "roc", default=labels[-1]).draw(
            st.selectbox, width=220, format_func=lambda one: found.labels[one], help="Against all other classes."
        )
        key = ("roc", str(found.path), label)
        curve: Roc = state.session().cache.get(key, lambda: roc(found, label))
        threshold = _threshold(found, curve)
    decisions = curve.at(threshold)
    st.plotly_chart(
        roc_figure(curve.table, (decisions.false_rate, decisions.true_rate), f"above {threshold:g}"),
        key="failures-roc", config={"displayModeBar": False}, alt=_sentence(curve, threshold, decisions),
    )  # fmt: skip
    st.markdown(plain(_sentence(curve, threshold, decisions)))
    draw = partial(
        roc_file, curve.table, (decisions.false_rate, decisions.true_rate), f"above {threshold:g}",
        title=f"ROC of {curve.positive}", note=f"{found.model}, area {curve.area:.3f}",
    )  # fmt: skip
    downloads.of_chart("roc", partial(as_csv, curve.table), draw)
    area = (
        f"Area under the curve {curve.area:.3f}: how often an image of the class has a higher probability than another."
    )
    st.caption(f"{area} {_unknown(curve)}")


def _threshold(found: Predictions, curve: Roc) -> float:
    """The threshold, that of a model with one output at first; as far down as the curve is known."""
    least = ceil(100 * curve.known_from) / 100
    usual = found.manifest.threshold if found.manifest.model.output == "sigmoid" else 0.5
    return parameters.number("Threshold", least, 1.0, "threshold", default=max(usual, least), step=0.01).draw(
        st.slider, help="The decision is positive where the probability of the class is above it."
    )


def _sentence(curve: Roc, threshold: float, at: Decisions) -> str:
    """What is decided at a threshold."""
    of_class, others = at.true_positives + at.false_negatives, at.false_positives + at.true_negatives
    precision = "without any positive decision" if at.precision is None else f"precision {at.precision:.1%}"
    return (
        f"Above {threshold:g}: true positive rate {at.true_rate:.1%} ({at.true_positives:,} of {of_class:,} of "
        f"{curve.positive}), false positive rate {at.false_rate:.1%} ({at.false_positives:,} of {others:,} others), "
        f"{precision}."
    )


def _unknown(curve: Roc) -> str:
    if not curve.known_from:
        return ""
    return (
        "Only the probabilities of the first five classes of each image are stored: the curve is a straight line "
        f"below {curve.known_from:.3f}."
    )
