"""Parts about a unit of the layer of a study: average patches, responses by class, patches and rules."""

import numpy as np
import streamlit as st

from core.figures import charts
from core.mining.averages import weighted
from core.study import Study
from core.study.browse import PatchFilter
from pages.ui.session import navigation
from pages.ui.study import ablation, open_study, patch_items, rule_views
from pages.ui.widgets.gallery import Items, gallery


def spread(study: Study, number: int) -> None:
    """Its responses by class."""
    st.header("Responses by class", anchor=False)
    if "pooled" in study.manifest.arrays:
        images = open_study.table(study, "images")
        read = images["problem"].to_numpy() == ""
        values, labels = np.asarray(study.array("pooled")[read, number]), images["predicted"][read]
        what, kind = "Mean activation", "images"
    else:
        patches = open_study.catalogue(study)
        values, labels = patches.response(np.arange(len(patches.patches)), (number,)), patches.patches["label"]
        values = values / study.manifest.window**2
        what, kind = "Mean response", "patches"
    active = values > 0
    if not active.any():
        st.caption(f"Inactive in all {len(values):,} {kind}.")
        return
    title = f"{what}, in the {active.sum():,} of {len(values):,} {kind} where it is active"
    st.plotly_chart(charts.responses(values[active], labels.to_numpy()[active], study.labels), key="answers",
                    config={"displayModeBar": False})  # fmt: skip
    st.caption(title)


def averages(study: Study, number: int) -> None:
    """Its average patch over all classes, and in each class whose rules use it."""
    st.header("Average patches", anchor=False)
    catalogue = open_study.catalogue(study)
    rows = catalogue.matching(PatchFilter(filters=(number,)))
    if not len(rows):
        st.caption("It is among the strongest filters of no patch.")
        return
    table = open_study.table(study, "averages")
    table = table[table["filter"] == number].sort_values("weight", ascending=False)

    def make() -> Items:
        every = weighted(study.array("crops")[rows], catalogue.response(rows, (number,)))
        return Items(
            pixels=patch_items.as_pixels(
                np.concatenate([every[None], study.array("averages")[table.index.to_numpy()]])
            ),
            ids=[-1, *table["label"].tolist()],
            titles=["all patches", *(open_study.label(study, k) for k in table["label"])],
            notes=[f"n = {count}" for count in (len(rows), *table["patches"])],
            actions=[("rules", ["Rules of this class"] * (1 + len(table)))],
        )

    picks = gallery(
        make,
        (open_study.key(study), "unit", number),
        key="unit-averages",
        label="Average patches by class",
        noun=("average", "averages"),
        tile=120,
        height=340,
        panel=False,
    )
    if picks.action == "rules":
        navigation.go("mine/rules", label=open_study.label(study, picks.opened) if picks.opened >= 0 else "all")


def patches(study: Study, number: int) -> None:
    """The patches with its highest responses, of all classes."""
    catalogue = open_study.catalogue(study)
    conditions = PatchFilter(filters=(number,))
    rows = catalogue.ordered(catalogue.matching(conditions), "response", conditions.filters)
    st.header("Patches, strongest first", anchor=False)
    if len(rows):
        picks = gallery(
            patch_items.patches(study, rows, noted="response", filters=conditions.filters),
            (open_study.key(study), "of", number),
            key="unit-patches",
            label=f"Patches of {patch_items.unit(number)}",
            height=430,
        )
        patch_items.follow(study, picks)


def rules(study: Study, number: int) -> None:
    """The rules with it, with an ablation of the selected one."""
    mined = open_study.mined(study, open_study.config(study))
    own_rules = mined.rules[[number in filters for filters in mined.rules["filters"]]]
    st.header("Rules", anchor=False)
    if not len(own_rules):
        st.caption("None at this study's support. Other settings can be tried on the Rules page.")
        return
    if chosen := rule_views.picked(study, own_rules, mined.config.filters, "unit-rules", 8):
        open_study.about_class(study, chosen.label)
        ablation.switch(study, chosen.filters, "unit-rule")
