"""The classes that need a unit: its weights by the mu-lasso, and the effect of its ablation."""

from contextlib import suppress
from dataclasses import replace
from typing import cast

import pandas as pd
import streamlit as st

from core.errors import VitrineError
from core.export.spreadsheet import as_csv
from core.progress import Report
from core.units.convolutions import of_same_units
from core.units.passport.effect import Effect, effect_on_folder, effect_on_study
from core.units.relevance import ClassUnit
from core.units.store import UnitStore
from pages.ui.passport.class_averages import class_averages
from pages.ui.session import visitors
from pages.ui.study import patch_items
from pages.ui.units import analyses
from pages.ui.units.inspected import Inspected
from pages.ui.widgets import messages
from pages.ui.widgets.folder_browser import browser
from pages.ui.widgets.on_demand import computed, done, on_demand
from pages.ui.widgets.tables import percentages
from pages.ui.widgets.text import plain

_PART, _TITLE = "effect", "Ablating the unit"
_SHARES = ("accuracy", "accuracy_without", "probability", "probability_without", "change", "low", "high")


def known_effect(inspected: Inspected, number: int) -> Effect | None:
    """The effect of ablating the unit that is known: at once from a study's averages, else as it was asked for."""
    study = inspected.study
    if inspected.problem:
        return None
    if study and _at_once(inspected):
        key = (study.manifest.digest, number)

        def work(report: Report) -> Effect:
            return effect_on_study(study, inspected.bench.model, inspected.layer, number, report=report)

        with suppress(VitrineError):  # images without classes, a regression
            return computed(_PART, key, _TITLE, work)
        return None
    return cast("Effect | None", done(_PART, _key(inspected, number)))


def weights(inspected: Inspected, number: int) -> None:
    """The classes whose sparse linear model has a weight for the unit, or the offer to compute these."""
    st.header("Relevance for classes", anchor=False)
    if inspected.problem:
        st.caption("It needs the model, which cannot be opened.")
        return
    store, layer = _relevance(inspected)
    if store is None:
        st.caption("The mu-lasso has not been computed for this layer.")
        analyses.offer(inspected, "relevance", "unit-relevance")
        return
    table = analyses.rows(store, "weights", layer)
    own = table[table["unit"] == number].sort_values("weight", ascending=False)
    names = analyses.table(store, "classes")["name"]
    unit, mu = patch_items.unit(number), store.manifest.settings.settings["mu"]
    of = (
        ""
        if layer == inspected.layer
        else f" Those of {layer}, from whose channels {inspected.layer} is computed one by one."
    )
    if not len(own):
        st.markdown(plain(f"No class has a weight for {unit}: others tell the classes apart, or respond alike."))
    else:
        st.dataframe(
            pd.DataFrame({"Class": own["label"].map(names), "Weight": own["weight"], "Rank": own["rank"] + 1}),
            hide_index=True, alt=f"Weights of {unit} by class",
            column_config={"Weight": st.column_config.NumberColumn(format="%.3f")},
        )  # fmt: skip
    st.caption(plain(
        f"Weights of a sparse linear model of each class on the responses of all units, l1 norm at most {mu:g} "
        f"(Oramas et al. 2019).{of}"
    ))  # fmt: skip
    if relevant := [ClassUnit(label, layer, number) for label in own.loc[own["weight"] > 0, "label"].tolist()]:
        class_averages(inspected, store, relevant)


def ablated(inspected: Inspected, number: int) -> None:
    """The effect of ablating the unit on each class: known, or computed on a folder of images."""
    st.header("Ablation by class", anchor=False)
    if inspected.problem:
        st.caption("This needs the model, which cannot be opened.")
        return
    with messages.refused():
        found = known_effect(inspected, number) if _at_once(inspected) else _asked(inspected, number)
        if found and found.images:
            _shown(inspected, number, found)
        elif _at_once(inspected):
            st.caption("None of the images of this study has a class that the model predicts.")


def _shown(inspected: Inspected, number: int, found: Effect) -> None:
    """The table, as it is and as CSV."""
    table, unit = found.per_class, patch_items.unit(number)
    shown = table[["name", "images", *_SHARES]].rename(columns=_heading)
    percentages(
        shown, map(_heading, _SHARES),
        height="content" if len(table) <= 8 else 320, alt=f"Accuracy and probability by class without {unit}",
    )  # fmt: skip
    left, right = st.columns([4, 1], vertical_alignment="top")
    left.caption(
        f"Accuracy and mean probability of the true class, with and without {unit} (set to zero), over "
        f"{found.images:,} images; change of the probability with its 95% interval over images."
    )
    right.download_button(
        "CSV", lambda: as_csv(table), f"{inspected.layer}-{unit}-ablated.csv", "text/csv", key="effect-csv",
        on_click="ignore", icon=":material/download:",
    )  # fmt: skip
    if found.skipped:
        st.caption(plain(f"Skipped: {', '.join(list(found.skipped)[:5])}{' …' * (len(found.skipped) > 5)}."))


def _at_once(inspected: Inspected) -> bool:
    """Whether the averages of a study determine the effect."""
    return inspected.study is not None and inspected.of_study and "pooled" in inspected.study.manifest.arrays


def _asked(inspected: Inspected, number: int) -> Effect | None:
    """The effect on the images of a folder that is asked for."""
    model, layer = inspected.bench.model, inspected.layer
    with st.container(horizontal=True, vertical_alignment="bottom"):
        folder = st.text_input(
            "Folder of images", analyses.images_of(inspected), key="unit-effect-data", width=380,
            placeholder="/home/you/photos", help="On this server, with one sub-folder per class.",
        ).strip()  # fmt: skip
        browser("unit-effect-data")
    if not folder:
        st.caption("How much do accuracy and probability of each class change when this unit is set to zero?")
        return None
    visitors.permitted(folder)
    return on_demand(
        _PART, _key(inspected, number), _TITLE,
        lambda report: effect_on_folder(model, layer, number, folder, report=report), button="Ablate the unit",
    )  # fmt: skip


def _key(inspected: Inspected, number: int) -> tuple[str, str, int, str]:
    folder = str(st.session_state.get("unit-effect-data", analyses.images_of(inspected))).strip()
    return (inspected.bench.model.key, inspected.layer, number, folder)


def _relevance(inspected: Inspected) -> tuple[UnitStore | None, str]:
    """The newest analysis of the layer, or of one before it that has the same units, and the layer it has."""
    for name in of_same_units(inspected.bench.model, inspected.layer):
        if store := analyses.newest(replace(inspected, layer=name), "relevance"):
            return store, name
    return None, inspected.layer


def _heading(name: str) -> str:
    return {"name": "class"}.get(name, name.replace("_", " ")).capitalize()
