"""The strongest patches of a unit of any layer, and their average, from a stored analysis."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from core.units.passport.sentence import sentence
from core.units.store import UnitStore
from pages.ui.study import patch_items
from pages.ui.units import analyses
from pages.ui.units.inspected import Inspected
from pages.ui.widgets.gallery import Items, gallery


@dataclass(frozen=True)
class Strongest:
    """The patches to which a unit responds most strongly, the strongest first."""

    store: UnitStore
    patches: pd.DataFrame  # rows of table `patches`, whose index is that of array `crops`
    unit: "pd.Series[float]"  # its row of table `units`

    @property
    def crops(self) -> np.ndarray:
        """Their pictures, (n, s, s, 3)."""
        return np.asarray(self.store.array("crops")[self.patches.index.to_numpy()])


def found(inspected: Inspected, number: int) -> Strongest | None:
    """Those of the newest analysis of the layer; None without one."""
    store = analyses.newest(inspected, "activating")
    if store is None:
        return None
    patches = analyses.rows(store, "patches", inspected.layer)
    units = analyses.rows(store, "units", inspected.layer)
    return Strongest(store, patches[patches["unit"] == number], units[units["unit"] == number].iloc[0])


def facts(inspected: Inspected, number: int, effect: pd.DataFrame | None) -> str:
    """What these patches say of the unit, as text."""
    one = found(inspected, number)
    if one is None:
        text = "Its strongest patches are not known yet: compute them below"
        return sentence(text, {}, effect)
    images = len(analyses.table(one.store, "images"))
    if one.unit["dead"]:
        return f"Dead: its response is {one.unit['highest']:.3g} everywhere in all {images:,} images."
    labels = analyses.table(one.store, "images")["label"].to_numpy()[one.patches["image"].to_numpy()]
    names = inspected.bench.model.labels
    by_class = Counter(names[label] for label in labels.tolist() if 0 <= label < len(names))
    first = f"Highest response {one.unit['highest']:.3g} in {images:,} images; {len(one.patches):,} strongest patches"
    return sentence(first, by_class, effect)


def average(inspected: Inspected, number: int) -> None:
    """The mean of its strongest patches."""
    st.header("Average patch", anchor=False)
    one = found(inspected, number)
    if one is None or not len(one.patches):
        st.caption("No patches are known to average." if one is None else "It is active in no patch.")
        return
    mean = one.crops.mean(0).round().astype(np.uint8)
    words = f"The mean of the {len(one.patches)} strongest patches of {patch_items.unit(number)}"
    st.image(mean, caption=f"{words}, each counted alike.", alt=words, width=240)


def patches(inspected: Inspected, number: int) -> None:
    """Its strongest patches, or the offer to find them."""
    st.header("Strongest patches", anchor=False)
    one = found(inspected, number)
    if one is None:
        st.caption("They have not been found for this layer yet: that takes one forward per image of a folder.")
        analyses.offer(inspected, "activating", "unit-activating")
        return
    if not len(one.patches):
        st.caption(f"{patch_items.unit(number)} is active in none of the images of this analysis.")
        return
    names = analyses.table(one.store, "images")["name"].to_numpy()[one.patches["image"].to_numpy()].tolist()
    values = [f"response {patch_items.amount(value)}" for value in one.patches["value"]]
    places = [f"row {row}, column {column}" for row, column in one.patches[["row", "column"]].itertuples(index=False)]
    gallery(
        lambda: Items(one.crops, one.patches["rank"].tolist(), values, facts=[("Image", names), ("Position", places)]),
        (one.store.manifest.digest, str(one.store.path), inspected.layer, number),
        key="unit-strongest",
        label=f"Strongest patches of {patch_items.unit(number)}",
        height=None,
    )
    st.caption(
        "Each is the square around the pixels that its position depends on; the deeper the layer, the larger it is."
    )
