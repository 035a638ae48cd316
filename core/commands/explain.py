"""`vitrine explain`."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from core.card import Passes
from core.commands import chosen_model, named_model, path_argument, say, say_json
from core.commands.folder import explain_whole, is_whole
from core.commands.interruption import Interruption
from core.commands.requests import (
    Asked,
    Settings,
    chosen_names,
    edit_option,
    layers,
    listed,
    reading,
    report_failure,
    request_options,
    settings,
    targets,
    usable,
    writable,
)
from core.errors import BadParameter, Cancelled, VitrineError
from core.progress import Report, item, printed

if TYPE_CHECKING:
    from core.edits.what_if import Change
    from core.images import Picture
    from core.workbench import Answer, Request, Workbench


@dataclass(frozen=True)
class Work:
    """The requests for every image, checked against the model."""

    methods: Sequence[str]
    targets: Sequence[str]  # "predicted", or as `target_name` reads them
    settings: Settings
    layers: Sequence[str]
    seed: int
    settle: bool
    true: int | None  # class of all images, if it was named


def explain(parser: ArgumentParser) -> None:
    """Declare `vitrine explain`."""
    request_options(parser)
    edit_option(parser)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--method", metavar="METHOD", help="methods, separated by commas")
    which.add_argument("--all", action="store_true", help="every method the model supports")
    parser.add_argument(
        "--label",
        metavar="CLASS",
        help="true class of the images, index or label, to say whether the prediction is right (default: of a folder "
        "in class folders, their names)",
    )
    parser.add_argument("--settle", action="store_true", help="stop a method early when its map converges")
    parser.add_argument(
        "--out",
        required=True,
        type=path_argument,
        metavar="DIR",
        help="output folder; one sub-folder per image. Of one folder or archive alone: raw maps and one table, in "
        "batches; the same command continues after an interruption",
    )
    parser.add_argument(
        "--figure",
        choices=("png", "pdf", "svg"),
        help="format of the figure (default: png); with it, with --edit, --settle or --json, each image of a folder "
        "gets a sub-folder with pictures",
    )
    parser.add_argument("--json", action="store_true", help="print the contents of result.json for all images")
    parser.set_defaults(run=_explain)


def _explain(args: Namespace) -> int:
    from core.edits.apply import scaled
    from core.edits.edit import read_all
    from core.edits.what_if import what_if
    from core.environment import device, seed
    from core.export import names, write
    from core.images import picture_file
    from core.models import load
    from core.workbench import Workbench

    seed(args.seed)
    how, asked = reading(args), _asked(args)
    settings(args, asked)
    edits, report = read_all(args.edit), printed(sys.stderr)
    writable(args.out)
    unedited = Workbench(load(named_model(args), device=device(), report=report, options=chosen_model(args)))
    bench = Workbench(scaled(unedited.model, edits), unedited.cache)
    work = _work(args, asked, bench)
    if is_whole(args):
        return explain_whole(args, how, bench, work, report)
    judged = args.label is None and bench.model.output != "regression"  # by the class folders
    images = listed(args, how, bench.model, report, judged=judged)
    spelled = bench.model.spelled
    records, failed, stopped = [], bool(images.errors), False
    folders = names(image.name for image in images.files)
    for number, (image, name) in enumerate(zip(images.files, folders, strict=True)):
        folder = args.out / name
        part_report = item(report, number, len(folders), "image")
        try:
            picture, true = how.picture(image), image.true if work.true is None else work.true
            changes: Sequence[Change] = ()
            if edits:
                found = what_if(unedited, picture, edits, picture_file)
                picture, changes = found.picture, found.changes
            answers, stopped = _answers(bench, picture, work, part_report)
            if stopped and not answers:
                break
            result = write(
                folder, bench, picture, answers, args.seed, kind=args.figure or "png", true=true, changes=changes
            )
        except VitrineError as error:
            failed = report_failure(image.name, str(error))
            continue
        records.append(result)
        for entry in result["failed"]:
            failed = report_failure(image.name, f"{entry['method']}: {entry['reason']}")
        if not args.json:
            say(f"{folder}: {_summary(bench, picture, answers, result, true)}")
            say(*(f"  {one.label}: {spelled(one.before)} → {spelled(one.after)}" for one in changes))
        if stopped:
            break
    if args.json:
        say_json(records)
    elif len(known := [one["right"] for one in records if one["right"] is not None]) > 1:
        say(f"The prediction is right for {sum(known):,} of {len(known):,} images.")
    if stopped:
        raise KeyboardInterrupt
    return 2 if failed else 0


def _summary(
    bench: "Workbench",
    picture: "Picture",
    answers: "list[tuple[Request, Answer]]",
    result: Mapping[str, Any],
    true: int | None,
) -> str:
    """What was predicted for an image and what its maps took, and what is to be said about it."""
    from core.explain import Explanation

    predicted = {one["index"] for one in result["predicted"]}
    first = [one for one in result["top5"] if one["index"] in predicted] or result["top5"][:1]
    shown = [f"{one['label']} {bench.model.spelled(one[bench.model.quantity])}" for one in first]
    maps = "1 map" if len(result["maps"]) == 1 else f"{len(result['maps'])} maps"
    made = sum((answer.passes for _, answer in answers if isinstance(answer, Explanation)), Passes())
    notes = [_judged(bench, picture, true), picture.note]
    return ". ".join([", ".join([*shown, maps, str(made)]), *filter(None, notes)])


def _asked(args: Namespace) -> Asked:
    """The requested methods, supported or not."""
    from core.explain import EXPLAINERS

    return Asked("--method", EXPLAINERS, list(EXPLAINERS) if args.all else chosen_names(args.method, EXPLAINERS))


def _work(args: Namespace, asked: Asked, bench: "Workbench") -> Work:
    """The arguments checked against the model, before any image is opened."""
    methods = usable(asked.names, bench, every=args.all)
    chosen = settings(args, replace(asked, names=methods))
    wanted, read = targets(args, bench.model), layers(args, bench.model)
    return Work(methods, wanted, chosen, read, args.seed, args.settle, _true(args, bench))


def _true(args: Namespace, bench: "Workbench") -> int | None:
    """The class of --label; BadParameter if the model predicts no classes."""
    if args.label is None:
        return None
    if bench.model.output == "regression":
        raise BadParameter(f"--label is for models of classes; {bench.model.display} gives values.", "Leave it out.")
    return bench.model.target(args.label)


def _judged(bench: "Workbench", picture: "Picture", true: int | None) -> str:
    """Whether the prediction is right, as a sentence without its full stop; "" if the true class is not known."""
    if true is None:
        return ""
    if bench.model.right(bench.logits(picture), true):
        return "Right"
    chance = bench.model.spelled(float(bench.probabilities(picture)[true]))
    return f"Wrong: the true class is {bench.model.labels[true]}, {chance}"


def _answers(
    bench: "Workbench", picture: "Picture", work: Work, report: Report
) -> "tuple[list[tuple[Request, Answer]], bool]":
    """The results for one picture by target, method and layer, and whether Ctrl-C ended the work before."""
    targets = dict.fromkeys(bench.target(picture, text) for text in work.targets)
    settings = {name: work.settings[name] for name in work.methods}
    requests = bench.requests(settings, targets, work.layers, settle=work.settle)
    results: dict[str, Answer] = {}
    with Interruption(report) as interruption, suppress(Cancelled):
        bench.compare(
            picture,
            requests,
            lambda request, answer: results.update({request.key: answer}),
            seed=work.seed,
            report=interruption.report,
        )
    return [(request, results[request.key]) for request in requests if request.key in results], interruption.requested
