"""`vitrine explain`."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from core.card import Passes
from core.commands import chosen_model, complain, named_model, options, path_argument, say, say_json
from core.commands.interruption import Interruption
from core.data.model_options import ModelOptions
from core.errors import BadParameter, Cancelled, UnknownName, Unsupported, VitrineError
from core.params import whole
from core.progress import Report, item, printed
from core.registry import unknown

if TYPE_CHECKING:
    from core.images import Picture
    from core.workbench import Answer, Request, Workbench

Settings = Mapping[str, Mapping[str, Any]]  # by method


@dataclass(frozen=True)
class Work:
    """The requests for every image, checked against the model."""

    methods: Sequence[str]
    targets: Sequence[str]  # "predicted", indices or labels
    settings: Settings
    layer: str
    seed: int
    settle: bool
    true: int | None  # class of all images, if it was named


def explain(parser: ArgumentParser) -> None:
    """Declare `vitrine explain`."""
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files, folders or zip archives of images")
    parser.add_argument(
        "--limit", default="0", metavar="COUNT", help="images of each folder, sampled evenly; 0 for all (default)"
    )
    parser.add_argument("--model", required=True, metavar="MODEL", help="name, or ARCH@FILE for your own weights")
    options(parser, ModelOptions)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--method", metavar="METHOD", help="methods, separated by commas")
    which.add_argument("--all", action="store_true", help="every method the model supports")
    parser.add_argument(
        "--target", action="append", metavar="CLASS", help="class to explain: predicted (default), index or label"
    )
    parser.add_argument(
        "--label",
        metavar="CLASS",
        help="true class of the images, index or label, to say whether the prediction is right (default: of a folder "
        "in class folders, their names)",
    )
    parser.add_argument("--set", action="append", default=[], metavar="METHOD.SETTING=VALUE", help="change a setting")
    parser.add_argument(
        "--budget",
        default="standard",
        help="quality of all methods: quick, standard (default) or paper; --set overrides it",
    )
    parser.add_argument(
        "--window", metavar="LOW,HIGH", help="values of deep images shown as black and white; write --window=-100,300"
    )
    parser.add_argument("--settle", action="store_true", help="stop a method early when its map converges")
    parser.add_argument("--layer", default="", help="layer whose activations are read (default: last spatial layer)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument(
        "--out", required=True, type=path_argument, metavar="DIR", help="output folder; one sub-folder per image"
    )
    parser.add_argument(
        "--figure", choices=("png", "pdf", "svg"), default="png", help="format of the figure (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the contents of result.json for all images")
    parser.set_defaults(run=_explain)


def _explain(args: Namespace) -> int:
    from core.data.image_files import image_files
    from core.data.labels import class_note
    from core.environment import device, seed
    from core.export import names, write
    from core.images import window_of
    from core.models import load
    from core.workbench import Workbench

    seed(args.seed)
    window = window_of(args.window) if args.window is not None else None
    limit = _limit(args.limit)
    _settings(args.set, args.budget, _requested(args))
    _writable(args.out)
    report = printed(sys.stderr)
    bench = Workbench(load(named_model(args), device=device(), report=report, options=chosen_model(args)))
    work = _work(args, bench)
    judged = args.label is None and bench.model.output != "regression"  # by the class folders
    images = image_files(args.images, limit, report, bench.model.labels if judged else ())
    named = dict.fromkeys([*work.targets, args.label or ""])
    taken = filter(None, (class_note(text, bench.model.labels) for text in named))
    for sentence in (*images.notes, *bench.model.notes, *taken):
        (complain if args.json else say)(sentence)
    records, failed, stopped = [], False, False
    for path, error in images.errors.items():
        failed = _report_failure(Path(path).name, str(error))
    folders = names(image.name for image in images.files)
    for number, (image, name) in enumerate(zip(images.files, folders, strict=True)):
        folder = args.out / name
        part_report = item(report, number, len(folders), "image")
        try:
            picture, true = image.picture(window), image.true if work.true is None else work.true
            answers, stopped = _answers(bench, picture, work, part_report)
            if stopped and not answers:
                break
            result = write(folder, bench, picture, answers, args.seed, kind=args.figure, true=true)
        except VitrineError as error:
            failed = _report_failure(image.name, str(error))
            continue
        records.append(result)
        for entry in result["failed"]:
            failed = _report_failure(image.name, f"{entry['method']}: {entry['reason']}")
        if not args.json:
            say(f"{folder}: {_summary(bench, picture, answers, result, true)}")
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


def _report_failure(name: str, problem: str) -> bool:
    """Print the problem of an image or folder, with its name; returns True, for failed."""
    from core.images import shown

    name = shown(name)
    complain(problem if name in problem else f"{name}: {problem}")
    return True


def _work(args: Namespace, bench: "Workbench") -> Work:
    """The arguments checked against the model, before any image is opened."""
    if args.layer:
        bench.model.resolve_layer(args.layer)
    methods = _methods(args, bench)
    settings = _settings(args.set, args.budget, methods)
    return Work(methods, _targets(args, bench), settings, args.layer, args.seed, args.settle, _true(args, bench))


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


def _limit(text: str) -> int:
    """The number of images of each folder; BadParameter for anything else."""
    number = whole(text)
    if number is None:
        raise BadParameter(f"--limit cannot be {text!r}.", "Give a number of images, or 0 for all.")
    return number


def _writable(out: Path) -> None:
    """Check that the output folder is writable, before any work."""
    from core.export import unwritable

    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise unwritable(out, error) from None


def _requested(args: Namespace) -> list[str]:
    """The requested methods without duplicates, supported or not; UnknownName for one that does not exist."""
    from core.explain import EXPLAINERS

    names = EXPLAINERS if args.all else dict.fromkeys(name.strip() for name in args.method.split(","))
    return [EXPLAINERS[name].name for name in names]


def _methods(args: Namespace, bench: "Workbench") -> list[str]:
    """The requested methods; Unsupported for one that cannot work on this model."""
    reasons = bench.usable()
    if args.all:
        return [name for name, reason in reasons.items() if not reason]
    names = _requested(args)
    for name in names:
        if reasons[name]:
            raise Unsupported(reasons[name], "Leave it out, or choose another model.")
    return names


def _settings(texts: Sequence[str], budget: str, methods: Sequence[str]) -> Settings:
    """The budget's settings, changed by those given as METHOD.SETTING=VALUE, all checked alone and together."""
    from core.explain import EXPLAINERS

    given: dict[str, dict[str, Any]] = {name: EXPLAINERS[name].budget(budget) for name in methods}
    for text in texts:
        name, equals, value = text.partition("=")
        method, dot, setting = name.partition(".")
        if not (equals and dot):
            hint = "Write METHOD.SETTING=VALUE, for example rise.masks=500."
            raise BadParameter(f"--set {text!r} cannot be read.", hint)
        if EXPLAINERS[method] and method not in methods:
            raise BadParameter(f"--set {text!r} is for a method that was not requested.", f"Add {method} to --method.")
        given[method][setting] = value
    for method, values in given.items():
        EXPLAINERS[method].chosen(values)
    return given


