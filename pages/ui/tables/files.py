"""Downloads of what the page shows: tables as CSV, charts as PNG and SVG."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pandas as pd
import streamlit as st

from core.export.spreadsheet import as_csv
from core.figures.means import means_file
from core.figures.sheet import Kind
from core.measure.intervals import Interval

_DRAWN: tuple[tuple[Kind, str], ...] = (("png", "image/png"), ("svg", "image/svg+xml"))


def offered(
    name: str,
    key: str,
    table: pd.DataFrame,
    rows: Sequence[str] = (),
    panels: Mapping[str, Sequence[Interval | float | None]] | None = None,
) -> None:
    """Buttons for a table and, if there are panels of a value for each of the rows, for a chart of them.

    The files are called `name`; `key` is that of the buttons.
    """
    drawn = {
        title: [Interval(1, one, None, None) if isinstance(one, float) else one for one in values]
        for title, values in (panels or {}).items()
    }
    files: dict[str, tuple[str, Callable[[], str | bytes]]] = {"csv": ("text/csv", partial(as_csv, table))}
    for kind, media in _DRAWN if drawn else ():
        files[kind] = media, partial(means_file, list(rows), drawn, title=name, kind=kind)
    with st.container(horizontal=True, gap="small"):
        for ending, (form, make) in files.items():
            st.download_button(
                ending.upper(), make, f"{name}.{ending}", form, key=f"tables-{key}-{ending}", on_click="ignore",
                icon=":material/download:",
            )  # fmt: skip
