"""`vitrine flowers` and `vitrine train`, with the settings of the functions they call."""

import sys
from argparse import ArgumentParser, Namespace

from core.commands import chosen, options, path_argument, say
from core.progress import printed


def flowers(parser: ArgumentParser) -> None:
    """Declare `vitrine flowers`."""
    from core.data.flowers import VARIANTS, write

    parser.add_argument("--variant", required=True, metavar="VARIANT", help=", ".join(VARIANTS))
    parser.add_argument(
        "--out",
        required=True,
        type=path_argument,
        metavar="DIR",
        help="output folder for images, masks, concepts and manifest",
    )
    options(parser, write)
    parser.set_defaults(run=_flowers)


def train(parser: ArgumentParser) -> None:
    """Declare `vitrine train`."""
    from core.data.flowers import VARIANTS
    from core.train import train

    parser.add_argument("--variant", required=True, metavar="VARIANT", help=", ".join(VARIANTS))
    parser.add_argument(
        "--out", required=True, type=path_argument, metavar="FILE", help="weights file to write (.safetensors)"
    )
    options(parser, train)
    parser.set_defaults(run=_train)


def _flowers(args: Namespace) -> int:
    from core.data.flowers import VARIANTS, write

    settings = chosen(args, write, "flowers")
    write(args.variant, args.out, report=printed(sys.stderr), **settings)
    say(f"{args.out}: {settings['per_class'] * len(VARIANTS[args.variant].classes)} images")
    return 0


def _train(args: Namespace) -> int:
    from core.environment import device
    from core.train import train

    settings = chosen(args, train, "train")
    card = train(args.variant, args.out, device=device(), report=printed(sys.stderr), **settings)
    say(f"{args.out}: accuracy {card['accuracy']:.1%} on fresh images")
    return 0
