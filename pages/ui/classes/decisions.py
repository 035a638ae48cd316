"""Predictions for the images of a study: how often a class is right, and what it is confused with."""

import pandas as pd
import streamlit as st

from core.measure.intervals import bracketed
from core.review.confusion import NONE, accuracy_by_class, pairs
from core.review.predictions import Predictions
from pages.ui.session import navigation, parameters
from pages.ui.widgets.text import plain

_LISTED = 5  # confusions in either direction


def decisions(found: Predictions, label: int) -> None:
    """Accuracy and precision of a class in a sentence, and links to its confusions."""
    st.header("Decisions", anchor=False)
    table = accuracy_by_class(found)
    rows = table[table["label"] == label]
    name = found.labels[label]
    if not len(found.judged):
        st.caption("The classes of the study's images are unknown, so nothing is right or wrong.")
        return
    if not len(rows):
        st.caption(plain(f"No image of this study is of {name}, and none is predicted as it."))
        return
    st.markdown(_sentences(rows.iloc[0]))
    confusions = pairs(found)
    own = confusions[confusions["true"] == label]
    others = confusions[confusions["predicted"] == label]
    if len(own) or len(others):
        _confused(own, "Taken for", "predicted_name")
        _confused(others, "Others taken for it", "true_name")
    else:
        st.caption("It is confused with no other class.")
    _failures("Its images on Failures" if rows["images"].iloc[0] else "Failures")


def _sentences(row: pd.Series) -> str:
    """The numbers of a class in words."""
    words = []
    if row["images"]:
        words.append(
            f"**{row['accuracy']:.1%}** of its {row['images']:,} images are right{bracketed(row['low'], row['high'])}."
        )
    else:
        words.append("No image of this study is of this class.")
    if row["predicted"]:
        words.append(
            f"It is predicted for {row['predicted']:,} images, {row['precision']:.1%} of which are of the class."
        )
    else:
        words.append("It is never predicted.")
    return " ".join(words)


def _confused(table: pd.DataFrame, title: str, other: str) -> None:
    """The most frequent confusions of one direction, each a link to its images."""
    if not len(table):
        return
    st.caption(f"{title}, by number of images" + (f" (the first {_LISTED})" if len(table) > _LISTED else ""))
    for row in table.head(_LISTED).to_dict("records"):
        if row["predicted"] == NONE:
            st.markdown(f"none of the labels: {row['images']:,}")
        else:
            _failures(f"{row[other]}: {row['images']:,}", which="wrong", pair=f"{row['true']}-{row['predicted']}")


def _failures(text: str, **query: str) -> None:
    navigation.link("explore/failures", plain(text), of=parameters.shown("study"), **query)
