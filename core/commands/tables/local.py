"""`vitrine tables lime`: the explanation of one row, beside its null, or a few rows that stand for all."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from core.commands import chosen, complain, options, path_argument, say, say_json, write_text
from core.commands.interruption import Interruption
from core.commands.tables.requests import STOPPED, Modelled, modelled, network_options, opened, table_options
from core.errors import BadParameter, Cancelled
from core.params import whole
from core.progress import Report, printed, subrange
from core.registry import unknown
from core.tables.lime import LIME, LocalExplanation, lime_table

if TYPE_CHECKING:
    from core.tables.null import Null
    from core.tables.representatives import Representatives
    from core.tables.table import Table


def lime(parser: ArgumentParser) -> None:
    """Declare `vitrine tables lime`."""
    table_options(parser)
    row = "number of the row that is explained, from 0 for the first (default: %(default)s)"
    parser.add_argument("--row", default="0", metavar="NUMBER", help=row)
    parser.add_argument("--explain", default="", metavar="CLASS", help="class that is explained (default: predicted)")
    shuffles = "compare the largest weight with those of this number of networks trained on shuffled targets"
    parser.add_argument("--shuffles", default="0", metavar="COUNT", help=shuffles)
    several = "explain all rows and choose this number of them whose features cover most (SP-LIME), instead of --row"
    parser.add_argument("--representatives", default="0", metavar="COUNT", help=several)
    options(parser, LIME)
    network_options(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print as JSON")
    form.add_argument("--csv", type=path_argument, metavar="FILE", help="write all weights as CSV")
    parser.set_defaults(run=_lime)


def _lime(args: Namespace) -> int:
    from core.export.spreadsheet import as_csv
    from core.tables.representatives import representative_rows

    settings = chosen(args, LIME, "lime")
    row, shuffles, count = (_number(args, name) for name in ("row", "shuffles", "representatives"))
    table = opened(args)
    if row >= len(table):
        raise BadParameter(f"There is no row {row:,}.", f"{table.name} has rows 0 to {len(table) - 1:,}.")
    if shuffles and (args.model or count):
        raise BadParameter("--shuffles trains networks, for one row.", "Leave out --model and --representatives.")
    settings["output"] = _output(args.explain, table)
    null = None
    with Interruption(printed(sys.stderr)) as interruption:
        try:
            model = modelled(args, subrange(interruption.report, 0, 0.1), table)
            settings["seed"], rest = model.settings["seed"], subrange(interruption.report, 0.1, 1)
            if count:
                found = representative_rows(table, model.predict, range(len(table)), count, report=rest, **settings)
                return _say_representatives(args, found)
            one = lime_table(table, model.predict, table.values[row], **settings, report=subrange(rest, 0, 0.1))
            for null in _nulls(table, model, row, shuffles, settings=settings, report=subrange(rest, 0.1, 1)):  # noqa: B007
                pass  # the last one holds all shuffles
        except Cancelled:
            if null is None:
                complain("stopped.")
                return STOPPED
    if args.json:
        say_json({
            "row": row,
            "notes": table.notes,
            "model": model.facts["sentence"],
            **_facts(one),
            "null": _null_facts(null) if null else None,
        })  # fmt: skip
    elif args.csv:
        write_text(args.csv, as_csv(one.frame), "weights")
    else:
        say(*table.notes, model.facts["sentence"], one.sentence, *_lines(one), *([null.sentence] if null else []))
    return STOPPED if null and len(null.maxima) < shuffles else 0


def _nulls(
    table: "Table", model: Modelled, row: int, shuffles: int, *, settings: Mapping[str, Any], report: Report
) -> Iterator["Null"]:
    """The comparison after every shuffle, each with a network that is trained as the model was."""
    from core.tables.null import shuffled_null
    from core.tables.training import train

    same = {name: value for name, value in settings.items() if name != "features"}
    if shuffles:
        yield from shuffled_null(
            table, lambda some: train(some, **model.settings).network, table.values[row], **same,
            predict=model.predict, shuffles=shuffles, report=report,
        )  # fmt: skip


def _say_representatives(args: Namespace, found: "Representatives") -> int:
    from core.export.spreadsheet import as_csv

    rows = zip(found.rows, found.explanations, found.covered, strict=True)
    if args.json:
        say_json([{"row": row, "covered": covered, **_facts(one)} for row, one, covered in rows])
    elif args.csv:
        import pandas as pd

        frames = [one.frame.head(one.shown).assign(row=row, covered=covered) for row, one, covered in rows]
        write_text(args.csv, as_csv(pd.concat(frames)), "weights of the chosen rows")
    else:
        for row, one, covered in rows:
            say(f"Row {row:,}: {covered:.0%} of the importance of all features so far.", one.sentence, *_lines(one))
        if len(found.rows) < int(args.representatives):
            say("Other rows show no other feature; fewer --features make a row show fewer.")
    return 0


def _facts(one: LocalExplanation) -> dict[str, Any]:
    return {
        "explained": one.explained,
        "prediction": one.prediction,
        "local_prediction": one.local_prediction,
        "intercept": one.intercept,
        "fit": one.fit,
        "weights": one.frame.to_dict("records"),
    }


def _null_facts(null: "Null") -> dict[str, Any]:
    numbers = {"quantile": null.quantile, "p_value": null.p_value, "planned": null.planned}
    return numbers | {"maxima": null.maxima.tolist()}


def _lines(one: LocalExplanation) -> list[str]:
    shown = one.frame.head(one.shown)
    return [f"{weight:+.4g}  {text}" for text, weight in zip(shown["condition"], shown["weight"], strict=True)]


def _number(args: Namespace, name: str) -> int:
    text = getattr(args, name)
    number = whole(text)
    if number is None:
        raise BadParameter(f"--{name} cannot be {text!r}.", "Give a number, 0 or more.")
    return number


def _output(name: str, table: "Table") -> int | None:
    """The class that is explained; None for the one that is predicted, and for a number."""
    if not name:
        return None
    if name not in table.classes:
        raise unknown("class", name, table.classes)
    return table.classes.index(name)
