"""Blind ratings: five steps from A to B, who rates, and what all raters say together."""

import pandas as pd
import streamlit as st

from core.errors import VitrineError
from core.export.spreadsheet import as_csv
from core.review.queue import Rows
from core.review.two_models.ratings import SCALE, Rating, Ratings, Summary, is_swapped, summary
from pages.ui.failures import verdict
from pages.ui.session import parameters, state, visitors
from pages.ui.two_models.opened import Pair
from pages.ui.widgets.text import plain


def ratings_of(pair: Pair, method: str) -> Ratings:
    """The ratings of these models on these images, by explanations of one method."""
    first, second = (bench.model.sha for bench in pair.benches)
    source = pair.found.first.source
    return Ratings(source.key, first, second, method, visitors.own_home() / "reviews", name=source.name)


def order_of(store: Ratings, image: str) -> tuple[int, int]:
    """The models (0, 1) in the order in which this rater sees them as A and B."""
    return (1, 0) if is_swapped(store.pair, image, verdict.reviewer()) else (0, 1)


def own(ratings: list[Rating]) -> dict[str, int]:
    """The scores of this rater, by path of the image."""
    return {one.image: one.score for one in ratings if one.rater == verdict.reviewer()}


def buttons(store: Ratings, image: str, rows: Rows, row: int, said: dict[str, int]) -> None:
    """The five steps, by button or key; a rating goes on to the next image."""
    swapped = order_of(store, image) == (1, 0)
    now = -said[image] if image in said and swapped else said.get(image)
    with st.container(horizontal=True, gap="small"):
        for number, (score, words) in enumerate(SCALE.items(), 1):
            st.button(
                words, shortcut=str(number), key=f"rating-{number}", on_click=_rate,
                args=(store, image, rows, row, -score if swapped else score),
                type="primary" if score == now else "secondary",
            )  # fmt: skip
        st.button(
            "Take back", shortcut="u", key="rating-back", on_click=_rate, args=(store, image, rows, row, None),
            disabled=image not in said, type="tertiary",
        )  # fmt: skip


def results(pair: Pair, ratings: list[Rating]) -> None:
    """What all raters say, and their ratings as a file; says nothing about this pair before somebody has rated."""
    found = summary(ratings)
    if not found.ratings:
        return
    st.header("What the raters say", anchor=False)
    st.markdown(plain(_sentence(pair, found)))
    st.caption(plain(_reliability(found)))
    table = pd.DataFrame([(one.image, one.rater, one.score, one.at) for one in ratings], columns=_COLUMNS)
    st.download_button(
        "CSV", lambda: as_csv(table), "ratings.csv", "text/csv", key="ratings-csv", on_click="ignore",
        icon=":material/download:", help="Positive scores prefer the first model, however it was shown.",
    )  # fmt: skip


_COLUMNS = ["image", "rater", "score", "at"]


def _sentence(pair: Pair, found: Summary) -> str:
    one = found.preference
    if one is None:
        return ""
    sides = "neither" if not one.mean else pair.names[0] if one.mean > 0 else pair.names[1]
    sure = one.low is not None and one.high is not None and not one.low <= 0 <= one.high
    hint = "" if sure or one.low is None else " The interval holds zero, so this may be chance."
    count = f"{found.ratings:,} rating{'s' * (found.ratings != 1)} of {found.images:,} image{'s' * (found.images != 1)}"
    mean = f"{one.mean:+.2f}{one.bounds('+.2f')}"
    return f"{count}: {mean} on a scale from +2 ({pair.names[0]}) to -2, in favour of {sides}.{hint}"


def _reliability(found: Summary) -> str:
    who = "One rater" if found.raters == 1 else f"{found.raters} raters"
    if found.alpha is None:
        return f"{who}. Krippendorff's alpha needs images that two raters have rated, not all of them alike."
    return (
        f"{who}. Krippendorff's alpha (ordinal) is {found.alpha:.2f}: 1 is full agreement, 0 what chance gives; "
        "below 0.67 conclusions are usually not drawn."
    )


def _rate(store: Ratings, image: str, rows: Rows, row: int, score: int | None) -> None:
    """Store a rating and go on, in a callback."""
    try:
        store.set(image, verdict.reviewer(), score)
    except VitrineError as error:
        state.add_notice("error", str(error))
        return
    places = rows.tolist()
    if score is not None and row in places and places.index(row) + 1 < len(places):
        parameters.keep("case", places[places.index(row) + 1])
