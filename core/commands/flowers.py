"""`vitrine flowers` and `vitrine train`."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from core.progress import printed

_VARIANTS = "single-6c, double-12c, part-2c or shortcut"


def flowers(parser: ArgumentParser) -> None:
    """Declare `vitrine flowers`."""
    parser.add_argument("--variant", required=True, metavar="VARIANT", help=_VARIANTS)
    parser.add_argument(
        "--per-class", type=int, default=10, metavar="N", help="images per class (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed, other images (default: %(default)s)")
    parser.add_argument("--size", type=int, default=128, help="side in pixels (default: %(default)s)")
    parser.add_argument(
        "--rho", type=float, default=1.0, help="shortcut: chance that the tag tells the class (default: 1)"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="gets images, masks, concepts, manifest")
    parser.set_defaults(run=_flowers)


def train(parser: ArgumentParser) -> None:
    """Declare `vitrine train`."""
    parser.add_argument("--variant", required=True, metavar="VARIANT", help=_VARIANTS)
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="weights file to write (.safetensors)")
    parser.add_argument("--epochs", type=int, help="passes over the training images")
    parser.add_argument("--seed", type=int, default=0, help="seed of images, weights and order (default: %(default)s)")
    parser.add_argument("--keep-epochs", action="store_true", help="also keep the weights of every epoch")
    parser.set_defaults(run=_train)


def _flowers(args: Namespace) -> int:
    from core.data.flowers import write
    from core.params import checked, params_of

    given = {"per_class": args.per_class, "seed": args.seed, "size": args.size, "rho": args.rho}
    settings = checked(params_of(write), given, "flowers")
    manifest = write(args.variant, args.out, report=printed(sys.stderr), **settings)
    print(f"{args.out}: {len(manifest['images'])} images")
    return 0


def _train(args: Namespace) -> int:
    from core.params import checked, params_of
    from core.train import train

    given = {"seed": args.seed, "keep_epochs": args.keep_epochs}
    if args.epochs is not None:
        given["epochs"] = args.epochs
    settings = checked(params_of(train), given, "train")
    card = train(args.variant, args.out, report=printed(sys.stderr), **settings)
    print(f"{args.out}: accuracy {card['accuracy']:.1%} on fresh images")
    return 0
