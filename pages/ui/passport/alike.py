"""The likeness of the patches of a unit for the network itself, on demand: clarity and redundancy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from core.measure.intervals import Interval
from core.progress import Report
from core.study import Study
from core.units.passport.clarity import Clarity, Likeness, likeness
from pages.ui.study import open_study, patch_items
from pages.ui.units import analyses
from pages.ui.units.inspected import Inspected
from pages.ui.widgets import messages
from pages.ui.widgets.on_demand import on_demand, takes
from pages.ui.widgets.text import plain

_OWN, _OTHERS = 64, 4  # strongest patches of the unit, and of each other one


@dataclass(frozen=True)
class _Patches:
    """Pictures of patches, the image of each, and the strongest ones of every unit."""

    key: str
    crops: np.ndarray  # (P, s, s, 3)
    images: Sequence[int]
    rows: Mapping[int, Sequence[int]]


def alike(inspected: Inspected, number: int) -> None:
    """Both with their intervals, or a button that computes them."""
    st.header("Clarity and redundancy", anchor=False)
    if inspected.problem:
        st.caption("They need the model, which cannot be opened.")
        return
    with messages.refused():
        patches = _patches(inspected, number)
        if patches is None or len(patches.rows.get(number, ())) < 2:
            st.caption("They need two patches of this unit.")
            return
        model = inspected.bench.model

        def work(report: Report) -> Likeness:
            return likeness(model, patches.crops, patches.images, patches.rows, number, report=report)

        count = len({row for rows in patches.rows.values() for row in rows})
        found = on_demand(
            "alike", (model.key, patches.key, inspected.layer, number), "Comparing patches", work, button="Compare",
            note=f"{takes(inspected.bench, count)} How alike are its patches for the network?",
        )  # fmt: skip
        if found:
            _shown(found)


def _shown(found: Likeness) -> None:
    if found.clarity:
        st.markdown(plain(_said(found.clarity)))
    if found.redundancy:
        other, cosine = found.redundancy
        words = (
            f"Most similar unit: {patch_items.unit(other)}, cosine {cosine:.2f} of the mean features of their patches."
        )
        st.markdown(plain(words))
    st.caption(
        "Mean cosine over pairs of its patches, of the last spatial layer averaged over positions; chance is that of "
        "other patches of the same images. 95% intervals over patches."
    )


def _said(one: Clarity) -> str:
    words = f"Clarity {_number(one.patches)}, n = {one.patches.n}"
    if one.chance is None or one.difference is None:
        return f"{words}; no other patches of these images are known to compare with."
    low = one.difference.low
    verdict = "more alike than chance" if low is not None and low > 0 else "not clearly more alike than chance"
    return f"{words}; chance {_number(one.chance)}: {verdict}."


def _number(one: Interval) -> str:
    return f"{one.mean:.2f}{one.bounds('.2f')}"


def _patches(inspected: Inspected, number: int) -> _Patches | None:
    """The patches of the study for its own layer, else those of the analysis of the strongest ones."""
    if inspected.study and inspected.of_study:
        return _of_study(inspected.study, number)
    store = analyses.newest(inspected, "activating")
    if store is None:
        return None
    table = analyses.rows(store, "patches", inspected.layer)
    ranked = pd.DataFrame({"unit": table["unit"], "row": table.index, "value": table["value"]})
    images = analyses.table(store, "patches")["image"].tolist()
    return _Patches(f"{store.manifest.digest} {store.path}", store.array("crops"), images, _strongest(ranked, number))


def _of_study(study: Study, number: int) -> _Patches:
    catalogue = open_study.catalogue(study)
    per_patch = catalogue.items.shape[1]
    ranked = pd.DataFrame({
        "unit": catalogue.items.ravel(), "row": np.repeat(np.arange(len(catalogue.items)), per_patch),
        "value": catalogue.responses.ravel(),
    })  # fmt: skip
    images = catalogue.patches["image"].tolist()
    rows = _strongest(ranked[ranked["unit"] >= 0], number)
    return _Patches(open_study.key(study), study.array("crops"), images, rows)


def _strongest(ranked: pd.DataFrame, number: int) -> dict[int, list[int]]:
    """The rows of the strongest patches of every unit."""
    ordered = ranked.sort_values(["value", "row"], ascending=[False, True])
    few: dict[int, list[int]] = {}
    for unit, row in ordered.groupby("unit").head(_OTHERS)[["unit", "row"]].to_numpy().tolist():
        few.setdefault(unit, []).append(row)
    return {**few, number: ordered.loc[ordered["unit"] == number, "row"].head(_OWN).tolist()}
