"""Two models: where they disagree on the same images, their maps side by side, and blind ratings of these."""

import streamlit as st

from core.review.queue import Rows
from pages.ui.failures import opened as images
from pages.ui.failures import verdict
from pages.ui.session import parameters
from pages.ui.two_models import maps, overview, rating
from pages.ui.two_models.opened import Pair, opened
from pages.ui.widgets import messages
from pages.ui.widgets.text import plain

st.header("Two models", anchor=False)


def compare(pair: Pair) -> None:
    """The numbers, the queue, and one image with the maps of both."""
    blind = parameters.switch("Rate blind", "blind").draw(
        st.toggle, help="The models are hidden behind A and B, in an order drawn for every image and rater."
    )
    if not blind:
        overview.numbers(pair)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        method, which = maps.method(pair), maps.explained_class(pair)
        if blind:
            verdict.name_field()
    store = rating.ratings_of(pair, method)
    ratings = store.all()
    said = rating.own(ratings)
    rows = overview.queue(pair, blind=blind, notes={image: "rated" for image in said} if blind else {})
    if not len(rows):
        return
    chosen = parameters.index("Image", "case", len(pair.found.table))
    row = int(rows[0]) if chosen is None else chosen
    image = pair.found.table.iloc[row]
    path = str(image["path"])
    _steps(rows, row, sum(one in said for one in pair.found.table["path"].iloc[rows]), blind=blind)
    sides = dict(enumerate(pair.names))
    if blind:
        sides = dict(zip(rating.order_of(store, path), "AB", strict=True))
        rating.buttons(store, path, rows, row, said)
    else:
        first, second = (f"{image[name]} {image[f'{name}_confidence']:.1%}" for name in ("first", "second"))
        truth = f" It is {image['label']}." if image["label"] else ""
        st.markdown(plain(f"{pair.names[0]}: {first}. {pair.names[1]}: {second}.{truth}"))
    st.caption(plain(path))
    maps.maps(pair, row, method, which, sides)
    if not blind:
        rating.results(pair, ratings)


def _steps(rows: Rows, row: int, rated: int, *, blind: bool) -> None:
    """Previous and next, and where one is in the queue."""
    places = rows.tolist()
    at = places.index(row) if row in places else None
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for text, step, key, last in (("Previous", -1, "k", 0), ("Next", 1, "j", len(places) - 1)):
            to = places[min(max((at if at is not None else -1) + step, 0), len(places) - 1)]
            st.button(
                text, shortcut=key, key=f"two-models-{text}", disabled=at == last, on_click=parameters.keep,
                args=("case", to),
            )  # fmt: skip
        where = f"image {at + 1:,} of {len(places):,}" if at is not None else "an image outside this queue"
        st.markdown(f"**{where}**" + (f" · {rated:,} of {len(places):,} rated" if blind else ""))


with messages.error_boundary("Two models"):
    if (first := images.opened()) and (both := opened(first)):
        compare(both)
