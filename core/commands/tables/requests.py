"""The table, its model and the files of results that commands about tables share."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.commands import chosen, options, path_argument, say, say_json
from core.commands.interruption import Interruption
from core.commands.requests import writable
from core.errors import BadParameter, Unsupported
from core.params import expanded
from core.progress import Report, printed
from core.tables.data.conversion import Choices, table_of
from core.tables.data.csv_file import read_csv
from core.tables.training import NETWORK

if TYPE_CHECKING:
    from core.tables.network import Network
    from core.tables.table import Predict, Table
    from core.tables.training import Trained

STOPPED = 130


@dataclass(frozen=True, eq=False)
class Modelled:
    """A model of a table, with the rows it is trained on and those held out."""

    predict: "Predict"
    training: "Table"
    held_out: "Table"
    trained: "Trained | None"  # none for the user's own model
    score: float
    settings: Mapping[str, Any]  # of the training
    facts: Mapping[str, Any]

    @property
    def network(self) -> "Network":
        """The network. Raises Unsupported for a model of the user's own."""
        if self.trained is None:
            message = "Rules out of layers need a network that was trained here."
            raise Unsupported(message, "Leave out --model, or use --method tree.")
        return self.trained.network


def table_options(parser: ArgumentParser, *, optional: bool = False) -> None:
    """Declare the table and how it is read."""
    name = "name of a table, as `vitrine tables data` lists them, or a CSV file"
    parser.add_argument("data", nargs="?" if optional else None, metavar="DATA", help=name)
    options(parser, read_csv)
    options(parser, Choices)
    average = "for a target that is a number: predict whether it is above the average"
    parser.add_argument("--above-average", action="store_true", help=average)


def network_options(parser: ArgumentParser) -> None:
    """Declare the network that is trained, or the model of the user's own."""
    own = "a function that returns a model with predict_proba or predict (default: a network is trained)"
    parser.add_argument("--model", metavar="FILE.py:FUNCTION", help=own)
    options(parser, NETWORK)


def model_options(parser: ArgumentParser) -> None:
    """Declare the table, its model, and the folder of results."""
    table_options(parser)
    network_options(parser)
    parser.add_argument("--out", type=path_argument, metavar="DIR", help="folder of the results")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")


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


def modelled(args: Namespace, report: Report, table: "Table | None" = None) -> Modelled:
    """The model of the options for their table, or another one, trained if it is not the user's own.

    Raises VitrineError for a table or model that cannot be read, Cancelled if `report` does.
    """
    from core.models.sources.trust import trust
    from core.tables.own_model import own_model
    from core.tables.training import score, split, train

    settings = chosen(args, NETWORK, "network")
    if out := vars(args).get("out"):  # before any work
        writable(out)
    table = table or opened(args)
    facts = {"table": table.name, "rows": len(table), "features": len(table.columns), "target": table.target.name,
             "notes": table.notes}  # fmt: skip
    if args.model is None:
        trained = train(table, **settings, report=report)
        facts |= {"settings": settings, "sentence": trained.sentence}
        return Modelled(trained.network, trained.training, trained.held_out, trained, trained.score, settings, facts)
    predict = own_model(trust(args.model), table)
    training, held = split(table, settings["held_out"], settings["seed"])
    own = score(predict(held.values), held, training)
    caution = "The model may have been trained on the rows that are held out here."
    facts |= {"model": args.model, "score": own, "sentence": caution}
    return Modelled(predict, training, held, None, own, settings, facts)


@contextmanager
def reported() -> Iterator[Report]:
    """A report on the terminal, which Ctrl-C makes raise Cancelled."""
    with Interruption(printed(sys.stderr)) as interruption:
        yield interruption.report


def finish(args: Namespace, facts: Mapping[str, Any], files: Mapping[str, bytes], lines: "list[str]") -> None:
    """Write the files and, as result.json, the facts to the folder of the results; print the facts or the lines."""
    from core.export.files import write_files

    if args.out:
        every = {**files, "result.json": f"{json.dumps(facts, indent=2, ensure_ascii=False)}\n".encode()}
        write_files(args.out, every)
        lines = [*lines, *(str(args.out / name) for name in every)]
    if args.json:
        say_json(facts)
    else:
        say(*facts["notes"], facts["sentence"], *lines)
