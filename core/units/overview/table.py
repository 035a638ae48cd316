"""The table of the units of a layer: what the analyses and the study know of each of them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

from core.units.overview.profiles import Profiles

if TYPE_CHECKING:
    from core.study import Study
    from core.units.store import UnitStore

_NAMED = 3  # classes of a unit that are named


def unit_table(
    layer: str,
    count: int,
    *,
    study: "Study | None" = None,
    profiles: Profiles | None = None,
    stores: Iterable["UnitStore"] = (),
) -> pd.DataFrame:
    """One row per unit of a layer, with a column for everything that is known; what is not known has no column.

    unit        its number
    dead        its response is the same in all images of every analysis
    highest     its highest response at a position
    class, selectivity      the class with the highest mean response, and by how much, as `Profiles` defines it
    concept, iou, detector  of network dissection; "" for none
    relevant for, weight    classes for which the mu-lasso gives it a positive weight, the largest weight first
    patches, rules          of the study: patches among whose strongest filters it is, and rules with it

    The `study` is given only for its own layer, `stores` are analyses of any layers.
    """
    table = pd.DataFrame({"unit": range(count)})
    facts: dict[str, Any] = {}
    if profiles is not None:
        facts |= _of_profiles(profiles)
    for store in stores:
        layers = store.tables["layers"]
        for number in layers.loc[layers["name"] == layer, "layer"].tolist():
            found = _READERS[store.analysis.name](store, number, count)
            if "dead" in found and "dead" in facts:
                facts["dead"] = facts["dead"] & found["dead"]
            facts = {**found, **facts}
    if study is not None:
        filters = study.table("filters")
        facts |= {"patches": filters["patches"].tolist(), "rules": filters["rules"].tolist()}
    for name in _ORDER:
        if name in facts:
            table[name] = facts[name]
    return table


_ORDER = (
    "dead", "highest", "class", "selectivity", "concept", "iou", "detector", "relevant for", "weight", "patches",
    "rules",
)  # fmt: skip


def _of_profiles(profiles: Profiles) -> dict[str, Any]:
    facts: dict[str, Any] = {"dead": profiles.dead, "class": [profiles.classes[one] for one in profiles.best]}
    facts["class"] = ["" if dead else name for dead, name in zip(profiles.dead, facts["class"], strict=True)]
    if profiles.selectivity is not None:
        facts["selectivity"] = profiles.selectivity
    return facts


def _of_activity(store: "UnitStore", layer: int, _count: int) -> dict[str, Any]:
    own = store.tables["units"]
    own = own[own["layer"] == layer]
    return {"dead": own["dead"].to_numpy(bool), "highest": own["highest"].to_numpy(float)}


def _of_dissection(store: "UnitStore", layer: int, _count: int) -> dict[str, Any]:
    own, names = store.tables["units"], store.tables["concepts"]["name"]
    own = own[own["layer"] == layer]
    return {
        "dead": own["dead"].to_numpy(bool), "concept": own["concept"].map(names).fillna("").tolist(),
        "iou": own["iou"].to_numpy(float), "detector": own["detector"].to_numpy(bool),
    }  # fmt: skip


def _of_relevance(store: "UnitStore", layer: int, count: int) -> dict[str, Any]:
    weights, names = store.tables["weights"], store.tables["classes"]["name"]
    own = weights[(weights["layer"] == layer) & (weights["weight"] > 0)].sort_values(
        ["weight", "label"], ascending=[False, True]
    )
    classes = dict(own["label"].map(names).groupby(own["unit"], sort=False).agg(list))
    largest = own.groupby("unit")["weight"].max()
    return {
        "relevant for": [_listed(classes.get(unit, [])) for unit in range(count)],
        "weight": largest.reindex(range(count), fill_value=0.0).to_numpy(),
    }


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


_READERS = {
    "activating": _of_activity, "dissection": _of_dissection, "profiles": _of_activity, "relevance": _of_relevance
}  # fmt: skip
