"""Targets beyond a class, made of choices: a difference of classes, a group, or a unit of a layer."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from core.data.model_options import Output
from core.explain.target_name import TargetName
from core.workbench import Workbench
from pages.ui.session import location
from pages.ui.widgets import forms

WIDTH = 420
_SIDES = "Explained is the difference of the logits; where a method's score is prob, the log-odds of the two."
_SUM = "Explained is the sum of the logits; where a method's score is prob, the sum of the probabilities."
DIFFERENCES: Mapping[Output, str] = {
    "softmax": _SIDES,
    "sigmoid": _SIDES,
    "multilabel": "Explained is the difference of the logits; where a method's score is prob, the logarithm of the "
    "ratio of the two probabilities.",
    "regression": "Explained is the difference of the values.",
}
GROUPS: Mapping[Output, str] = {
    "softmax": _SUM,
    "sigmoid": _SUM,
    "multilabel": "Explained is the sum of the logits; where a method's score is prob, the sum of the probabilities: "
    "the number of these labels that is expected.",
    "regression": "Explained is the sum of the values.",
}


@dataclass(frozen=True)
class Choices:
    """What targets are made of, and what happens to a target that is made."""

    bench: Workbench
    order: Sequence[int]  # of the classes
    names: Mapping[int, str]  # of the classes
    taken: Collection[TargetName]  # cannot be made again; the first single class is the default of differences
    verb: str  # of the button
    take: Callable[[TargetName], None]

    def kinds(self) -> dict[str, Callable[[], None]]:
        """The forms that this model has something for, by title."""
        found = {"Difference…": self._difference, "Group…": self._group} if len(self.order) > 1 else {}
        return {**found, "Unit…": self._unit} if self.bench.model.survey.usable else found

    def _difference(self) -> None:
        """Two classes, by default the first shown and the first other."""
        first = next((one.index for one in self.taken if one.index is not None), self.order[0])
        chosen = self._class("Why this class", self.order, self.order.index(first), "classes.first")
        others = [index for index in self.order if index != chosen]
        self._class("rather than", others, 0, "classes.second")
        self._button("the difference", _chosen_difference)
        st.caption(DIFFERENCES[self.bench.model.output])

    def _group(self) -> None:
        """Two classes or more, in the order in which they are chosen; a search selects all that it finds."""
        with st.container(horizontal=True, vertical_alignment="bottom"):  # the open list would cover what is below
            chosen = st.multiselect(
                "Classes of the group", self.order, key="classes.group", width=WIDTH,
                format_func=self.names.__getitem__, filter_mode="contains", placeholder="Search: one match or all",
            )  # fmt: skip
            title = f"the group of {len(chosen)} classes" if len(chosen) > 1 else "the group"
            self._button(title, _chosen_group)
        st.caption(GROUPS[self.bench.model.output])

    def _unit(self) -> None:
        """A layer, by default the one whose activations are read, and the number of a filter."""
        survey = self.bench.model.survey
        layers = {layer.name: layer for layer in survey.usable}
        default = location.current().layer or survey.default
        name = st.selectbox(
            "Layer", list(layers), list(layers).index(default) if default in layers else 0,
            lambda one: forms.layer_title(layers[one]), "classes.layer", width=WIDTH,
        )  # fmt: skip
        last = layers[name].units - 1
        st.number_input(f"Filter, 0 to {last:,}", 0, last, key=f"classes.unit.{name}", width=WIDTH)
        self._button("the unit", _chosen_unit)
        st.caption("Explained is the mean activation of the filter.")

    def _class(self, title: str, options: Sequence[int], first: int, key: str) -> int:
        name = self.names.__getitem__
        return st.selectbox(title, options, first, name, key, width=WIDTH, filter_mode="contains")

    def _button(self, what: str, made: Callable[[], TargetName | None]) -> None:
        target = made()
        st.button(
            f"{self.verb} {what}", key="classes.take", disabled=target is None or target in self.taken,
            on_click=self._clicked, args=(made,),
        )  # fmt: skip

    def _clicked(self, made: Callable[[], TargetName | None]) -> None:
        """Take what the form holds now: a fast click comes before its last change has been drawn."""
        target = made()
        if target is not None and target not in self.taken:
            self.take(target)


def _chosen_difference() -> TargetName | None:
    first, second = st.session_state["classes.first"], st.session_state["classes.second"]
    return TargetName((first,), (second,)) if first != second else None


def _chosen_group() -> TargetName | None:
    chosen = tuple(st.session_state["classes.group"])
    return TargetName(chosen) if len(chosen) > 1 else None


def _chosen_unit() -> TargetName | None:
    layer = st.session_state["classes.layer"]
    number = st.session_state.get(f"classes.unit.{layer}")  # none yet, if the layer has just been chosen
    return None if number is None else TargetName((int(number),), layer=layer)
