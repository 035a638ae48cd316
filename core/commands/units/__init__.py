"""`vitrine units`: analyses of the units of a model."""

from argparse import ArgumentParser
from collections.abc import Callable

from core.commands.units.ablate import ablate
from core.commands.units.averages import averages
from core.commands.units.factorisation import concepts
from core.commands.units.images import invert, visualise
from core.commands.units.resampling import resample
from core.commands.units.selections import selections
from core.commands.units.stored import activating, dissect, profiles, relevance

# command -> (its arguments, help)
COMMANDS: dict[str, tuple[Callable[[ArgumentParser], None], str]] = {
    "activating": (activating, "find the patches to which each unit responds most strongly"),
    "dissect": (dissect, "find the concept that each unit detects, by masks of concepts"),
    "profiles": (profiles, "find the mean response of each unit to the images of each class"),
    "relevance": (relevance, "find the units by whose responses the classes can be told apart"),
    "ablate": (ablate, "measure the accuracy that classes lose without the units relevant for them"),
    "averages": (averages, "average what the units relevant for a class respond to in its images"),
    "concepts": (concepts, "find directions of filters that make up the patches of a study"),
    "resample": (resample, "find the filters that matter in a neighbourhood of an image, and their patches"),
    "selections": (selections, "compare metrics of resampling over images, or over the epochs of a training"),
    "visualise": (visualise, "make the image that a class or unit responds to most"),
    "invert": (invert, "make images that layers encode as a given one"),
}


def units(parser: ArgumentParser) -> None:
    """Declare `vitrine units` and the commands below it."""
    below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (declare, text) in COMMANDS.items():
        declare(below.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}."))
