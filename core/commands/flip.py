"""`vitrine flip`."""

import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from core.commands import chosen_model, complain, named_model, options, say, say_json
from core.commands.requests import edit_option
from core.data.model_options import ModelOptions
from core.errors import BadParameter
from core.params import whole
from core.progress import printed

if TYPE_CHECKING:
    from core.edits.flip import Flip
    from core.models.model import Model


def flip(parser: ArgumentParser) -> None:
    """Declare `vitrine flip`."""
    parser.add_argument("image", metavar="IMAGE", help="image file")
    parser.add_argument("--model", required=True, metavar="MODEL", help="name, or ARCH@FILE for your own weights")
    options(parser, ModelOptions)
    edit_option(parser)
    parser.add_argument(
        "--remove", choices=("segments", "filters"), default="segments", help="what is removed (default: %(default)s)"
    )
    parser.add_argument("--target", metavar="CLASS", help="the class, index or label (default: the predicted one)")
    parser.add_argument("--count", default="50", metavar="COUNT", help="about how many superpixels (default: 50)")
    parser.add_argument(
        "--fill", default="blur", metavar="FILL", help="zero (black), mean, blur (default), or 'image FILE'"
    )
    parser.add_argument("--layer", default="", help="layer of the filters (default: last spatial layer)")
    parser.add_argument("--steps", default="20", metavar="COUNT", help="most steps of the search (default: 20)")
    parser.add_argument("--json", action="store_true", help="print the steps as JSON")
    parser.set_defaults(run=_flip)


def _flip(args: Namespace) -> int:
    from core.edits.apply import edited, scaled
    from core.edits.edit import read_all
    from core.edits.flip import flip_by_filters, flip_by_segments
    from core.environment import device
    from core.images import picture_file
    from core.models import load
    from core.workbench import Workbench

    edits = read_all(args.edit)
    count, steps = _number(args.count, "--count"), _number(args.steps, "--steps")
    report = printed(sys.stderr)
    loaded = load(named_model(args), device=device(), report=report, options=chosen_model(args))
    bench = Workbench(scaled(loaded, edits))
    label = None if args.target is None else loaded.target(args.target)
    picture = edited(picture_file(args.image), edits, picture_file)
    if args.remove == "filters":
        found = flip_by_filters(bench, picture, args.layer, label=label, steps=steps, report=report)
    else:
        found = flip_by_segments(
            bench, picture, label=label, count=count, fill=args.fill, steps=steps, images=picture_file, report=report
        )
    for note in filter(None, (*loaded.notes, picture.note)):
        (complain if args.json else say)(note)
    if args.json:
        say_json(
            {"image": picture.name, "model": loaded.name, "edits": list(map(str, edits)), **_record(found, loaded)}
        )
    else:
        if edits:
            say(f"The search starts from the image with {', '.join(map(str, edits))}.")
        say(*_lines(found, loaded))
    return 0


def _number(text: str, option: str) -> int:
    number = whole(text)
    if number is None:
        raise BadParameter(f"{option} cannot be {text[:40]!r}.", "Give a whole number.")
    return number


def _record(found: "Flip", model: "Model") -> dict[str, Any]:
    """The search for JSON, with its edit as text and the labels of classes."""
    facts = asdict(found) | {"edit": None if found.edit is None else str(found.edit)}
    for step in facts["steps"]:
        step["first_label"] = model.labels[step["first"]]
    return facts | {"class": model.labels[found.label], "first_label": model.labels[found.first]}


def _lines(found: "Flip", model: "Model") -> list[str]:
    """The steps as a table, and what they lead to."""
    label, spelled = model.labels[found.label], model.spelled
    lines = [f"{label} {spelled(found.before)}", f"step  {found.kind[:-1]:>10}  {label:>10}  predicted first"]
    for number, step in enumerate(found.steps, 1):
        first = f"{model.labels[step.first]} {spelled(step.first_probability)}"
        lines.append(f"{number:4}  {step.removed:10}  {spelled(step.probability):>{max(len(label), 10)}}  {first}")
    lines.append(found.why)
    if found.dropped:
        lines.append(f"Not needed: {', '.join(map(str, found.dropped))}.")
    if found.edit is not None:
        after = f"{label} {spelled(found.after)}, predicted first {model.labels[found.first]}"
        lines.append(f"{found.edit}: {after}. The search is greedy: a smaller set may exist.")
    return lines
