"""Some units of a layer that were selected: opened, ablated, compared and visualised."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from pages.ui.session import navigation
from pages.ui.study import ablation, patch_items
from pages.ui.units import selection, unit_pictures, visualisations
from pages.ui.units.unit_facts import UnitFacts
from pages.ui.widgets import messages
from pages.ui.widgets.gallery import Items, gallery
from pages.ui.widgets.text import plain

_MOST = 12  # units whose patches and images are shown
_PATCHES = 9  # of each


def picked(facts: UnitFacts, units: Sequence[int]) -> None:
    """What can be done with these units."""
    inspected = facts.inspected
    st.header(plain(f"Selected: {patch_items.units(units, _MOST)}"), anchor=False)
    with st.container(horizontal=True):
        for unit in units[:_MOST]:
            name = patch_items.unit(unit)
            if st.button(name, key=f"open-{unit}", help=f"Open {name}"):
                navigation.go("units/unit", layer=inspected.layer, unit=unit)
        st.button("Clear selection", key="units-deselect", on_click=selection.clear, icon=":material/close:",
                  type="tertiary")  # fmt: skip
    if len(units) > selection.MOST:
        st.caption(f"The address of this page names the first {selection.MOST} of {len(units):,}.")
    these = "this unit" if len(units) == 1 else "these units"
    if inspected.problem:
        st.caption(f"Ablating {these} needs the model.")
    elif st.toggle(f"Ablate {these} for the current image", key="off-units") and (
        inspected.study is None or ablation.fits_current_image(inspected.study, "picked")
    ):
        with messages.refused():
            ablation.without(inspected.bench, inspected.layer, units, "units")
    if len(units) > _MOST:
        st.caption(f"The patches and images of the first {_MOST} are shown.")
    _patches(facts, units[:_MOST])
    visualisations.several(inspected, units[:_MOST])


def _patches(facts: UnitFacts, units: Sequence[int]) -> None:
    """The strongest patches of each unit, side by side."""
    found = {unit: unit_pictures.strongest(facts, unit, _PATCHES) for unit in units}
    having = {unit: pixels for unit, pixels in found.items() if len(pixels)}
    if not having:
        st.caption("There are no patches of these units yet. Compute maximally activating patches below.")
        return
    names = [patch_items.unit(unit) for unit, pixels in having.items() for _ in pixels]
    picks = gallery(
        lambda: Items(
            pixels=np.concatenate(list(having.values())),
            ids=[f"{unit}:{rank}" for unit, pixels in having.items() for rank in range(len(pixels))],
            titles=[
                f"{patch_items.unit(unit)}, {rank + 1}."
                for unit, pixels in having.items()
                for rank in range(len(pixels))
            ],
            groups=[(patch_items.unit(unit), len(pixels)) for unit, pixels in having.items()],
            actions=[("unit", [f"Open {name}" for name in names])],
        ),
        (facts.key, "picked", tuple(having)),
        key="picked-patches",
        label="Patches with the highest response of each selected unit",
        tile=64,
        height=None,
        panel=False,
    )
    if picks.action == "unit":
        navigation.go("units/unit", layer=facts.inspected.layer, unit=picks.opened.partition(":")[0])
