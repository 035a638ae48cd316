"""Rules "these filters → this class": mined live, as a table and a graph, tested by ablation."""

from dataclasses import replace

import pandas as pd
import streamlit as st

from core.mining.overview import LEAST, SHARE, overview
from core.mining.rules import Mined
from core.study import Study
from pages.ui.session import parameters
from pages.ui.study import ablation, open_study, rule_graph, rule_views
from pages.ui.study.mining_settings import settings
from pages.ui.widgets import messages
from pages.ui.widgets.text import plain

_VIEWS = {"rules": "Rules", "shared": "Shared by classes", "graph": "Graph", "ablation": "Ablation"}


@st.fragment
@messages.error_boundary("Rules")
def workbench(study: Study) -> None:
    """Sliders above, one of the views below, the selected rule next to it."""
    config = settings(study)
    folder = open_study.folder_classes(study)
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    views = parameters.choice("View", list(_VIEWS), "show")
    view = views.draw(left.segmented_control, required=True, format_func=_VIEWS.get, label_visibility="collapsed")
    label = class_parameter(study, folder).draw(
        right.selectbox, label_visibility="collapsed", format_func=lambda k: class_name(study, folder, k)
    )
    with messages.refused():
        mined = open_study.mined(study, config)
        skipped(study, mined)
        if view == "ablation" and len(mined.rules):  # as in the paper, of all rules
            ablation.ablation(study, mined)
        elif view == "shared" and not len(mined.rules):  # frequent sets do not depend on rules
            rule_views.shared(study, mined, mined, label)
        elif not len(of_class(mined.rules, label)):
            rule_views.nothing(study, config, label)
        else:
            shown = first(study, mined, label, folder)
            if view == "shared":
                rule_views.shared(study, mined, shown, label)
            elif view == "graph":
                rule_graph.graphed(study, mined, shown, label)
            else:
                rule_views.listed(study, shown)


def class_parameter(study: Study, folder: frozenset[int]) -> parameters.Parameter[int]:
    """The class whose rules are shown: all, those of the folder, then the others that were predicted."""
    predicted = open_study.catalogue(study).patches["label"].unique().tolist()
    labels = [-1, *sorted(predicted, key=lambda k: (k not in folder, study.labels[k]))]
    return parameters.choice("Class", labels, "label", named=lambda k: "all" if k < 0 else study.labels[k])


def class_name(study: Study, folder: frozenset[int], label: int) -> str:
    """A class in the selection of classes."""
    if label < 0:
        return "All classes"
    return study.labels[label] if label in folder or not folder else f"{study.labels[label]} (not in the folder)"


def of_class(rules: pd.DataFrame, label: int) -> pd.DataFrame:
    """The rules of one class, or of all (-1)."""
    return rules if label < 0 else rules[rules["label"] == label]


def skipped(study: Study, mined: Mined) -> None:
    """Name the classes that were not mined."""
    if mined.skipped:
        names = ", ".join(study.labels[label] for label in mined.skipped)
        st.warning(
            plain(
                f"Skipped, as they have more than {mined.config.limit:,} frequent filter sets: {names}. Raise the "
                "support or the maximum, or use closed itemsets."
            )
        )


def first(study: Study, mined: Mined, label: int, folder: frozenset[int]) -> Mined:
    """The rules that are shown, with switches for those that are hidden at first."""
    rules = of_class(mined.rules, label)
    classes = folder if label < 0 else frozenset((label,))
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        found = overview(rules, classes)
        if found.outside:
            names = f"Show {amount(len(found.outside), 'class', 'classes')} of predictions outside the folder"
            outside = parameters.switch(names, "outside").draw(st.toggle, help=named(study, found.outside))
            found = overview(rules, classes, outside=outside)
        if found.least < LEAST[0]:
            st.caption(f"No rule has {LEAST[0]} patches: those of at least {found.least} are shown.")
        if found.few:
            text = f"Show {amount(found.few, 'rule', 'rules')} of fewer than {found.least} patches"
            share = f"Or of fewer than {SHARE:.0%} of the patches of their class."
            few = parameters.switch(text, "few").draw(st.toggle, help=share)
            found = overview(rules, classes, outside=not found.outside, few=few)
    return replace(mined, rules=found.rules)


def amount(count: int, one: str, several: str) -> str:
    """A number of things."""
    return f"1 {one}" if count == 1 else f"{count:,} {several}"


def named(study: Study, labels: tuple[int, ...], most: int = 12) -> str:
    """The names of some classes."""
    more = f" and {len(labels) - most} others" if len(labels) > most else ""
    return plain(", ".join(study.labels[label] for label in labels[:most]) + more)


workbench(open_study.study())
