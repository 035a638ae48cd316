"""The choice of classes: those to explain, and the true one of an upload."""

from collections import Counter
from functools import lru_cache

import streamlit as st

from core.data.labels import class_note
from core.errors import VitrineError
from core.images import Picture
from core.workbench import Workbench
from pages.ui.session import location, state, url
from pages.ui.widgets.text import percent, plain

TOP = 10  # the most probable classes offered without a search


def choice(bench: Workbench, picture: Picture) -> None:
    """A button that opens the choice, in three groups, each sorted by the probability for the image."""
    shown = location.targets(bench, picture)
    with st.popover("Add a class…", icon=":material/add:"):
        order, names = _ordered(bench, picture)
        st.session_state["classes.shown"] = list(shown)
        st.pills(
            "Shown", [index for index in order if index in shown], selection_mode="multi", key="classes.shown",
            format_func=names.__getitem__, on_change=_removed, args=(shown,), help="Click a class to remove it.",
        )  # fmt: skip
        if len(shown) >= url.MOST:
            st.caption(f"At most {url.MOST} classes are shown side by side: remove one to add another.")
            return
        others = [index for index in order if index not in shown]
        st.session_state["classes.top"] = None
        st.pills(
            "Most probable for this image", others[:TOP], key="classes.top", format_func=names.__getitem__,
            on_change=_added, args=("classes.top", shown),
        )  # fmt: skip
        if len(others) > TOP:
            st.session_state["classes.all"] = None
            st.selectbox(
                f"All {len(order):,} classes, by probability", others, key="classes.all", index=None, width=420,
                format_func=names.__getitem__, filter_mode="contains", placeholder="Search",
                on_change=_added, args=("classes.all", shown),
            )  # fmt: skip
            if _numbers(bench.model.labels):
                st.caption(
                    "Labels of this model are numbers. A search finds labels; the number of a class is in parentheses."
                )


def true_class(bench: Workbench, picture: Picture) -> None:
    """A button that opens the choice of an upload's true class, by a search in all or by text, which may be a number.

    Nothing for an example, whose label is known, and for a model of values.
    """
    if picture.sha not in state.session().uploads() or bench.model.output == "regression":
        return
    known = location.true_class(bench, picture)
    title = "True class…" if known is None else f"True class: {plain(bench.model.labels[known])}"
    with st.popover(title, icon=":material/label:"):
        order, names = _ordered(bench, picture)
        st.session_state["classes.true"] = known
        st.selectbox(
            f"True class of {plain(picture.name)}", order, key="classes.true", index=None, width=420,
            format_func=lambda one: names.get(one, str(one)), filter_mode="contains", placeholder="Search",
            accept_new_options=True, on_change=_labelled, args=(bench, picture),
        )  # fmt: skip
        st.caption("It marks the predicted classes as right or wrong, here and in exports.")


def _labelled(bench: Workbench, picture: Picture) -> None:
    """Store the choice, or the class that the typed text means; if there is none, a notice suggests others."""
    wanted = st.session_state["classes.true"]
    try:
        true = None if wanted is None else bench.model.target(wanted)
    except VitrineError as error:
        state.add_notice("error", str(error))
        return
    state.session().label(picture.sha, None if true is None else (bench.model.labels[true], true))


@lru_cache(maxsize=8)
def _numbers(labels: tuple[str, ...]) -> frozenset[int]:
    """The classes whose labels are numbers of other classes."""
    return frozenset(index for index, label in enumerate(labels) if class_note(label, labels))


def _ordered(bench: Workbench, picture: Picture) -> tuple[list[int], dict[int, str]]:
    """The classes by falling probability, and their names with it.

    Equal labels, and those that are the number of another class, have the number of their own class beside them.
    """
    chances = bench.probabilities(picture).tolist()
    labels = bench.model.labels
    count = Counter(labels)
    unclear = _numbers(labels) | {index for index, label in enumerate(labels) if count[label] > 1}
    order = sorted(range(len(labels)), key=lambda index: -chances[index])
    names = {
        index: f"{labels[index]}{f' ({index})' if index in unclear else ''} · {percent(chances[index])}"
        for index in order
    }
    return order, names


def _removed(shown: tuple[int, ...]) -> None:
    if rest := tuple(index for index in shown if index in st.session_state["classes.shown"]):
        location.go(targets=rest)


def _added(key: str, shown: tuple[int, ...]) -> None:
    index = st.session_state[key]
    if isinstance(index, int):
        location.go(targets=(*shown, index)[: url.MOST])
