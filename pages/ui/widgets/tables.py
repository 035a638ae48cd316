"""Tables whose columns are read as percentages."""

from collections.abc import Iterable

import pandas as pd
from pandas.io.formats.style import Styler


def percentages(table: pd.DataFrame, columns: Iterable[str]) -> Styler:
    """The table with shares shown as percentages of one decimal; sorting and CSV go by the values themselves."""
    return table.style.format({name: "{:.1%}" for name in columns if name in table}, na_rep="")
