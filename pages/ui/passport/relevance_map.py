"""The relevance of the current image's pixels by way of one unit, as a map."""

import numpy as np
import streamlit as st

from core.errors import Unsupported
from core.explain.methods.relevance import conditional_relevance
from core.figures.encoding import described
from core.figures.sheet import overlay
from core.figures.style import Span
from core.progress import Report
from pages.ui.passport.on_image import fits, taken
from pages.ui.session import location
from pages.ui.study import patch_items
from pages.ui.units.inspected import Inspected
from pages.ui.widgets import messages
from pages.ui.widgets.on_demand import computed
from pages.ui.widgets.text import plain


def relevance_map(inspected: Inspected, number: int) -> None:
    """LRP for the current target in which this unit alone passes relevance on to the image."""
    st.header("Relevance by way of it", anchor=False)
    if inspected.problem:
        st.caption("It needs the model, which cannot be opened.")
        return
    if not fits(inspected):
        return
    with messages.refused():
        bench, picture, unit = inspected.bench, location.subject(), patch_items.unit(number)
        target = location.targets(bench, picture)[0]

        def work(report: Report) -> np.ndarray:
            query = bench.query(picture, target, report=report)
            return conditional_relevance(query, inspected.layer, number)[0].float().numpy(force=True)

        key = (bench.model.key, picture.key, str(target), inspected.layer, number)
        try:
            values = computed("relevance-map", key, "Relevance", work)
        except Unsupported as error:  # of a network, or of a target that does not depend on this layer
            st.caption(plain(str(error)))
            return
        most = float(np.abs(values).max())
        name = target.title(bench.model.labels)
        note = "" if most > 0 else f"no relevance passes {unit} in this image."
        view = bench.view(picture)
        shaded = view if note else overlay(view, values, Span(-most, most, signed=True))
        words = described(f"Relevance for {name} by way of {unit}", picture.name, values, note)
        st.image(shaded, caption=plain(words), alt=words, width="stretch")
        if not note:
            st.caption(plain(
                f"LRP in which only {unit} passes relevance on (Achtibat et al. 2023): {values.sum():.3g} in all, from "
                f"{-most:.3g} to {most:.3g}, zero transparent."
            ))  # fmt: skip
            taken(shaded, values, f"{inspected.layer}-{unit}-relevance", "unit-relevance-map")
