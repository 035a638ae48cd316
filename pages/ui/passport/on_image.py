"""The activation map of a unit of any layer for the current image."""

import io
from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st

from core.figures.encoding import described
from core.figures.sheet import overlay, png
from core.figures.style import Map, Span
from core.images import Pixels, resized
from core.workbench import Workbench
from pages.ui.passport import strongest
from pages.ui.session import location
from pages.ui.study import ablation, open_study, patch_items
from pages.ui.units.inspected import Inspected
from pages.ui.widgets import messages
from pages.ui.widgets.text import plain

_NPY = "application/octet-stream"


def fits(inspected: Inspected) -> bool:
    """Whether the current image is explored with this model; a sentence if not, as the map offers to switch."""
    if inspected.study is None or ablation.is_current(inspected.study):
        return True
    st.caption("It needs a current image that is open in this model.")
    return False


def current_image(inspected: Inspected, number: int) -> None:
    """The map over the image, on a scale that reaches up to the strongest response that is known."""
    st.header("On the current image", anchor=False)
    if inspected.study and not ablation.fits_current_image(inspected.study, "unit"):
        return
    with messages.refused():
        bench, picture, unit = _bench(inspected), location.subject(), patch_items.unit(number)
        activation = bench.activations(picture, inspected.layer)[number]
        view = bench.view(picture)
        values = resized(activation[None].float(), view.shape[:2])[0].numpy()
        high, (usual, what) = float(activation.max()), _usual(inspected, number)
        note = "" if high > 0 else f"{unit} is not active in this image."
        shaded = view if note else overlay(view, np.maximum(values, 0), Span(0, max(high, usual)))
        words = described(unit, picture.name, values, note)
        st.image(shaded, caption=plain(words), alt=words, width="stretch")
        if not note:
            st.caption(f"Maximum {high:.3g} in this image{what}.")
            taken(shaded, activation.float().numpy(), f"{inspected.layer}-{unit}-{Path(picture.name).stem}", "unit-map")


def taken(shaded: Pixels, values: Map, name: str, key: str) -> None:
    """The downloads of a map: the picture, and its values as they were computed."""
    with st.container(horizontal=True):
        for kind, mime, make in (("png", "image/png", partial(png, shaded)), ("npy", _NPY, partial(_npy, values))):
            st.download_button(
                kind.upper(), make, f"{name}.{kind}", mime, key=f"{key}-{kind}", on_click="ignore",
                icon=":material/download:",
            )  # fmt: skip


def _npy(values: Map) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def _usual(inspected: Inspected, number: int) -> tuple[float, str]:
    """The strongest response that is known, and what it is."""
    study = inspected.study
    if study and inspected.of_study:
        value = float(open_study.table(study, "filters")["largest"].iloc[number]) / study.manifest.window**2
        return value, f"; the highest mean over a patch in this study is {value:.3g}"
    if one := strongest.found(inspected, number):
        value = float(one.unit["highest"])
        return value, f"; the highest in the images of its strongest patches is {value:.3g}"
    return 0.0, ""


def _bench(inspected: Inspected) -> Workbench:
    """The workbench of the model; weights of a study that are not found are asked for."""
    return ablation.bench(inspected.study, "unit-map") if inspected.study else inspected.bench
