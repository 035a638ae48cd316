"""The class that the page is about: its choice, those before and after it, and a random one."""

import numpy as np
import streamlit as st

from core.randomness import generator
from core.study import Study
from pages.ui.session import parameters
from pages.ui.study import open_study
from pages.ui.widgets.text import plain

_DRAWN = "class-draws"  # random classes so far in this session


def class_parameter(study: Study) -> parameters.Parameter[int]:
    """The parameter for the class: those of the images by name, then others that were predicted, then all others."""
    images, predicted = open_study.folder_classes(study), _predicted(study)
    order = sorted(
        range(len(study.labels)), key=lambda k: (k not in images, k not in predicted, study.labels[k].casefold(), k)
    )
    return parameters.choice("Class", order, "class", named=open_study.class_texts(study).__getitem__)


def heading(study: Study) -> int:
    """Draw the head of the page and return the class."""
    parameter = class_parameter(study)
    order = parameter.given["options"]
    left, right = st.columns([1, 2.4], vertical_alignment="bottom")
    with right.container(horizontal=True, horizontal_alignment="right", vertical_alignment="bottom"):
        label = parameter.draw(
            st.selectbox, format_func=lambda k: _described(study, k), width=200, help="Type to find a class."
        )
        place = order.index(label)
        for text, step, shortcut in (("Previous", -1, "Left"), ("Next", 1, "Right")):
            st.button(
                text, shortcut=shortcut, on_click=_turn_to, args=(order, place + step),
                disabled=not 0 <= place + step < len(order),
            )  # fmt: skip
        st.button(
            "Random", key="class-random", icon=":material/casino:", on_click=_random, args=(study, label),
            help="Another class of the images, or one that was predicted.",
        )  # fmt: skip
    left.title(plain(study.labels[label]), anchor=False)
    return int(label)


def _predicted(study: Study) -> frozenset[int]:
    """The classes that were predicted for images of the study."""
    return frozenset(np.unique(open_study.table(study, "images")["predicted"]).tolist())


def _described(study: Study, label: int) -> str:
    """A class in the selection of classes, with what the study has of it."""
    if label in open_study.folder_classes(study):
        return study.labels[label]
    return f"{study.labels[label]} ({'predicted only' if label in _predicted(study) else 'no images'})"


def _turn_to(order: list[int], place: int) -> None:
    parameters.put("class", order[place])


def _random(study: Study, label: int) -> None:
    """Choose another class, in a callback: the next draw of the session."""
    known = sorted((open_study.folder_classes(study) | _predicted(study)) - {-1, label})
    number = st.session_state[_DRAWN] = st.session_state.get(_DRAWN, -1) + 1
    if known:
        draw = generator(study.manifest.seed, number).initial_seed()
        parameters.put("class", known[draw % len(known)])
