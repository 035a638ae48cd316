"""Tables as CSV that no spreadsheet runs anything from: names of classes and files come from others."""

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

# What begins a formula, in the wide letters of East Asia, too; spreadsheets skip white space before it.
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def cell(value: T) -> T | str:
    """A value as it is written into a table: a text that a spreadsheet would run gets an apostrophe, as shown as text.

    Numbers stay numbers, negative ones included.
    """
    if isinstance(value, str) and (value.lstrip().startswith(_FORMULA) or value[:1] in ("\t", "\r", "\n")):
        return f"'{value}"
    return value


def joined(table: "pd.DataFrame") -> "pd.DataFrame":
    """A table of rules or shared sets with their lists as texts, with spaces between the items."""
    lists = [name for name in ("filters", "labels", "supports") if name in table and table[name].dtype == object]
    return table.assign(**{name: [" ".join(map(str, one)) for one in table[name]] for name in lists})


def as_csv(table: "pd.DataFrame") -> str:
    """A table as CSV, with cells and headings as `cell` gives them."""
    safe = table.rename(columns=cell)
    texts = [number for number, kind in enumerate(table.dtypes) if kind.kind not in "biufc"]
    for number in texts:
        safe.isetitem(number, [cell(value) for value in table.iloc[:, number]])
    return str(safe.to_csv(index=False, lineterminator="\r\n"))  # else a lone "\r" in a text would not be quoted
