"""The two models in numbers, and the queue of images of an outcome."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.review.queue import Rows
from core.review.two_models.disagreement import Outcome
from pages.ui.session import parameters
from pages.ui.two_models.opened import Pair
from pages.ui.widgets.gallery import Items, gallery
from pages.ui.widgets.text import plain

_SHOWN = 5_000  # images that a gallery takes at once


def numbers(pair: Pair) -> None:
    """Accuracies, agreement, and whether the difference may be chance."""
    found, (first, second) = pair.found, pair.names
    counts = found.counts()
    if agreement := found.agreement():
        st.markdown(f"They agree on **{agreement.mean:.1%}** of {agreement.n:,} images{agreement.bounds()}.")
    accuracies = found.accuracies()
    if accuracies[0] is None or accuracies[1] is None:
        st.info(
            "No image has a class that both models know, so neither is right or wrong. The queue works all the same."
        )
        return
    of_both = {name: f"{one.mean:.1%}{one.bounds()}" for name, one in zip(pair.names, accuracies, strict=True) if one}
    table = pd.DataFrame({
        "Model": list(of_both), "Accuracy": list(of_both.values()),
        "Right alone": [f"{counts['first']:,}", f"{counts['second']:,}"],
    })  # fmt: skip
    left, right = st.columns([1.3, 1], gap="medium", vertical_alignment="center")
    left.table(table.set_index("Model"))
    chance = found.chance()
    verdict = (
        f"If {first} and {second} were right equally often, a difference like this would occur with probability "
        f"{_probability(chance)} (exact McNemar test)."
        if chance is not None
        else "On no image is only one of them right."
    )
    right.markdown(plain(f"Both are right on {counts['both right']:,} images, both wrong on {counts['both wrong']:,}."))
    right.markdown(plain(verdict))


def _probability(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "below 0.001"


def queue(pair: Pair, *, blind: bool, notes: Mapping[str, str]) -> Rows:
    """The choice of an outcome and its images; `notes` are shown with them, and names are hidden from the `blind`."""
    found, (first, second) = pair.found, pair.names
    counts = found.counts()
    titles: dict[Outcome, str] = {
        "disagree": "they disagree", "first": f"only {first} is right", "second": f"only {second} is right",
        "both wrong": "both are wrong", "both right": "both are right", "agree": "they agree", "all": "all",
    }  # fmt: skip
    options = [name for name in titles if counts[name] and not (blind and name in ("first", "second"))] or ["all"]
    outcome = parameters.choice("Images where", options, "where").draw(
        st.selectbox, width=380, format_func=lambda name: f"{titles[name]} ({counts[name]:,})", on_change=_restart
    )
    rows = found.rows(outcome)
    if not len(rows):
        st.info("No image has a prediction of both models.")
        return rows
    token = ("two-models", str(found.first.path), str(found.second.path), rows.tobytes(), blind, tuple(notes.items()))
    picks = gallery(
        lambda: _items(pair, rows[:_SHOWN], notes, blind=blind), token, key="two-models-queue",
        label="Images, those on which both are surest first", noun=("image", "images"), panel=False, tile=76,
        height=230,
    )  # fmt: skip
    if picks.action == "case":
        parameters.keep("case", int(picks.opened))
    return rows


def _restart() -> None:
    """Begin with the first image of another queue; in a callback."""
    parameters.keep("case", "")


def _items(pair: Pair, rows: Rows, notes: Mapping[str, str], *, blind: bool) -> Items:
    """The thumbnails with both predictions, or with the rating in a blind one."""
    images = pair.found.table.iloc[rows]
    return Items(
        pixels=pair.found.first.array("thumbnails")[rows],
        ids=rows.tolist(),
        titles=[path.rpartition("/")[2] for path in images["path"]] if blind else images["first"].tolist(),
        notes=[notes.get(path, "") for path in images["path"]] if blind else images["second"].tolist(),
        actions=[("case", ["Look at it"] * len(rows))],
    )
