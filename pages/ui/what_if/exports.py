"""Downloads of what if: the edited image, both maps, the probabilities, and the command."""

import shlex
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from core.comparison import Comparison, about
from core.explain import Explanation
from core.export import npz
from core.export.spreadsheet import as_csv
from core.figures.sheet import png
from pages.ui.session import location, state, visitors
from pages.ui.what_if.edit_list import Edits
from pages.ui.what_if.maps import Maps
from pages.ui.what_if.outcome import Outcome


def menu(shown: Outcome, edits: Edits, both: Maps | None) -> None:
    """Downloads that are made on a click, and the command."""
    name = PurePosixPath(shown.before.picture.name).stem or "image"
    found = both.explanations() if both else {}
    kinds: list[tuple[str, str, str, Callable[[], str | bytes], bool]] = [
        ("Edited image", "png", "image/png", lambda: png(shown.after.picture.pixels), True),
        ("Both maps", "npz", "application/octet-stream", lambda: npz(_arrays(found)), bool(found)),
        ("Probabilities", "csv", "text/csv", lambda: as_csv(table(shown)), True),
    ]
    st.header("Export", anchor=False)
    with st.container(horizontal=True, gap="small"):
        for title, ending, kind, make, there in kinds:
            st.download_button(
                title, make, f"{name}-what-if.{ending}", kind, key=f"what-if-{ending}", on_click="ignore",
                disabled=not there, icon=":material/download:",
            )  # fmt: skip
    if both:
        st.code(visitors.public(_command(shown, edits, both)), language="sh", wrap_lines=True)


def table(shown: Outcome) -> pd.DataFrame:
    """All classes with their probabilities, or of a regression values, before and after."""
    found = shown.found
    columns = {"before": found.before.tolist(), "after": found.after.tolist()}
    return pd.DataFrame({"class": list(shown.before.bench.model.labels), **columns})


def _arrays(found: Mapping[str, Explanation]) -> dict[str, NDArray[Any]]:
    """The raw maps (H, W), by side."""
    return {name: np.asarray(one.maps[0]) for name, one in found.items()}


def _command(shown: Outcome, edits: Edits, both: Maps) -> str:
    """The command that makes the map after the edits; uploads that fill shapes are called by their names."""
    asked = shown.before
    comparison = Comparison(asked.bench, about(asked.picture, [both.request]), location.current().seed)
    words = []
    for edit in edits:
        text = str(edit)
        for sha, name in state.session().uploads().items():
            text = text.replace(sha, name)
        words += ["--edit", text]
    return " ".join(filter(None, [comparison.command_of(comparison.tiles), shlex.join(words)]))
