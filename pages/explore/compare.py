"""Compare: methods side by side on one image, at several layers, across many images, or before and after an edit."""

import streamlit as st

from core.comparison import about
from pages.ui.explore import class_choice, comparison, gallery, layers_of_one, method_choice, page_and_window
from pages.ui.session import location, parameters
from pages.ui.units import relevance_offer
from pages.ui.what_if import on_compare

bench, picture = location.bench(), location.subject()
at: list[str] = []  # the layers that are compared
WAYS = {"methods": "Methods", "layers": "Layers", "images": "Images", "what-if": "What if"}
PRESENTED = 6  # maps in a presentation
names = method_choice.chosen()

with st.container(key="vitrine-controls", horizontal=True, vertical_alignment="bottom", gap="small"):
    possible = [name for name in WAYS if name != "layers" or layers_of_one.methods(bench)]
    ways = parameters.choice("Compare", possible, "by")
    way = ways.draw(st.segmented_control, required=True, format_func=lambda name: WAYS[name])
    if way == "images":
        images = gallery.chosen()
        names = (gallery.method(bench, names[0]),)
        wanted = gallery.target(bench)
    elif way == "layers":
        names = (layers_of_one.method(bench, names[0]),)
        at = layers_of_one.layers(bench)
    elif way == "methods":
        method_choice.methods(bench)
    if way != "what-if":
        method_choice.settings(bench, names)
    if way != "images":
        if page_and_window.needed(picture):
            with st.popover("Image", icon=":material/tonality:"):
                page_and_window.controls(picture)
        class_choice.choice(bench, picture)
        class_choice.true_class(bench, picture)

if way == "what-if":
    on_compare.panel(names[0])
else:
    on_compare.leave()
    if way == "images":
        gallery.drawn(bench, images, names[0], wanted)
    else:
        here, targets = location.current(), location.targets(bench, picture)
        shown = names[: max(1, PRESENTED // len(targets))] if here.present else names
        requests = location.requests(bench, shown, targets, at)
        comparison.drawn(comparison.current(bench, about(picture, requests)), "grid")
    relevance_offer.offer(bench, names)
