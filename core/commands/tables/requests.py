"""The table that a command is about: a name, or a CSV file and how it is read."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.tables.table import Table

DATA = "name of a table, as `vitrine tables data` lists them"


def table_options(parser: ArgumentParser, *, optional: bool = False) -> None:
    """Declare the table and how it is read."""
    parser.add_argument("data", nargs="?" if optional else None, metavar="DATA", help=DATA)


def opened(args: Namespace) -> "Table":
    """The table of the options. Raises VitrineError for one that cannot be read."""
    from core.tables.data.datasets import DATASETS

    return DATASETS[args.data].load()
