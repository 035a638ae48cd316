"""Images that a layer encodes like the current one, made by optimisation on demand: what it does not keep differs."""

from collections.abc import Hashable
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.export import npz
from core.export.command import invert_command
from core.images import Picture, eight_bits
from core.progress import Report
from core.units.visualisation import INVERSIONS, Inversion, RunningInversion, invert
from core.units.visualisation.cards import INVERSION
from core.workbench import Workbench
from pages.ui.session import location, visitors
from pages.ui.study import ablation
from pages.ui.units.inspected import Inspected
from pages.ui.units.visualisations import PicturesSoFar, side_by_side
from pages.ui.widgets import downloads, forms, messages
from pages.ui.widgets.on_demand import again, on_demand, takes
from pages.ui.widgets.text import plain

_NAMES = {"mahendran": "Gradient descent with momentum (Mahendran & Vedaldi 2015)", "adam": "Adam"}
_OF_PRESETS = {name for preset in INVERSIONS.values() for name in preset}
_PART, _SETTINGS = "inversion", "invert"
_RESTARTS = 3  # until another number is chosen
_SIDE = 170  # pixels of a picture on the page


def inversions(inspected: Inspected) -> None:
    """The choice of a layer and of settings, the images beside the current one, and their downloads."""
    st.header("Inversion of the current image", anchor=False)
    st.caption("Images that a layer encodes like the current one: what differs between them is what it does not keep.")
    if inspected.problem:
        st.caption("It needs the model, which cannot be opened.")
        return
    if inspected.study and not ablation.fits_current_image(inspected.study, "inversion"):
        return
    with messages.refused():
        _on_demand(inspected.bench, location.subject(), inspected.layer)


def _on_demand(bench: Workbench, picture: Picture, first: str) -> None:
    """The images of a layer, the one of the page by default, or the button that makes them."""
    names = [layer.name for layer in bench.model.survey.layers]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        layer = st.selectbox("Layer to invert", names, names.index(first), key=f"inversion-layer-{first}", width=260)
        preset = st.selectbox("Optimiser", _NAMES, format_func=lambda name: _NAMES[name], key="inversion-preset")
        restarts = st.number_input(
            "Restarts", 1, 16, _RESTARTS, key="inversion-restarts", help="Images, each from other noise.", width=120
        )
    with st.expander("Settings", icon=":material/tune:"):
        own = [one for one in INVERSION.params if one.name not in {"restarts", *_OF_PRESETS}]
        forms.settings(own, _SETTINGS)
    given = {**location.settings(_SETTINGS), "restarts": int(restarts)}
    settings = INVERSION.chosen({**INVERSIONS[preset or "mahendran"], **given}, bench.model)
    seed = location.current().seed
    key = (bench.model.key, picture.key, layer, seed, *settings.items())
    so_far = PicturesSoFar(_PART, key)

    def seen(running: RunningInversion) -> bool:
        so_far.add(f"Restart {running.restart + 1}", running.picture)
        return False

    def work(report: Report) -> Inversion:
        image = bench.inputs(picture)[0]
        return invert(bench.model, image, layer or first, **settings, seed=seed, report=report, watch=seen)

    found = on_demand(
        _PART, key, INVERSION.title, work, button="Invert", meanwhile=partial(so_far.draw, _SIDE),
        note=takes(bench, INVERSION.passes(settings, min(bench.model.preprocess.size)).weight),
    )  # fmt: skip
    if found:
        _shown(bench, picture, found, key)
    changed = {name: value for name, value in given.items() if value != INVERSION.defaults[name]}
    line = invert_command(bench.model, picture.file, layer or first, changed, preset=preset or "mahendran", seed=seed)
    with st.popover("Command", icon=":material/terminal:"):
        st.code(visitors.public(line), language="sh", wrap_lines=True)
        if picture.page > 1 or picture.window:
            st.caption("It inverts the first page of a file, with the range of values that the file names.")


def _shown(bench: Workbench, picture: Picture, found: Inversion, key: Hashable) -> None:
    """The current image, the image of every restart with its error, and their downloads."""
    pictures = [eight_bits(one) for one in found.pictures]
    made = np.isfinite(found.errors).sum(1) - 1
    errors = [float(row[steps]) for row, steps in zip(found.errors, made, strict=True)]
    states = [
        f"error {error:.3g}" + ("" if steps == found.settings["steps"] else f", stopped after {steps:,} steps")
        for error, steps in zip(errors, made.tolist(), strict=True)
    ]
    numbers = [f"Restart {number + 1}" for number in range(len(pictures))]
    side_by_side(
        [bench.view(picture), *pictures],
        [f"{picture.name} as the network sees it",
         *(f"{one} of an image that {found.layer} encodes like {picture.name}" for one in numbers)],
        ["The current image", *(f"{one}: {state}" for one, state in zip(numbers, states, strict=True))],
        _SIDE,
    )  # fmt: skip
    stopped = "" if found.finished else f"Stopped in restart {len(pictures)} of {found.settings['restarts']}. "
    st.caption(plain(
        f"{stopped}The error is the squared distance of both encodings at {found.layer}, as a share of the squared "
        f"norm of the image's. {found.note} {INVERSION.caution}"
    ))  # fmt: skip
    stem = f"{PurePosixPath(picture.name).stem}-{found.layer}-inversion"
    arrays: dict[str, NDArray[Any]] = {"pictures": found.pictures, "errors": found.errors, "energies": found.energies}
    with st.container(horizontal=True):
        downloads.of_pictures(
            stem, pictures, lambda: npz(arrays), _PART, "The images, and their errors and energies by step"
        )
        st.button("Again" if found.finished else "Start again", key="inversion-again", on_click=again,
                  args=(_PART, key), type="tertiary")  # fmt: skip
