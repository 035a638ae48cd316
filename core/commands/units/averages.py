"""`vitrine units averages`: the mean of what relevant units respond to in the images of each class."""

import sys
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from typing import Annotated

from core.commands import chosen, complain, options, path_argument
from core.commands.interruption import Interruption
from core.commands.requests import writable
from core.commands.units.ablate import opened, relevance_arguments
from core.commands.units.images import STOPPED, write
from core.errors import BadParameter, Cancelled
from core.params import Knob, whole
from core.progress import printed, subrange


@dataclass(frozen=True)
class Averaged:
    """The units whose images are averaged, and what counts."""

    top: Annotated[int, Knob("Most relevant units of each class; 0 for all that are relevant.", 0, 100_000)] = 3
    most: Annotated[int, Knob("Images of a class with the strongest response.", 1, 1_000_000)] = 100
    uniform: Annotated[bool, Knob("Count every image alike, not by the response of the unit.")] = False


def averages(parser: ArgumentParser) -> None:
    """Declare `vitrine units averages`."""
    relevance_arguments(parser, "default: those that the relevance is of")
    parser.add_argument("--unit", default="", metavar="LAYER:NUMBER", help="this unit alone, for all of its classes")
    options(parser, Averaged)
    parser.add_argument("--out", required=True, type=path_argument, metavar="DIR", help="folder of the results")
    parser.add_argument("--json", action="store_true", help="print the contents of result.json")
    parser.set_defaults(run=_averages)


def _averages(args: Namespace) -> int:
    from core.export.averages import average_files, average_key
    from core.units.drawn_flowers import images_of
    from core.units.folder_images import FolderImages
    from core.units.relevance import average_visualisations, relevant_units

    asked = Averaged(**chosen(args, Averaged, "averages"))
    layer, _, number = args.unit.rpartition(":")
    unit = whole(number)
    if args.unit and (not layer or unit is None):
        raise BadParameter(f"A unit cannot be {args.unit!r}.", "Write LAYER:NUMBER, such as norm4:12.")
    writable(args.out)
    store, relevance, model = opened(args)
    wanted = relevant_units(relevance, 0 if args.unit else asked.top)
    wanted = [one for one in wanted if not args.unit or (one.layer, one.unit) == (layer, unit)]
    if not wanted:
        message = f"{store.name} has no class for which {args.unit or 'a unit'} is relevant."
        raise BadParameter(message, "Name a unit with a positive weight; `vitrine units relevance --out` lists them.")
    config = store.manifest.settings
    with Interruption(printed(sys.stderr)) as interruption:
        try:
            data = args.data or images_of(store, model, subrange(interruption.report, 0.0, 0.4))
            images = FolderImages(
                str(data), model, limit=0 if args.data else config.images,
                report=subrange(interruption.report, 0.4, 0.5),
            )  # fmt: skip
            found = average_visualisations(
                model, images, wanted, classes=config.settings["classes"], most=asked.most,
                weighted=not asked.uniform, report=subrange(interruption.report, 0.5, 1.0),
            )  # fmt: skip
        except Cancelled:
            complain("stopped; nothing was written.")
            return STOPPED
    facts = {
        "relevance": store.name,
        "data": str(data),
        "images": len(images.names),
        "classes": config.settings["classes"],
        "settings": vars(asked),
        "averages": [
            {
                "key": average_key(one.of), "label": one.of.label, "name": model.labels[one.of.label],
                "layer": one.of.layer, "unit": one.of.unit, "images": one.images, "highest": one.highest,
            }
            for one in found
        ],
    }  # fmt: skip
    note = (
        "" if len(found) == len(wanted) else f"{len(wanted) - len(found):,} units respond to no image of their class."
    )
    write(args, model, average_files(found), facts, *filter(None, [note]))
    return 0
