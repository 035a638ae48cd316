"""Reports of dissections: detectors and unique concepts of each layer, by category."""

from collections.abc import Mapping

import pandas as pd


def detectors(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The detectors with the names of layer and concept, best first.

    `tables` are `units`, `concepts` and `layers` of a dissection. Columns: layer, unit, concept, category, iou.
    """
    units = tables["units"]
    named = units[units["detector"]].merge(
        tables["concepts"].rename(columns={"name": "concept name"}), left_on="concept", right_on="concept"
    )
    named["layer name"] = named["layer"].map(tables["layers"]["name"])
    ordered = named.sort_values(["layer", "iou", "unit"], ascending=[True, False, True])
    columns = {"layer name": "layer", "unit": "unit", "concept name": "concept", "category": "category", "iou": "iou"}
    return ordered[list(columns)].rename(columns=columns).reset_index(drop=True)


def categories(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The histogram by category: layer, category, detectors, unique (different concepts that have a detector)."""
    found = detectors(tables)
    grouped = found.groupby(["layer", "category"], sort=False)["concept"].agg(["size", "nunique"]).reset_index()
    return grouped.rename(columns={"size": "detectors", "nunique": "unique"})
