"""Bias: what a region of the images is worth to a model, and whether it is right equally often for all groups."""

import streamlit as st

from pages.ui.bias import effect, exports, groups, maps, region
from pages.ui.failures.opened import Opened, opened
from pages.ui.widgets import messages
from pages.ui.widgets.text import plain

st.header("Bias", anchor=False)


def examine(shown: Opened) -> None:
    """The mean maps with the region, what the region is worth, and the groups."""
    found = shown.predictions
    for note in found.notes:
        st.caption(plain(note))
    averaged = maps.sampled(shown)
    place = region.chosen(shown, averaged)
    if place is None:
        return
    left, right = st.columns([1.1, 1], gap="large")
    with left:
        if averaged:
            maps.overview(averaged, place.mask)
    with right:
        fill = effect.fill()
        result = effect.filled(shown, place, fill)
        effect.sentences(averaged, place.mask, result)
        menu = st.container()
    st.subheader("By class", anchor=False)
    if averaged:
        maps.by_class(shown, averaged, place.mask)
    effect.table(shown, averaged, place.mask, result)
    st.subheader("By group", anchor=False)
    table, option = groups.groups(found)
    with menu:
        exports.menu(
            exports.files(found, averaged, place.mask, result, table), exports.command(found, place, fill, option)
        )


with messages.error_boundary("Bias"):
    if chosen := opened():
        examine(chosen)
