"""`vitrine tables data`: the tables that can be opened, and one of them."""

from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from core.commands import path_argument, say, say_json, write_text
from core.commands.tables.requests import opened, table_options

_SHOWN = 5  # rows that are printed


def data(parser: ArgumentParser) -> None:
    """Declare `vitrine tables data`."""
    table_options(parser, optional=True)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print as JSON")
    form.add_argument("--csv", type=path_argument, metavar="FILE", help="write the table as CSV")
    parser.set_defaults(run=_data)


def _data(args: Namespace) -> int:
    return _one(args) if args.data else _list(args)


def _list(args: Namespace) -> int:
    from core.export.spreadsheet import as_csv
    from core.tables.data.datasets import DATASETS

    cards = [{key: value for key, value in asdict(one).items() if key != "load"} for one in DATASETS.values()]
    if args.json:
        say_json(cards)
    elif args.csv:
        import pandas as pd

        write_text(args.csv, as_csv(pd.DataFrame(cards)), "tables")
    else:
        for one in DATASETS.values():
            kind = f"{one.classes} classes" if one.classes else "number"
            say(f"{one.name:15} {one.rows:>5,} × {one.features:>6,}  {one.target} ({kind})  {one.summary}")
    return 0


def _one(args: Namespace) -> int:
    from core.export.spreadsheet import as_csv

    table = opened(args)
    if args.json:
        say_json({
            "name": table.name,
            "rows": len(table),
            "features": [asdict(column) for column in table.columns],
            "target": asdict(table.target),
            "notes": table.notes,
        })  # fmt: skip
        return 0
    say(*table.notes)
    if args.csv:
        write_text(args.csv, as_csv(table.frame), "table")
        return 0
    say(f"{table.name}: {len(table):,} rows, {len(table.columns):,} features, target {table.target.name}")
    say(*table.frame.head(_SHOWN).to_string(index=False, max_cols=10).splitlines())
    return 0
