"""The table that a command is about: a name, or a CSV file and how it is read."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from core.commands import chosen, options
from core.errors import BadParameter
from core.params import expanded
from core.tables.data.conversion import Choices, table_of
from core.tables.data.csv_file import read_csv

if TYPE_CHECKING:
    from core.tables.table import Table

DATA = "name of a table, as `vitrine tables data` lists them, or a CSV file"


def table_options(parser: ArgumentParser, *, optional: bool = False) -> None:
    """Declare the table and how it is read."""
    parser.add_argument("data", nargs="?" if optional else None, metavar="DATA", help=DATA)
    options(parser, read_csv)
    options(parser, Choices)
    average = "for a target that is a number: predict whether it is above the average"
    parser.add_argument("--above-average", action="store_true", help=average)


def opened(args: Namespace) -> "Table":
    """The table of the options. Raises VitrineError for one that cannot be read."""
    from core.tables.data.datasets import DATASETS

    reading, choices = chosen(args, read_csv, "csv"), Choices(**chosen(args, Choices, "csv"))
    if args.data not in DATASETS and (expanded(args.data).suffix or expanded(args.data).exists()):
        table = table_of(read_csv(args.data, **reading), choices)
    else:
        table = DATASETS[args.data].load()
        if choices != Choices() or set(reading.values()) != {"auto"}:
            message = f"{table.name} is no CSV file, and is opened as it is."
            raise BadParameter(message, "Write it with `vitrine tables data NAME --csv FILE`, and read that.")
    return table.above_average() if args.above_average else table