def _targets(args: Namespace, bench: "Workbench") -> list[str]:
    """The requested classes, checked against the model."""
    targets = ["predicted" if text.casefold() == "predicted" else text for text in args.target or ["predicted"]]
    for target in targets:
        if target == "predicted":
            continue
        try:
            bench.model.target(target)
        except UnknownName:
            if get_close_matches(target.casefold(), ["predicted"], cutoff=0.8):
                raise unknown("class", target, ("predicted", *bench.model.labels)) from None
            raise
    return targets


def _answers(
    bench: "Workbench", picture: "Picture", work: Work, report: Report
) -> "tuple[list[tuple[Request, Answer]], bool]":
    """The results for one picture in the order of targets and methods, and whether Ctrl-C ended the work before."""
    from core.workbench import Request

    targets = dict.fromkeys(bench.target(picture, text) for text in work.targets)
    requests = [Request(name, target, work.settings[name], work.settle) for target in targets for name in work.methods]
    results: dict[str, Answer] = {}
    with Interruption(report) as interruption, suppress(Cancelled):
        bench.compare(
            picture,
            requests,
            lambda request, answer: results.update({request.key: answer}),
            seed=work.seed,
            layer=work.layer,
            report=interruption.report,
        )
    return [(request, results[request.key]) for request in requests if request.key in results], interruption.requested
