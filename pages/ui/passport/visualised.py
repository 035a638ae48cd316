"""The image that a unit responds to most, made by optimisation on demand."""

from collections.abc import Hashable

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.export.command import visualise_command
from core.figures.sheet import png
from core.images import eight_bits
from core.progress import Report
from core.units.visualisation import MAXIMISATIONS, Running, Visualisation, channel, maximise
from core.units.visualisation.cards import MAXIMISATION
from pages.ui.session import visitors
from pages.ui.study import patch_items
from pages.ui.units.inspected import Inspected
from pages.ui.widgets.on_demand import again, on_demand, takes
from pages.ui.widgets.text import plain

_NAMES: dict[str, str] = {
    "fourier": "Fourier (Olah et al. 2017)",
    "l2": "L2 penalty (Simonyan et al. 2014)",
    **{f"yosinski-{number}": f"Yosinski et al. 2015, {number} of 4" for number in range(1, 5)},
}
_PART = "visualised"


def visualised(inspected: Inspected, number: int) -> None:
    """The picture of a preset, its running form, and its downloads."""
    st.header("Feature visualisation", anchor=False)
    if inspected.problem:
        st.caption("It needs the model, which cannot be opened.")
        return
    model, layer = inspected.bench.model, inspected.layer
    preset = st.selectbox("Preset", _NAMES, format_func=lambda name: _NAMES[name], key="unit-preset") or "fourier"
    key = (model.key, layer, number, preset)
    so_far: dict[Hashable, NDArray[np.float32]] = st.session_state.setdefault("visualising", {})

    def seen(running: Running) -> bool:
        so_far.clear()  # one at a time
        so_far[key] = running.pictures[0]
        return False

    def work(report: Report) -> Visualisation:
        return maximise(model, channel(layer, number), **MAXIMISATIONS[preset], report=report, watch=seen)

    def meanwhile() -> None:
        if (picture := so_far.get(key)) is not None:
            st.image(eight_bits(picture), alt="The picture so far", width=240)

    settings = MAXIMISATION.chosen(MAXIMISATIONS[preset], model)
    cost = MAXIMISATION.passes(settings, min(model.preprocess.size))
    made = on_demand(
        _PART, key, "Feature visualisation", work, button="Visualise", meanwhile=meanwhile,
        note=takes(inspected.bench, cost.weight),
    )  # fmt: skip
    if made:
        _shown(inspected, number, preset, made, key)


def _shown(inspected: Inspected, number: int, preset: str, made: Visualisation, key: Hashable) -> None:
    """The picture with what the unit makes of it."""
    picture, unit = eight_bits(made.picture), f"{inspected.layer} · {patch_items.unit(number)}"
    words = f"An image made by optimisation that {unit} responds to strongly"
    st.image(picture, alt=words, width=240)
    steps, wanted = len(made.objective), made.settings["steps"]
    state = f"{steps:,} steps" if made.finished else f"Stopped after {steps:,} of {wanted:,} steps"
    st.caption(plain(f"{state}; mean activation {made.responses[0]:.3g}. {made.note} {MAXIMISATION.caution}"))
    name, model = f"{inspected.layer}-{patch_items.unit(number)}-{preset}.png", inspected.bench.model
    with st.container(horizontal=True):
        st.download_button(
            "PNG", lambda: png(picture), name, "image/png", on_click="ignore", icon=":material/download:",
            key="visualised-png",
        )  # fmt: skip
        with st.popover("Command", icon=":material/terminal:"):
            line = visualise_command(model.name, model.options, inspected.layer, number, preset)
            st.code(visitors.public(line), language="sh", wrap_lines=True)
        st.button("Again" if made.finished else "Start again", key="visualised-again", on_click=again,
                  args=(_PART, key), type="tertiary")  # fmt: skip
