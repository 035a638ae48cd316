"""`vitrine tables rules`: rules that describe a network, by DeepRED or a surrogate tree."""

import json
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from core.commands import chosen, complain, options, path_argument, say, say_json, write_text
from core.commands.interruption import Interruption
from core.commands.tables.requests import STOPPED, Modelled, modelled, network_options, opened, table_options
from core.errors import BadParameter, Cancelled, brief
from core.params import whole
from core.progress import Report, printed, subrange
from core.tables.rules.deepred import DEEPRED, deepred
from core.tables.rules.hypinv import HYPINV, hypinv
from core.tables.rules.surrogate_tree import SURROGATE_TREE, fidelity_by_depth, surrogate_tree

if TYPE_CHECKING:
    from core.tables.rules.ruleset import Quality

METHODS = {"deepred": DEEPRED, "tree": SURROGATE_TREE, "hypinv": HYPINV}


def rules(parser: ArgumentParser) -> None:
    """Declare `vitrine tables rules`."""
    table_options(parser)
    method = "out of the layers of a network (deepred, default), a tree on the predictions of any model (tree), "
    method += "or half-spaces at points on the boundary of a class (hypinv, experimental)"
    parser.add_argument("--method", choices=METHODS, default="deepred", help=method)
    for name, card in METHODS.items():
        options(parser, card, f"{name}_")
    parser.add_argument("--class", dest="label", default="", metavar="NAME", help="class of hypinv (default: the last)")
    network_options(parser)
    parser.add_argument("--fire", default="", metavar="ROW", help="say which rule fires for this row, from 0")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print as JSON")
    form.add_argument("--csv", type=path_argument, metavar="FILE", help="write all conditions as CSV")
    form.add_argument(
        "--python", type=path_argument, metavar="FILE", help="write a function that gives the same classes"
    )
    form.add_argument("--trade-off", action="store_true", help="print the fidelity of trees by their depth, as CSV")
    parser.set_defaults(run=_rules)


def _rules(args: Namespace) -> int:
    from core.export.spreadsheet import as_csv
    from core.tables.rules.source import python_source

    settings: dict[str, Any] = chosen(args, METHODS[args.method], args.method, f"{args.method}_")
    table = opened(args)
    row = whole(args.fire) if args.fire else None
    if args.fire and (row is None or row >= len(table)):
        raise BadParameter(f"There is no row {args.fire}.", f"{table.name} has rows 0 to {len(table) - 1:,}.")
    with Interruption(printed(sys.stderr)) as interruption:
        try:
            model = modelled(args, subrange(interruption.report, 0, 0.2), table)
            rest = subrange(interruption.report, 0.2, 1)
            if args.trade_off:
                by_depth = fidelity_by_depth(model.training, model.predict, model.held_out, report=rest)
                say(*as_csv(by_depth).splitlines())
                return 0
            if args.method == "hypinv":
                return _half_spaces(args, model, settings, rest)
            if args.method == "deepred":
                found = deepred(model.training, model.network, **settings, report=rest)
            else:
                found = surrogate_tree(model.training, model.predict, **settings, seed=model.settings["seed"])
        except Cancelled:
            complain("stopped.")
            return STOPPED
    training, held_out = (found.quality(some, model.predict) for some in (model.training, model.held_out))
    if args.json:
        say_json({
            "model": model.facts["sentence"],
            "training": asdict(training),
            "held_out": asdict(held_out),
            "majority": found.classes[found.majority],
            "notes": [*table.notes, *found.notes],
            "rules": json.loads(found.frame.to_json(orient="records")),
            "terms": json.loads(found.terms.to_json(orient="records")),
        })  # fmt: skip
    elif args.csv:
        write_text(args.csv, as_csv(found.terms), "conditions of all rules")
    elif args.python:
        write_text(args.python, python_source(found), "a function that gives the classes of the rules")
    else:
        say(
            *table.notes,
            model.facts["sentence"],
            _sentence(training, "training"),
            _sentence(held_out, "held out"),
            *found.text.splitlines(),
        )
    if row is not None and not (args.json or args.csv or args.python):
        number = int(found.fired(table.values[[row]])[0])
        say(f"Row {row:,}: {f'rule {number + 1} fires. ' if number >= 0 else ''}{found.sentence(number)}")
    return 0


def _half_spaces(args: Namespace, model: Modelled, settings: dict[str, Any], report: Report) -> int:
    """Print what HypInv finds for a class."""
    from core.export.spreadsheet import as_csv

    classes = model.training.classes
    if args.python or args.fire:
        raise BadParameter("HypInv gives half-spaces, not rules.", "Leave out --python and --fire.")
    if args.label and args.label not in classes:
        raise BadParameter(
            f"There is no class {brief(args.label, 40)!r}.", f"Choose from {brief(', '.join(classes), 200)}."
        )
    label = classes.index(args.label) if args.label else len(classes) - 1
    half = hypinv(model.training, model.network, label, **settings, seed=model.settings["seed"], report=report)
    if args.json:
        say_json({
            "model": model.facts["sentence"], "class": half.name, "fidelity": half.fidelity, "missed": half.missed,
            "half_spaces": json.loads(half.frame.to_json(orient="records")), "caution": HYPINV.caution,
        })  # fmt: skip
    elif args.csv:
        write_text(args.csv, as_csv(half.frame), "half-spaces")
    else:
        said = (f"h{place + 1}: {half.sentence(place)}" for place in range(len(half.points)))
        say(model.facts["sentence"], half.summary, *said, HYPINV.caution)
    return 0


def _sentence(quality: "Quality", name: str) -> str:
    """What rules are worth on some rows."""
    size = f"{quality.rules:,} rules of {quality.terms:.1f} conditions"
    shares = f"fidelity {quality.fidelity:.1%}, accuracy {quality.accuracy:.1%}, no rule for {quality.uncovered:.1%}"
    return f"{size} on {quality.rows:,} rows ({name}): {shares}"
