"""The table of the page: one that is bundled, or the user's own CSV file with its guesses corrected."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, get_args

import streamlit as st

from core.serialization import digest
from core.tables.data.conversion import Choices, guesses, table_of
from core.tables.data.csv_file import Delimiter, Encoding, Header, Sheet, read_csv
from core.tables.data.datasets import DATASETS
from core.tables.table import Table
from pages.ui.session import parameters, state
from pages.ui.widgets.text import plain

OWN = "csv"  # in the address, instead of the name of a table
_USUAL = "students"
_MISSING = {"fill": "fill them", "drop": "leave out their rows"}


@dataclass(frozen=True)
class Opened:
    """A table, and what identifies its content."""

    table: Table
    key: str


def opened() -> Opened | None:
    """The choice of the table at the top of the page; None until there is one."""
    names = [*DATASETS, OWN]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        name = parameters.choice("Table", names, "table", default=_USUAL).draw(
            st.selectbox, width=300, format_func=lambda one: "your own CSV file" if one == OWN else DATASETS[one].title
        )
        above = parameters.switch("Predict whether it is above the average", "above").draw(
            st.toggle, help="For a target that is a number: makes two classes of it, which rules need."
        )
    chosen = _own() if name == OWN else _bundled(name)
    if chosen is None:
        return None
    if above and not chosen.table.classes:
        chosen = Opened(chosen.table.above_average(), f"{chosen.key}-above")
    table = chosen.table
    target = f"one of {len(table.classes)} classes" if table.classes else "a number"
    st.caption(
        plain(f"{len(table):,} rows, {len(table.columns):,} features; the target {table.target.name} is {target}.")
    )
    for note in table.notes:
        st.caption(plain(note))
    return chosen


def _bundled(name: str) -> Opened:
    """A table of the list."""
    card = DATASETS[name]
    st.markdown(plain(f"{card.summary} ({card.source[:1].upper()}{card.source[1:]}.)"))
    table: Table = state.session().cache.get(("table", name), card.load)
    return Opened(table, name)


def _own() -> Opened | None:
    """The table of an uploaded file."""
    file = st.file_uploader("CSV file", type=["csv", "tsv", "txt"], key="tables-file", max_upload_size=50)
    if file is None:
        st.info(
            "Choose a file. Delimiter, encoding, header and the kinds of columns are guessed, and can be corrected."
        )
        return None
    content = file.getvalue()
    key = sha256(content).hexdigest()
    reading = _reading()
    sheet: Sheet = state.session().cache.get(
        ("sheet", key, digest(reading)), lambda: read_csv(content, file.name, **reading)
    )
    choices = _corrected(sheet, key)
    full = digest([key, reading, vars(choices)])
    table: Table = state.session().cache.get(("table", full), lambda: table_of(sheet, choices))
    return Opened(table, full)


def _reading() -> dict[str, Any]:
    """How the file is read, where its guesses are wrong."""
    with st.expander("Delimiter, encoding and header", icon=":material/text_fields:"), st.container(horizontal=True):
        return {
            name: st.selectbox(name.capitalize(), get_args(kind), key=f"tables-{name}", width=180)
            for name, kind in (("delimiter", Delimiter), ("encoding", Encoding), ("header", Header))
        }


def _corrected(sheet: Sheet, key: str) -> Choices:
    """What is predicted, and the guesses that are corrected."""
    kinds = guesses(sheet)
    with st.expander("Columns", icon=":material/table:"):
        target = st.selectbox("Target", sheet.names, index=len(sheet.names) - 1, key=f"tables-target-{key}")
        others = [name for name in sheet.names if name != target]
        numbers, categories, omitted = (
            st.multiselect(label, others, key=f"tables-{kind}-{key}", help=text)
            for label, kind, text in (
                ("These are numbers", "numbers", "Cells that hold none count as missing."),
                ("These are categories", "categories", "Such as codes that are written as numbers."),
                ("Leave these out", "omit", "Such as names and identifiers."),
            )
        )
        missing = st.segmented_control(
            "Missing values", list(_MISSING), default="fill", required=True, key=f"tables-missing-{key}",
            format_func=_MISSING.__getitem__,
        )  # fmt: skip
        st.caption(plain(f"Guessed: {', '.join(f'{name} is a {kind}' for name, kind in list(kinds.items())[:30])}."))
    return Choices(
        _joined([target]),
        _joined(numbers),
        _joined(categories),
        _joined(omitted),
        "drop" if missing == "drop" else "fill",
    )


def _joined(names: Sequence[str]) -> str:
    """Names with commas between them, in quotes where they hold one."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(names)
    return text.getvalue()
