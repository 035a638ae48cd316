"""Tables whose columns are read as percentages."""

from collections.abc import Iterable
from typing import Any

import pandas as pd
import streamlit as st


def percentages(table: pd.DataFrame, columns: Iterable[str], **look: Any) -> None:
    """Show a table with shares as percentages of one decimal, – for a gap; `look` as for `st.dataframe`.

    Sorting and CSV go by the values themselves.
    """
    shown = table.style.format({name: "{:.1%}" for name in columns if name in table}, na_rep="–")
    st.dataframe(shown, hide_index=True, placeholder="–", **look)
