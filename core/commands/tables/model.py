"""The model that a command about a table explains: a network trained for it, or the user's own code."""

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.commands import chosen, named_model, options
from core.errors import Unsupported
from core.progress import Report
from core.tables.training import NETWORK

if TYPE_CHECKING:
    from core.tables.network import Network
    from core.tables.table import Predict, Table


@dataclass(frozen=True)
class Explained:
    """A model of a table, with the rows of its training and those held out."""

    predict: "Predict"
    training: "Table"
    held_out: "Table"
    about: str  # where it comes from, as a sentence
    settings: dict[str, Any]  # of the training

    @property
    def network(self) -> "Network":
        """The network. Raises Unsupported for a model of the user's own code."""
        from core.tables.network import Network

        if not isinstance(self.predict, Network):
            message = "Rules out of layers need a network that was trained here."
            raise Unsupported(message, "Leave out --model, or use --method tree.")
        return self.predict


def model_options(parser: ArgumentParser) -> None:
    """Declare the model: own code, or the settings of a network that is trained."""
    own = "your own model, FILE.py:FUNCTION, whose code runs here (default: a network is trained)"
    parser.add_argument("--model", default="", metavar="FILE.py:FUNCTION", help=own)
    options(parser, NETWORK)


def explained(args: Namespace, table: "Table", report: Report) -> Explained:
    """The model of the options. Raises VitrineError for code that fails or does not fit the table."""
    from core.tables.own_model import own_model
    from core.tables.training import split, train

    settings = chosen(args, NETWORK, "network")
    if args.model:
        predict = own_model(named_model(args), table)
        training, held_out = split(table, settings["held_out"], settings["seed"])
        return Explained(predict, training, held_out, f"The model is {args.model}.", settings)
    trained = train(table, **settings, report=report)
    return Explained(trained.network, trained.training, trained.held_out, trained.sentence, settings)
