"""Reports of dissections: detectors and unique concepts of each layer, by category."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def summary(tables: Mapping[str, pd.DataFrame], draws: NDArray[np.int32] | None = None) -> pd.DataFrame:
    """What each layer detects, with 95% intervals.

    Columns: layer, units, live, detectors, share (of the live units that are detectors), share_low, share_high, unique
    (different concepts that have a detector), unique_low, unique_high. Intervals are percentiles over samples of the
    images, array `draws` of a dissection; NaN without it, as in stores of an earlier version.
    """
    found, rows = detectors(tables), []
    for number, name in enumerate(tables["layers"]["name"]):
        units = tables["units"][tables["units"]["layer"] == number]
        own, live = found[found["layer"] == name], int((~units["dead"]).sum())
        bounds = np.full((2, 2), np.nan) if draws is None else np.quantile(draws[:, number], [0.025, 0.975], axis=0)
        share, (low, high) = len(own) / max(live, 1), (bounds[:, 0] / max(live, 1)).tolist()
        unique = len(own[["category", "concept"]].drop_duplicates()), *bounds[:, 1].tolist()
        rows.append((name, len(units), live, len(own), share, low, high, *unique))
    columns = ["layer", "units", "live", "detectors", "share", "share_low", "share_high", "unique", "unique_low",
               "unique_high"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


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
