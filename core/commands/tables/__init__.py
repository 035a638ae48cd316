"""`vitrine tables`: tables, a network for one, and what explains it."""

from argparse import ArgumentParser
from collections.abc import Callable

from core.commands.tables.catalogue import data
from core.commands.tables.importance import importance, train
from core.commands.tables.local import lime
from core.commands.tables.pixels import pixels
from core.commands.tables.rules import rules

# command -> (its arguments, help)
COMMANDS: dict[str, tuple[Callable[[ArgumentParser], None], str]] = {
    "data": (data, "list the tables that can be opened by name, or show one"),
    "train": (train, "train a small network on a table, and score it on rows held out"),
    "importance": (importance, "compare what a regression, a tree and a network say of the features"),
    "pixels": (pixels, "show pixels as features, where importances fail"),
    "lime": (lime, "explain the prediction for one row by a linear model around it"),
    "rules": (rules, "describe a network by rules for its classes"),
}


def tables(parser: ArgumentParser) -> None:
    """Declare `vitrine tables` and the commands below it."""
    below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (declare, text) in COMMANDS.items():
        declare(below.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}."))
