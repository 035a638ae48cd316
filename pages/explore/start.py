"""Start: an image and its first explanation, an uploader, and links to the other pages."""

from typing import Any

import streamlit as st

from core.workbench import Request
from pages.ui.explore import class_choice, comparison, folders, page_and_window, uploads
from pages.ui.session import location, navigation, state
from pages.ui.widgets import comparison_grid, model_facts
from pages.ui.widgets.text import plain

FIRST = ("grad_cam", "saliency")  # cheap enough to run without a request
# Pages, their content, and the model to open with an example, if it differs from the current one.
DOORS = (
    ("explore/compare", "Compare explanations", "Methods side by side on this image, for one or more classes.", ""),
    (
        "explore/start",
        "Flowers with known evidence",
        "Small networks trained on synthetic flowers, where the relevant part of each image is known.",
        "flowers-double-12c",
    ),
    (
        "explore/start",
        "A real photo",
        "A network trained on ImageNet that recognises 1,000 classes.",
        "efficientnet_lite0",
    ),
    (
        "explore/exam",
        "Which explanation can be trusted?",
        "Methods ranked on images where the evidence is known.",
        "",
    ),
    ("mine/patches", "What do the filters encode?", "The patches, rules and averages found in a folder of images.", ""),
    ("explore/failures", "Where is it wrong?", "Images the model gets wrong, and where the evidence lies.", ""),
    (
        "learn/methods",
        "How do the methods work?",
        "What each method computes, what it costs, and when it misleads.",
        "",
    ),
)


bench, picture = location.bench(), location.subject()
target = location.targets(bench, picture)[0]
usable = bench.usable()
requests = [Request(name, target) for name in FIRST if usable.get(name, "absent") == ""]

left, right = st.columns([2.5, 1], gap="large")
with left:
    shown = comparison.answered(bench, picture, requests)
    comparison_grid.comparison(shown, "first", compact=True)
with right:
    page_and_window.controls(picture)
    st.header("Your own image", anchor=False)
    uploads.uploader()
    class_choice.true_class(bench, picture)
    folders.chooser()

others = [door for door in DOORS if not door[3] or state.flowers(door[3]) != state.flowers(bench.model.name)]
doors = [(page, title, text, model) for name, title, text, model in others if (page := navigation.page_of(name))]
with st.container(key="vitrine-doors"):
    grid = st.grid(len(doors), min_column_width=290, gap="medium")
    for page, title, text, model in doors:
        with grid.container(border=True, height="stretch"):
            arrow: Any = {"icon": ":material/arrow_forward:", "icon_position": "right"}
            if model:  # a link to the page one stands on would not be followed
                st.button(
                    f"**{title}**", key="door", type="tertiary", on_click=location.open_model, args=(model,), **arrow
                )
            else:
                st.page_link(page, label=f"**{title}**", **arrow)
            st.write(text)

with st.expander("What the network sees"):
    model_facts.seen(bench, picture)
with st.expander(f"Supported layers and methods of {plain(bench.model.display)}"):
    model_facts.model(bench)
