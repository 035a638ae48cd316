"""`vitrine units ablate`: the accuracy that classes lose without the filters that are relevant for them."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from core.commands import chosen, complain, named_model, options, path_argument, say, say_json, write_text
from core.commands.interruption import Interruption
from core.errors import BadParameter, Cancelled
from core.params import Knob
from core.progress import printed

if TYPE_CHECKING:
    from core.explain.filter_relevance import Relevance
    from core.models.model import Model
    from core.units.store import UnitStore


@dataclass(frozen=True)
class Ablated:
    """The filters that are ablated, the random sets that they are compared with, and the images."""

    top: Annotated[int, Knob("Most relevant units of each class; 0 for all that are relevant.", 0, 100_000)] = 0
    images: Annotated[int, Knob("Number of images, evenly from all classes; 0 for all.", 0, 10_000_000)] = 0
    draws: Annotated[int, Knob("Number of random filter sets; 0 for none.", 0, 1000)] = 20
    seed: Annotated[int, Knob("Seed of the random sets.", 0, 2**31 - 1)] = 0


def ablate(parser: ArgumentParser) -> None:
    """Declare `vitrine units ablate`."""
    relevance_arguments(parser, "default: those that the relevance is of; others are a fairer test")
    options(parser, Ablated)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the table as JSON")
    form.add_argument("--csv", type=path_argument, metavar="FILE", help="write the table as CSV")
    parser.set_defaults(run=_ablate)


def relevance_arguments(parser: ArgumentParser, usual: str) -> None:
    """Declare the stored relevance, its model if that was moved, and images; `usual` says which by default."""
    parser.add_argument(
        "relevance", type=path_argument, metavar="RELEVANCE", help="folder that `vitrine units relevance` made"
    )
    parser.add_argument("--data", default="", metavar="DIR", help=f"images, one sub-folder per class ({usual})")
    moved = "the model, if it is no longer where the relevance was computed from: name, or ARCH@FILE"
    parser.add_argument("--model", default="", metavar="MODEL", help=moved)


def opened(args: Namespace) -> "tuple[UnitStore, Relevance, Model]":
    """The stored relevance of the arguments, its weights and its model."""
    from core.data.model_options import options_of
    from core.environment import device
    from core.explain.filter_relevance import StoredRelevance
    from core.models import load
    from core.units.store import UnitStore

    relevance = StoredRelevance(args.relevance).relevance
    store = UnitStore(args.relevance)
    facts, config = store.manifest.model, store.manifest.settings
    model = load(named_model(args) if args.model else facts.name, device(), options=options_of(config))
    if model.sha != facts.sha:
        message = f"{model.display} is not the model that {store.name} is about."
        raise BadParameter(message, "Give it with --model, or compute the relevance again.")
    return store, relevance, model


def _ablate(args: Namespace) -> int:
    from core.units.drawn_flowers import images_of
    from core.units.folder_images import FolderImages
    from core.units.relevance import relevance_ablation

    asked = Ablated(**chosen(args, Ablated, "ablate"))
    store, relevance, model = opened(args)
    with Interruption(printed(sys.stderr)) as interruption:
        try:
            data = args.data or str(images_of(store, model, interruption.report))
            images = FolderImages(data, model, limit=asked.images, report=interruption.report)
            table = relevance_ablation(
                model, relevance, images, top=asked.top, draws=asked.draws, seed=asked.seed, report=interruption.report
            )
        except Cancelled:
            complain("stopped.")
            return 130
    if args.json:
        say_json(json.loads(table.to_json(orient="records")))
    elif args.csv:
        write_text(args.csv, table.to_csv(index=False), "table")
    else:
        say(f"{store.path}: accuracy lost without the relevant units of each class, and without as many random units")
        for one in table.to_dict("records"):
            chance = f", random units {_points(one, 'random')}" if asked.draws else ""
            counted = f"{one['images']:,} images, {one['baseline']:.1%}; {one['units']:.0f} units cost"
            say(f"{one['name']}  {counted} {_points(one, 'lost')}{chance}")
    return 0


def _points(row: Mapping[Hashable, Any], name: str) -> str:
    """A loss in percentage points with its interval, which one image does not have."""
    from core.measure.intervals import bracketed

    mean, low, high = (100 * row[f"{name}{end}"] for end in ("", "_low", "_high"))
    return f"{mean:.0f}{bracketed(low, high, '.0f')}"
