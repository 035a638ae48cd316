"""Fields that say where a study's weights or images are now; only for the user of this machine."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from core.errors import VitrineError
from core.study import BUNDLED, Study
from core.workbench import move_weights
from pages.ui.session import state, visitors


def weights(study: Study, key: str) -> bool:
    """A field for the path of the study's own weights; whether this visitor may use it."""
    return _field("Its weights are now", "/home/you/weights.pth", study, key, partial(move_weights, study))


def images(study: Study, key: str) -> bool:
    """A field for the folder of the images; whether this visitor may use it."""
    return _field("Its images are now in", "/home/you/photos", study, key, study.move_images)


def _field(label: str, example: str, study: Study, key: str, move: Callable[[str], None]) -> bool:
    if visitors.shared() or study.path.is_relative_to(BUNDLED):
        return False

    def moved() -> None:
        try:
            move(st.session_state[key].strip())
        except VitrineError as error:
            state.add_notice("error", str(error))
        else:
            state.add_notice("info", f"{study.name} finds them there from now on.")

    with st.form(f"{key}-form", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(label, key=key, placeholder=example, width=520)
        st.form_submit_button("Use", on_click=moved)
    return True
