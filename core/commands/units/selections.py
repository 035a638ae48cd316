"""`vitrine units selections`: metrics of input resampling compared over images, or over the epochs of a training."""

import json
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from core.commands import chosen_model, complain, options, path_argument, say, say_json
from core.commands.interruption import Interruption
from core.commands.requests import names, pairs, writable
from core.data.model_options import ModelOptions
from core.errors import BadParameter, Cancelled
from core.params import checked, params_of
from core.progress import printed

if TYPE_CHECKING:
    import pandas as pd

    from core.units.resampling.examples import Examples

STOPPED = 130
_TOLD = 3  # images that are left out, with their reasons
_TABLE, _EPOCHS = "metrics.csv", "epochs.csv"


def selections(parser: ArgumentParser) -> None:
    """Declare `vitrine units selections`."""
    parser.add_argument(
        "models", nargs="+", metavar="MODEL",
        help="name, or ARCH@FILE for your own weights; several are the epochs of one training",
    )  # fmt: skip
    options(parser, ModelOptions)
    parser.add_argument("--data", required=True, metavar="DIR", help="folder of images, one sub-folder per class")
    parser.add_argument("--masks", default="", metavar="PATH", help="masks (default: folder masks beside the images)")
    parser.add_argument("--images", type=int, default=60, help="images at most, 0 for all (default: %(default)s)")
    parser.add_argument("--layers", default="", metavar="NAMES", help="convolutions (default: all)")
    parser.add_argument("--metrics", default="", metavar="NAMES", help="default: all; of several models corr,prec")
    parser.add_argument("--top", default="", metavar="NUMBERS", help="filters per layer (default: 5,20; epochs: 5)")
    setting = "change a setting of resampling, such as samples=20"
    parser.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE", help=setting)
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument("--out", required=True, type=path_argument, metavar="DIR", help="folder of the results")
    parser.add_argument("--json", action="store_true", help="print the contents of result.json")
    parser.set_defaults(run=_selections)


def _selections(args: Namespace) -> int:
    from core.environment import device, seed
    from core.models import load
    from core.models.sources.trust import trust
    from core.units.resampling import METRICS, resample
    from core.units.resampling.comparison import PAIR, TOPS, compared, followed
    from core.units.resampling.examples import examples

    seed(args.seed)
    settings = checked(params_of(resample), pairs(args.set), "resample")
    tops = _tops(args.top) or (TOPS if len(args.models) == 1 else TOPS[:1])
    writable(args.out)
    models = [load(trust(name), device(), options=chosen_model(args)) for name in args.models]
    shared: dict[str, Any] = {"layers": names(args.layers), "seed": args.seed, "settings": settings}
    with Interruption(printed(sys.stderr)) as interruption:
        try:
            images = examples(args.data, models[0], args.masks, limit=args.images, report=interruption.report)
            told = interruption.report
            if len(models) == 1:
                metrics = names(args.metrics) or tuple(METRICS)
                table = compared(models[0], images.images, metrics, tops=tops, report=told, **shared)
            else:
                pair = _pair(names(args.metrics) or PAIR)
                table = followed(models, images.images, pair, top=tops[0], report=told, **shared)
        except Cancelled:
            complain("stopped; nothing was written.")
            return STOPPED
    facts = {
        "models": [{"name": model.name, "sha": model.sha} for model in models],
        "data": args.data,
        "images": len(images.images),
        "left_out": images.left_out,
        "notes": images.notes,
        "layers": args.layers,
        "tops": tops,
        "settings": settings,
        "seed": args.seed,
    }
    _write(args, table, images, facts)
    return 0


def _tops(text: str) -> tuple[int, ...]:
    from core.params import whole

    found = [whole(one) for one in names(text)]
    if not all(found):
        raise BadParameter(f"Numbers of filters cannot be {text!r}.", "Give whole numbers with commas, such as 5,20.")
    return tuple(one for one in found if one)


def _pair(metrics: tuple[str, ...]) -> tuple[str, str]:
    if len(metrics) != 2:
        raise BadParameter("Epochs are compared by two metrics.", "Name two with --metrics, such as corr,prec.")
    return metrics[0], metrics[1]


def _write(args: Namespace, table: "pd.DataFrame", images: "Examples", facts: dict[str, Any]) -> None:
    """Write the table and what was asked."""
    from core.export.files import write_files

    file = _TABLE if len(args.models) == 1 else _EPOCHS
    content = {**facts, "rows": json.loads(table.to_json(orient="records"))}
    files = {
        file: table.to_csv(index=False).encode(),
        "result.json": (json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n").encode(),
    }
    write_files(args.out, files)
    if args.json:
        say_json(content, default=str)
        return
    say(*images.notes, *[*images.left_out.values()][:_TOLD])
    say(table.to_string(index=False, float_format="{:.3f}".format), *(f"{args.out / name}" for name in files))
