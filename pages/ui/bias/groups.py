"""The accuracy by group of images: sub-folders, or a column of a CSV file."""

import pandas as pd
import streamlit as st

from core.export.bias import spread_sentence
from core.review.bias import accuracy_by_group, column_groups, folder_groups
from core.review.predictions import Predictions
from pages.ui.session import parameters, visitors
from pages.ui.widgets import messages
from pages.ui.widgets.tables import percentages
from pages.ui.widgets.text import plain

FOLDER, COLUMN = "folder", "column"
_TITLES = {FOLDER: "sub-folders", COLUMN: "a column of a CSV file"}


def groups(found: Predictions) -> tuple[pd.DataFrame | None, str]:
    """The choice of groups and their accuracies; the table, None if there is none, and the option of the command."""
    if not len(found.judged):
        st.info("No image has a class that the model predicts, so groups have no accuracy.")
        return None, ""
    kind = parameters.choice("Groups by", list(_TITLES), "groups").draw(
        st.segmented_control, required=True, format_func=_TITLES.__getitem__
    )
    with messages.refused():
        names, option = _by_folder(found) if kind == FOLDER else _by_column(found)
        if not any(names):
            if kind == FOLDER:
                st.info("No image lies in a sub-folder of its class.")
            return None, ""
        table = accuracy_by_group(found, names)
        st.markdown(plain(spread_sentence(table)))
        heads = {name: name.capitalize() for name in ("group", "images", "right")}
        shares = {"accuracy": "Accuracy", "low": "95% from", "high": "to"}
        percentages(table, shares, column_config=heads | shares, alt="Accuracy by group")
        return table, option
    return None, ""


def _by_folder(found: Predictions) -> tuple[tuple[str, ...], str]:
    return folder_groups(found.source.paths), FOLDER


def _by_column(found: Predictions) -> tuple[tuple[str, ...], str]:
    """The groups of a file on the server, none until it is named."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        file, column = (
            parameters.words(label, key).draw(st.text_input, width=320)
            for label, key in (("CSV file", "file"), ("Column", "column"))
        )
    if not file or not column:
        st.caption("The file names the images in one column, by path or file name, and their group in another one.")
        return (), ""
    path = visitors.permitted(file)
    return column_groups(path, column, found.source.paths), f"{path}:{column}"
