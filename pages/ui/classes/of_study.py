"""Parts about what a study mined of a class: its rules, strongest patches and average patches."""

import numpy as np
import streamlit as st

from core.study import Study
from core.study.browse import PatchFilter
from pages.ui.session import navigation
from pages.ui.study import open_study, patch_items, rule_views
from pages.ui.widgets.gallery import Items, gallery
from pages.ui.widgets.text import plain

_PATCHES, _AVERAGES, _RULES = 24, 12, 8


def rules(study: Study, label: int) -> None:
    """Its rules by the study's own settings."""
    st.header("Rules", anchor=False)
    mined = open_study.mined(study, open_study.config(study))
    own = mined.rules[mined.rules["label"] == label].sort_values("score", ascending=False, kind="stable")
    name = study.labels[label]
    if not len(own):
        st.caption(plain(f"No rule of this study predicts {name}."))
        if label in open_study.catalogue(study).by_label(PatchFilter()):
            navigation.link("mine/rules", "Try other settings on Rules", label=name)
        return
    rule_views.picked(study, own, mined.config.filters, "class-rules", _RULES)
    navigation.link("mine/rules", "Open on Rules", label=name, rule=st.query_params.get("rule"))


def patches(study: Study, label: int) -> None:
    """The patches with the highest scores."""
    st.header("Patches, strongest first", anchor=False)
    catalogue = open_study.catalogue(study)
    rows = catalogue.ordered(catalogue.matching(PatchFilter(label)), "score")
    if not len(rows):
        st.caption(plain(f"The study has no patch of {study.labels[label]}."))
        return
    picks = gallery(
        patch_items.patches(study, rows[:_PATCHES], noted="score", groups=()),
        (open_study.key(study), "class", label), key="class-patches", label=f"Patches of class {label}",
        tile=72, height=None,
    )  # fmt: skip
    navigation.link("mine/patches", f"All {len(rows):,} patches", **_alone(study, label))
    patch_items.follow(study, picks)


def averages(study: Study, label: int) -> None:
    """The averages of the filters of its rules, those of most weight first."""
    st.header("Average patches", anchor=False)
    table = open_study.table(study, "averages")
    own = table[table["label"] == label].sort_values("weight", ascending=False, kind="stable")
    if not len(own):
        st.caption("Averages are computed from rules, and it has none.")
        return
    shown = own.head(_AVERAGES)
    numbers = shown["filter"].tolist()
    picks = gallery(
        lambda: Items(
            pixels=patch_items.as_pixels(np.asarray(study.array("averages")[shown.index.to_numpy()])),
            ids=numbers,
            titles=[patch_items.unit(number) for number in numbers],
            notes=[f"n = {count:,}" for count in shown["patches"]],
            actions=[("unit", [f"Open {patch_items.unit(number)}" for number in numbers])],
        ),
        (open_study.key(study), "class-averages", label), key="class-averages", label=f"Averages of class {label}",
        noun=("average", "averages"), tile=96, height=None, panel=False,
    )  # fmt: skip
    navigation.link("mine/averages", f"All {len(own):,} averages", label=study.labels[label])
    if picks.action == "unit":
        navigation.go("units/unit", unit=int(picks.opened))


def _alone(study: Study, label: int) -> dict[str, str | None]:
    """The conditions on patches that leave those of this class."""
    return {**dict.fromkeys(navigation.DEMANDS), "label": study.labels[label]}
