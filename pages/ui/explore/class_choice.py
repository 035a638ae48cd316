"""The choice of targets: classes, differences, groups and units to explain; and of the true class of an upload."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import lru_cache, partial

import streamlit as st

from core.data.labels import class_note
from core.errors import VitrineError
from core.explain.target_name import TargetName
from core.images import Picture
from core.workbench import Workbench
from pages.ui.explore.other_targets import Choices
from pages.ui.session import location, state, url
from pages.ui.widgets.text import percent, plain

TOP = 10  # the most probable classes offered without a search
Shown = tuple[TargetName, ...]
Names = Mapping[int, str]  # of the classes, with their probabilities


def choice(bench: Workbench, picture: Picture) -> None:
    """A button that opens the choice: what is shown, then another class, a difference, a group or a unit."""
    shown = location.targets(bench, picture)
    with st.popover("Add a class…", icon=":material/add:"):
        order, names = _ordered(bench, picture)
        classes = [TargetName((index,)) for index in order]
        st.session_state["classes.shown"] = list(shown)
        st.pills(
            "Shown", [*(one for one in classes if one in shown), *(one for one in shown if one.index is None)],
            selection_mode="multi", key="classes.shown",
            format_func=lambda one: one.title(bench.model.labels) if one.index is None else names[one.index],
            on_change=_removed, args=(shown,), help="Click one to remove it.",
        )  # fmt: skip
        if len(shown) >= url.MOST:
            st.caption(f"At most {url.MOST} classes are shown side by side: remove one to add another.")
            return
        made = Choices(bench, order, names, shown, "Add", partial(_added, shown=shown))
        kinds: dict[str, Callable[[], None]] = {"Class": partial(_class, bench, shown, order, names), **made.kinds()}
        kinds[st.segmented_control("Explain", list(kinds), default="Class", required=True, key="classes.kind")]()


def _class(bench: Workbench, shown: Shown, order: list[int], names: Names) -> None:
    """The other classes, by their probability for the image: the first as buttons, all in a search."""
    others = [index for index in order if TargetName((index,)) not in shown]
    st.session_state["classes.top"] = None
    st.pills(
        "Most probable for this image", others[:TOP], key="classes.top", format_func=names.__getitem__,
        on_change=_picked, args=("classes.top", shown),
    )  # fmt: skip
    if len(others) > TOP:
        st.session_state["classes.all"] = None
        st.selectbox(
            f"All {len(order):,} classes, by probability", others, key="classes.all", index=None, width=420,
            format_func=names.__getitem__, filter_mode="contains", placeholder="Search",
            on_change=_picked, args=("classes.all", shown),
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


def marks(bench: Workbench, picture: Picture) -> dict[int, str]:
    """The classes to mark if the true one is known: the predicted ones are right or wrong, the true one is true.

    Of several labels at once the image may have others than the known one, so none of them is wrong.
    """
    true = location.true_class(bench, picture)
    if true is None:
        return {}
    predicted = bench.model.asserted(bench.logits(picture))
    wrong = {} if bench.model.output == "multilabel" else dict.fromkeys(predicted, "wrong")
    return {**wrong, true: "right" if true in predicted else "true"}


@lru_cache(maxsize=8)
def _numbers(labels: tuple[str, ...]) -> frozenset[int]:
    """The classes whose labels are numbers of other classes."""
    return frozenset(index for index, label in enumerate(labels) if class_note(label, labels))


@lru_cache(maxsize=8)
def named(labels: tuple[str, ...]) -> dict[int, str]:
    """The names of the classes among others: their labels.

    Equal labels, and those that are the number of another class, have the number of their own class beside them.
    """
    count, numbers = Counter(labels), _numbers(labels)
    return {
        index: f"{label} ({index})" if index in numbers or count[label] > 1 else label
        for index, label in enumerate(labels)
    }


def _ordered(bench: Workbench, picture: Picture) -> tuple[list[int], dict[int, str]]:
    """The classes by falling probability, and their names with it."""
    chances = bench.probabilities(picture).tolist()
    names = named(bench.model.labels)
    order = sorted(names, key=lambda index: -chances[index])
    return order, {index: f"{names[index]} · {percent(chances[index])}" for index in order}


def _removed(shown: Shown) -> None:
    if rest := tuple(target for target in shown if target in st.session_state["classes.shown"]):
        location.go(targets=rest)


def _picked(key: str, shown: Shown) -> None:
    index = st.session_state[key]
    if isinstance(index, int):
        _added(TargetName((index,)), shown)


def _added(target: TargetName, shown: Shown) -> None:
    location.go(targets=(*shown, target)[: url.MOST])
