"""Rules "these filters → this class": mined live, as a table and a graph, tested by ablation."""

from dataclasses import replace
from typing import Any

import streamlit as st

from core.mining.rules import Mined
from core.study import Study
from core.study.config import MiningConfig
from pages.ui.session import parameters
from pages.ui.study import ablation, open_study, rule_graph, rule_views
from pages.ui.widgets import messages

_VIEWS = {"rules": "Rules", "shared": "Shared by classes", "graph": "Graph", "ablation": "Ablation"}


def settings(study: Study) -> MiningConfig:
    """The mining sliders; they start at the study's own settings."""
    was = open_study.config(study)
    most = study.manifest.arrays["items"].shape[1]
    columns = st.columns(4, gap="medium")
    numbers: list[parameters.Parameter[Any]] = [
        parameters.number("Support", 0.02, 1.0, "support", default=float(was.support), step=0.01),
        parameters.number("Confidence", 0.0, 1.0, "confidence", default=float(was.confidence), step=0.01),
        parameters.number("Rules per class (q)", 1, 50, "q", default=int(was.best), step=1),
        parameters.number("Filters per patch (N - 1)", 1, most, "n", default=min(most, int(was.filters)), step=1),
    ]
    helps = (
        "Fraction of the class's patches in which all filters of the rule are active.",
        "Fraction of the patches with these filters that belong to the class.",
        "Number of rules kept per class, ranked by support × confidence.",
        "Number of strongest filters considered per patch.",
    )
    support, confidence, best, filters = (
        one.draw(column.slider, help=text) for one, column, text in zip(numbers, columns, helps, strict=True)
    )
    return replace(was, support=support, confidence=confidence, best=int(best), filters=int(filters))


@st.fragment
@messages.error_boundary("Rules")
def workbench(study: Study) -> None:
    """Sliders above, one of the views below, the selected rule next to it."""
    config = settings(study)
    labels = [
        -1,
        *sorted(open_study.catalogue(study).patches["label"].unique().tolist(), key=lambda k: study.labels[k]),
    ]
    chosen = parameters.choice("Class", labels, "label", named=lambda k: "all" if k < 0 else study.labels[k])
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    views = parameters.choice("View", list(_VIEWS), "show")
    view = views.draw(left.segmented_control, required=True, format_func=_VIEWS.get, label_visibility="collapsed")
    label = chosen.draw(
        right.selectbox, label_visibility="collapsed",
        format_func=lambda k: "All classes" if k < 0 else study.labels[k],
    )  # fmt: skip
    with messages.refused():
        mined = open_study.mined(study, config)
        if view == "shared":  # shared sets do not depend on rules
            rule_views.shared(study, mined, label)
        elif not rules_of(mined, label):
            rule_views.nothing(study, config, label)
        elif view == "graph":
            rule_graph.graphed(study, mined, label)
        elif view == "ablation":
            ablation.ablation(study, mined)
        else:
            rule_views.listed(study, mined, label)


def rules_of(mined: Mined, label: int) -> int:
    """The number of rules, of one class or of all."""
    return len(mined.rules) if label < 0 else int((mined.rules["label"] == label).sum())


workbench(open_study.study())
