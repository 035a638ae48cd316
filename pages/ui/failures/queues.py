"""The queue of cases: which images, in which order, and the one that is looked at."""

from collections import Counter
from collections.abc import Mapping

import streamlit as st

from core.review.confusion import pairs
from core.review.evidence import PLACES, Evidence, Place
from core.review.predictions import Predictions
from core.review.queue import CaseFilter, Order, Outcome, Rows, counts, matching, ordered
from core.review.reviews import Review
from pages.ui.session import parameters
from pages.ui.widgets.gallery import Items, gallery

_OUTCOMES: Mapping[Outcome, str] = {
    "wrong": "wrong",
    "overconfident": "wrong, but sure",
    "unsure": "right, but unsure",
    "right": "right",
    "unknown": "of unknown class",
    "all": "all",
}
_ORDERS: Mapping[Order, str] = {
    "confident": "surest first",
    "unsure": "least sure first",
    "margin": "closest decision first",
    "evidence": "by place of the evidence",
    "folder": "order of the folder",
}
_PLACES: Mapping[Place, str] = {
    "object": "on the object",
    "rule": "in a rule's patches",
    "elsewhere": "elsewhere",
    "concentrated": "concentrated",
    "diffuse": "diffuse",
    "none": "none",
}
_SHOWN = 5_000  # cases a gallery takes at once


def queue(found: Predictions, reviews: Mapping[str, Review], evidence: Mapping[int, Evidence]) -> Rows:
    """The choice of the cases and their gallery; the cases in their order. `evidence` may be unknown."""
    numbers = counts(found)
    options = [name for name in _OUTCOMES if numbers[name]] or ["all"]
    usual = next(name for name in ("wrong", "unknown", "all") if name in options)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        outcome = parameters.choice("Cases", options, "which", default=usual).draw(
            st.selectbox, width=220, format_func=lambda name: f"{_OUTCOMES[name]} ({numbers[name]:,})",
            help="Sure errors are at least as confident as half of the right predictions; unsure right ones have at "
            "most the margin of half of the errors.",
            on_change=restart,
        )  # fmt: skip
        _confusions(found)
        place = _place(evidence)
        orders = [name for name in _ORDERS if evidence or name != "evidence"]
        order = parameters.choice("Order", orders, "order").draw(
            st.selectbox, width=220, format_func=_ORDERS.__getitem__, on_change=restart
        )
        unseen = parameters.switch("Not reviewed yet", "open").draw(st.toggle, on_change=restart)
    chosen = pair(found)
    true, predicted = chosen or (None, None)
    reviewed = [path for path, one in reviews.items() if one.verdict]
    conditions = CaseFilter(outcome, true=true, predicted=predicted, reviewed=False if unseen else None, place=place)
    rows = ordered(found, matching(found, conditions, reviewed, evidence), order, evidence)
    if not len(rows):
        st.info("No image is such a case. Choose others above.")
        return rows
    token = ("failures", str(found.path), rows.tobytes(), tuple((path, one.verdict) for path, one in reviews.items()))
    picks = gallery(
        lambda: _items(found, rows[:_SHOWN], reviews), token, key="failures-queue", label="Cases in their order",
        noun=("image", "images"), panel=False, tile=76, height=230,
    )  # fmt: skip
    if picks.action == "case":
        parameters.keep("case", int(picks.opened))
    return rows


def current(found: Predictions, rows: Rows, stopped_at: str | None) -> int:
    """The case that is looked at: that of the address, else where the reviewer stopped, else the first one."""
    number = parameters.index("Case", "case", len(found.images))
    if number is None and stopped_at is not None:
        number = next((row for row in rows.tolist() if found.images["path"].iloc[row] == stopped_at), None)
    return number if number is not None else int(rows[0])


def restart() -> None:
    """Begin another queue where the reviewer stopped, or with its first case; in a callback."""
    parameters.keep("case", "")


def pair(found: Predictions) -> tuple[int, int] | None:
    """The chosen pair of true and predicted class; None for all."""
    text = str(parameters.shown("pair", "") or parameters.text("pair"))
    parts = text.split("-")
    if len(parts) != 2 or not all(one.isascii() and one.isdigit() and len(one) < 7 for one in parts):
        return None
    true, predicted = map(int, parts)
    return (true, predicted) if max(true, predicted) < len(found.labels) else None


def _confusions(found: Predictions) -> None:
    """The choice of one pair of classes."""
    table = pairs(found)
    titles = {"": "all"}
    for true, predicted, true_name, predicted_name, images in table[
        ["true", "predicted", "true_name", "predicted_name", "images"]
    ].itertuples(index=False):
        if predicted >= 0:
            titles[f"{true}-{predicted}"] = f"{true_name} as {predicted_name} ({images:,})"
    if chosen := pair(found):
        true, predicted = chosen
        titles.setdefault(f"{true}-{predicted}", f"{found.labels[true]} as {found.labels[predicted]}")
    parameters.choice("Confusion", list(titles), "pair", default="").draw(
        st.selectbox, width=300, format_func=titles.__getitem__, on_change=restart
    )


def _place(evidence: Mapping[int, Evidence]) -> Place | None:
    """The choice of where the evidence lies, among the places that occur."""
    counts = Counter(one.place for one in evidence.values())
    if not counts:
        return None
    titles = {"": "anywhere"} | {place: f"{_PLACES[place]} ({counts[place]:,})" for place in PLACES if counts[place]}
    chosen = parameters.choice("Evidence", list(titles), "place", default="").draw(
        st.selectbox, width=220, format_func=titles.__getitem__, on_change=restart,
        help="Where the positive part of the heatmap lies.",
    )  # fmt: skip
    return next((place for place in PLACES if place == chosen), None)


def _items(found: Predictions, rows: Rows, reviews: Mapping[str, Review]) -> Items:
    """The thumbnails with what was predicted, and what was said."""
    images = found.images.iloc[rows]
    said = [reviews[path].verdict if path in reviews else "" for path in images["path"]]
    return Items(
        pixels=found.array("thumbnails")[rows],
        ids=rows.tolist(),
        titles=[found.class_name(label) for label in images["predicted"]],
        notes=[
            f"{confidence:.0%}{' · ' + verdict if verdict else ''}"
            for confidence, verdict in zip(images["confidence"], said, strict=True)
        ],
        actions=[("case", ["Look at it"] * len(rows))],
    )
