"""Facts about the units of a layer, from the study and stored analyses, and the filters that choose some of them."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.study import Study
from core.units.overview import Profiles, Projection, projected, unit_table
from core.units.store import UnitStore
from pages.ui.session import parameters
from pages.ui.study import open_study
from pages.ui.units import analyses
from pages.ui.units.inspected import Inspected

ANALYSES = ("activating", "profiles", "dissection", "relevance")  # of a layer, in the order they are offered
_WHICH = {"all": "All units", "rules": "In rules", "concept": "With a concept", "relevant": "Relevant for a class"}


@dataclass(frozen=True)
class UnitFacts:
    """The table of the units of a layer and where it comes from."""

    inspected: Inspected
    stores: Mapping[str, UnitStore]  # by analysis; those that contain the layer
    key: Hashable  # of the content, for caches

    @property
    def study(self) -> Study | None:
        """The open study if it is of this layer."""
        return self.inspected.study if self.inspected.of_study else None

    @cached_property
    def profiles(self) -> Profiles | None:
        """The mean responses by class: of a stored analysis, else of what the study keeps."""
        return _found((self.key, "profiles"), self)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per unit; must not be modified."""
        table: pd.DataFrame = _found((self.key, "table"), self)
        return table

    @cached_property
    def projection(self) -> Projection | None:
        """The places of the units by their profiles; None without profiles."""
        return _found((self.key, "projection"), self)

    @cached_property
    def missing(self) -> list[str]:
        """The analyses that nobody has made of this layer."""
        return [name for name in ANALYSES if name not in self.stores]

    @property
    def sources(self) -> str:
        """Where the facts come from, as a sentence; "" if nothing is known."""
        words = [f"the study {self.study.name}"] if self.study else []
        words += [
            f"{store.analysis.title.lower()} of {len(analyses.table(store, 'images')):,} images"
            for store in self.stores.values()
        ]
        return f"Known from {', '.join(words)}." if words else ""


def of_layer(inspected: Inspected) -> UnitFacts:
    """Everything that is known of the units of the layer."""
    found = {name: analyses.newest(inspected, name) for name in ANALYSES}
    stores = {name: store for name, store in found.items() if store}
    known = [(store.manifest.digest, str(store.path)) for store in stores.values()]
    study = open_study.key(inspected.study) if inspected.study and inspected.of_study else ""
    return UnitFacts(inspected, stores, (inspected.sha, inspected.layer, study, *known))


def chosen(facts: UnitFacts) -> list[int]:
    """The units that the filters above the views leave."""
    table = facts.table
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        text = parameters.Parameter("Search", "find", "", str).draw(
            st.text_input, placeholder=_searched(table), width=260, icon=":material/search:"
        )
        options = [name for name in _WHICH if _having(table, name) is not None]
        which = "all"
        if len(options) > 1:
            which = parameters.choice("Units", options, "which").draw(
                st.segmented_control, required=True, format_func=_WHICH.get
            )
        shown = np.ones(len(table), bool)
        dead = table["dead"].to_numpy(bool) if "dead" in table else ~shown
        if dead.any():
            name = "1 dead unit" if dead.sum() == 1 else f"{dead.sum():,} dead units"
            if not parameters.switch(f"Show {name}", "dead").draw(
                st.toggle, help="Units whose response is the same in all images that were analysed."
            ):
                shown &= ~dead
    having = _having(table, which)
    if having is not None:
        shown &= having
    if text.strip():
        shown &= _matching(table, text.strip())
    numbers: list[int] = table.loc[shown, "unit"].tolist()
    return numbers


def clear() -> None:
    """Remove all filters but the one of dead units, in a callback."""
    parameters.put("find", "")
    parameters.put("which", "all")


def described(facts: UnitFacts, units: Sequence[int]) -> dict[str, list[str]]:
    """What is known of some units, as texts by name of the fact."""
    rows = facts.table.iloc[list(units)].to_dict("records")
    return {name: [read(row) for row in rows] for name, (needed, read) in _TEXTS.items() if needed in facts.table}


def _searched(table: pd.DataFrame) -> str:
    words = [word for word, name in (("class", "class"), ("concept", "concept")) if name in table]
    return " or ".join([*words, "F12"])


def _matching(table: pd.DataFrame, text: str) -> np.ndarray:
    """Whether a unit's number, class or concept contains the text."""
    words = text.casefold()
    found = (table["unit"].map("F{}".format).str.casefold() == words).to_numpy()
    for name in ("class", "concept", "relevant for"):
        if name in table:
            found = found | table[name].str.casefold().str.contains(words, regex=False).to_numpy()
    return found


def _having(table: pd.DataFrame, which: str) -> np.ndarray | None:
    """The units of one of `_WHICH`; None where nothing is known of it."""
    if which == "all":
        return np.ones(len(table), bool)
    name = {"rules": "rules", "concept": "detector", "relevant": "weight"}[which]
    return (table[name] > 0).to_numpy() if name in table else None


def _concept(row: Any) -> str:
    return f"{row['concept']}, IoU {row['iou']:.2f}" if row["concept"] else "none"


_TEXTS = {
    "Maximum": ("highest", lambda row: f"{row['highest']:.3g}"),
    "Class": ("class", lambda row: row["class"] or "none: it is dead"),
    "Selectivity": ("selectivity", lambda row: f"{row['selectivity']:.2f}"),
    "Concept": ("concept", _concept),
    "Relevant for": ("relevant for", lambda row: row["relevant for"] or "no class"),
    "Patches": ("patches", lambda row: f"{row['patches']:,} of the study"),
    "Rules": ("rules", lambda row: f"{row['rules']:,} of the study"),
}


@st.cache_resource(max_entries=24, show_spinner=False)
def _found(key: tuple[Hashable, str], _facts: UnitFacts) -> Any:
    """A part of the facts, computed once; the first argument is its cache key."""
    inspected, study = _facts.inspected, _facts.study
    if key[1] == "profiles":
        if store := _facts.stores.get("profiles"):
            return Profiles.of_store(store, inspected.layer)
        return Profiles.of_study(study) if study else None
    if key[1] == "projection":
        return projected(_facts.profiles) if _facts.profiles else None
    stores = _facts.stores.values()
    return unit_table(inspected.layer, inspected.units, study=study, profiles=_facts.profiles, stores=stores)
