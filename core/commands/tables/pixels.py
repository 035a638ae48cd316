"""`vitrine tables pixels`: pixels as features, where importances fail."""

from argparse import ArgumentParser, Namespace

from core.commands import chosen, options
from core.commands.tables.requests import STOPPED, finish, model_options, modelled, reported
from core.errors import Cancelled, Unsupported
from core.progress import subrange
from core.tables.tree import TREE


def pixels(parser: ArgumentParser) -> None:
    """Declare `vitrine tables pixels`."""
    model_options(parser)
    parser.add_argument("--label", default="0", help="class of saliency and inversion (default: %(default)s)")
    options(parser, TREE, "tree_")
    parser.set_defaults(run=_pixels)


def _pixels(args: Namespace) -> int:
    from core.data.labels import class_index
    from core.export.files import npz
    from core.figures.sheet import png
    from core.figures.tables.pixels import enlarged
    from core.tables.network import Network
    from core.tables.pixels import REASON, forest_weights, gini, inversion, saliency
    from core.tables.training import score
    from core.tables.tree import tree

    settings = chosen(args, TREE, "tree", "tree_")
    with reported() as report:
        try:
            found = modelled(args, subrange(report, 0, 0.8))
            network, held = found.predict, found.held_out
            if not isinstance(network, Network):
                raise Unsupported("Saliency and inversion need the gradient of a network.", "Leave out --model.")
            rows = held.answers == class_index(args.label, held.classes, held.name)
            grown = tree(found.training, **settings)
            arrays = {
                "gini": gini(grown),
                "forest": forest_weights(found.training, held.values[rows][0], args.label),
                "saliency": saliency(network, held.values[rows], args.label),
                "inversion": inversion(network, args.label, report=subrange(report, 0.8, 1)),
            }
        except Cancelled:
            return STOPPED
    accuracy = score(grown(held.values), held, found.training)
    facts = {
        **found.facts, "label": args.label, "reason": REASON, "tree_accuracy": accuracy,
        **{name: array.tolist() for name, array in arrays.items()},
    }  # fmt: skip
    files = {f"{name}.png": png(enlarged(array)) for name, array in arrays.items()} | {"pixels.npz": npz(arrays)}
    finish(args, facts, files, [f"The accuracy of the tree is {accuracy:.1%}.", REASON])
    return 0
