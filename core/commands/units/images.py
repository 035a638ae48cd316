"""`vitrine units visualise` and `vitrine units invert`: images made by optimisation, as files."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.commands import chosen_model, named_model, options, path_argument, say, say_json
from core.commands.interruption import Interruption
from core.commands.requests import names, pairs, writable
from core.data.model_options import ModelOptions
from core.errors import BadParameter, Cancelled
from core.progress import printed
from core.registry import unknown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.card import Card
    from core.models.model import Model

STOPPED = 130


def visualise(parser: ArgumentParser) -> None:
    """Declare `vitrine units visualise`."""
    request(parser)
    parser.add_argument(
        "--target", required=True, metavar="TARGET",
        help="what the image drives: a class (index or label), a difference A-B, a group A+B or a unit LAYER:NUMBER",
    )  # fmt: skip
    parser.add_argument("--preset", default="fourier", help="fourier (default), l2, or yosinski-1 to yosinski-4")
    parser.add_argument("--examples", type=path_argument, metavar="DIR", help="images for --set image=components")
    parser.set_defaults(run=_visualise)


def invert(parser: ArgumentParser) -> None:
    """Declare `vitrine units invert`."""
    request(parser)
    parser.add_argument("--image", required=True, type=path_argument, metavar="FILE", help="image that is encoded")
    parser.add_argument(
        "--layers", default="", metavar="NAMES",
        help="layers, separated by commas (default: the last one of each size)",
    )  # fmt: skip
    parser.add_argument("--preset", default="mahendran", help="mahendran (default) or adam")
    parser.set_defaults(run=_invert)


def request(parser: ArgumentParser) -> None:
    """Declare what all commands have whose results are files: model, settings, seed and folder."""
    parser.add_argument("model", metavar="MODEL", help="name, or ARCH@FILE for your own weights")
    options(parser, ModelOptions)
    setting = "change a setting; README.md lists the main ones"
    parser.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE", help=setting)
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument("--out", required=True, type=path_argument, metavar="DIR", help="folder of the results")
    parser.add_argument("--json", action="store_true", help="print the contents of result.json")


def _visualise(args: Namespace) -> int:
    from core.explain.target_name import target_name
    from core.units.visualisation import MAXIMISATIONS, Scored, maximise
    from core.units.visualisation.cards import MAXIMISATION

    model, settings = _asked(args, MAXIMISATION, MAXIMISATIONS)
    target = target_name(args.target, model)
    examples = _examples(args, model) if settings["image"] == "components" else None
    with Interruption(printed(sys.stderr)) as interruption:
        try:
            found = maximise(
                model, Scored(target.targets()), **settings, examples=examples, seed=args.seed,
                report=interruption.report,
            )  # fmt: skip
        except Cancelled:
            return STOPPED
    pictures = {f"{target.file}-{number}": one for number, one in enumerate(found.pictures)}
    facts = {
        "target": str(target),
        "title": target.title(model.labels),
        "preset": args.preset,
        "settings": settings,
        "seed": found.seed,
        "responses": found.responses.tolist(),
        "finished": found.finished,
        "note": found.note,
        "passes": str(found.passes),
    }
    _write(args, model, pictures, {"objective": found.objective}, facts)
    return 0 if found.finished else STOPPED


def _invert(args: Namespace) -> int:
    from core.images import picture_file
    from core.units.visualisation import INVERSIONS, invert_layers
    from core.units.visualisation.cards import INVERSION

    model, settings = _asked(args, INVERSION, INVERSIONS)
    image = model.preprocess.tensor(model.preprocess.seen(picture_file(args.image))).to(model.device)
    with Interruption(printed(sys.stderr)) as interruption:
        try:
            found = invert_layers(
                model, image, names(args.layers), **settings, seed=args.seed, report=interruption.report
            )
        except Cancelled:
            return STOPPED
    pictures = {
        f"{one.layer.replace('/', '_')}-{number}": picture
        for one in found
        for number, picture in enumerate(one.pictures)
    }
    facts = {
        "image": str(args.image),
        "preset": args.preset,
        "settings": settings,
        "seed": args.seed,
        "layers": [
            {
                "layer": one.layer,
                "errors": one.errors[:, -1].tolist() if one.finished else None,
                "finished": one.finished,
                "note": one.note,
                "passes": str(one.passes),
            }
            for one in found
        ],
    }
    _write(args, model, pictures, {f"errors-{one.layer}": one.errors for one in found}, facts)
    return 0 if found[-1].finished else STOPPED


def _asked(args: Namespace, card: "Card", presets: Mapping[str, Mapping[str, Any]]) -> "tuple[Model, dict[str, Any]]":
    """The model and all settings, checked before any work."""
    from core.environment import seed

    seed(args.seed)
    if args.preset not in presets:
        raise unknown("preset", args.preset, presets)
    given = {**presets[args.preset], **pairs(args.set)}
    card.chosen(given)
    model = opened(args)
    return model, card.chosen(given, model)


def opened(args: Namespace) -> "Model":
    """The model, once the folder of the results can be written; what is to be said about it is printed."""
    from core.environment import device
    from core.models import load

    writable(args.out)
    model = load(named_model(args), device(), options=chosen_model(args))
    if not args.json:
        say(*model.notes)
    return model


def _examples(args: Namespace, model: "Model") -> Any:
    """The images (N, C, H, W) of the folder of examples, as the model sees them."""
    import torch

    from core.data.image_files import image_files

    if args.examples is None:
        raise BadParameter("Components are those of images, and none are given.", "Name their folder with --examples.")
    images = image_files([str(args.examples)])
    for error in images.errors.values():
        raise error
    return torch.stack([model.preprocess.tensor(model.preprocess.seen(one.picture())) for one in images.files])


def _write(
    args: Namespace, model: "Model", pictures: "Mapping[str, NDArray[Any]]", curves: "Mapping[str, NDArray[Any]]",
    facts: Mapping[str, Any],
) -> None:  # fmt: skip
    """Write every picture as PNG and as numbers, the curves, and what was asked."""
    import numpy as np

    from core.export.files import npz
    from core.figures.sheet import png

    files: dict[str, bytes] = {
        f"{name}.png": png((255 * picture.clip(0, 1)).round().astype(np.uint8)) for name, picture in pictures.items()
    }
    files["result.npz"] = npz({**pictures, **curves})
    notes = [
        facts.get("note", ""),
        *(f"{one['layer']}: {one['note']}" for one in facts.get("layers", ()) if one["note"]),
    ]
    write(args, model, files, facts, *filter(None, notes))


def write(args: Namespace, model: "Model", files: Mapping[str, bytes], facts: Mapping[str, Any], *notes: str) -> None:
    """Write files and, as result.json, the facts of model and request; print their paths and notes, or the facts."""
    from core.export.files import write_files

    content = {"model": model.name, "sha": model.sha, "preparation": str(model.preprocess), **facts}
    text = json.dumps(content, indent=2, ensure_ascii=False, default=str)
    every = {**files, "result.json": f"{text}\n".encode()}
    write_files(args.out, every)
    if args.json:
        say_json(content, default=str)
        return
    say(*(f"{args.out / name}" for name in every), *notes)
