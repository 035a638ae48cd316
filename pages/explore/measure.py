"""Measure: curves and numbers of all maps of one image, or of several images with intervals."""

import streamlit as st

from core.comparison import Assessment, Tile, about
from core.errors import VitrineError
from core.explain.target_name import TargetName
from core.images import Picture
from pages.ui.explore import class_choice, comparison, gallery, method_choice, page_and_window
from pages.ui.measure import assessment, choice, curves, mask_drawing, mask_files, masks, table
from pages.ui.measure.assessment import Columns
from pages.ui.session import location, parameters
from pages.ui.widgets.text import plain

bench, picture = location.bench(), location.subject()
WAYS = {"methods": "This image", "images": "Images"}
MOST = 100  # images at a time
names = method_choice.chosen()


def tiles_of(one: Picture, wanted: TargetName) -> tuple[Tile, ...]:
    """The maps of every method."""
    return about(one, location.requests(bench, names, [wanted]))


def chosen_target() -> TargetName:
    """The target of the curves: of several on the page, a choice."""
    found = location.targets(bench, picture)
    if len(found) == 1:
        return found[0]
    parameter = parameters.choice("Target", found, "target")
    return parameter.draw(st.selectbox, format_func=lambda one: one.title(bench.model.labels), width=220)


def tiles_of_images(wanted: TargetName | None) -> list[Tile]:
    """The maps of every method for the chosen images, as far as they can be read."""
    with st.container(key="vitrine-reading"):
        read = gallery.pictures_of(bench, images[:count])
    found = {key: gallery.explained(one, wanted) for key, one in read.items()}
    for one in found.values():
        if isinstance(one, VitrineError):
            st.warning(plain(f"Left out: {one}"))
    pairs = {one[0].key: one for one in found.values() if not isinstance(one, VitrineError)}
    return [tile for pair in pairs.values() for tile in tiles_of(*pair)]


def view(found: Assessment, columns: Columns) -> None:
    """The curves, the table and the downloads."""
    first = curves.chosen(columns)
    if first:
        curves.drawn(found, first)
    table.drawn(columns, first or columns[0])
    table.downloads(found, columns, first)


with st.container(key="vitrine-controls", horizontal=True, vertical_alignment="bottom", gap="small"):
    ways = parameters.choice("Measure", tuple(WAYS), "by")
    way = ways.draw(st.segmented_control, required=True, format_func=lambda name: WAYS[name])
    if way == "images":
        images = gallery.chosen()
        count = parameters.number("At most", 2, MOST, "most", default=12, step=1).draw(st.number_input, width=120)
        target_of_all = gallery.target(bench)
    method_choice.methods(bench)
    choice.measures()
    method_choice.settings(bench, names)
    choice.settings()
    measures = choice.requests()
    place_of_masks = st.container(width="content")
    if way == "methods":
        if page_and_window.needed(picture):
            with st.popover("Image", icon=":material/tonality:"):
                page_and_window.controls(picture)
        class_choice.choice(bench, picture)
        target = chosen_target()

if way == "images":
    tiles = tiles_of_images(target_of_all)
    predicted = target_of_all is None
else:
    tiles = [*tiles_of(picture, target)]
    predicted = False
if tiles:
    shown = comparison.current(bench, tiles, predicted=predicted, seconds=comparison.AT_ONCE)
    assessment.current(shown)
    if choice.masked(measures):
        with place_of_masks:
            if way == "images":
                mask_files.controls(shown)
            else:
                masks.controls(shown)
    assessment.drawn(measures, view)
    if way == "methods":
        mask_drawing.dialog()
else:
    st.info("No image is chosen. Choose some under Images, upload them, or open a folder.")
