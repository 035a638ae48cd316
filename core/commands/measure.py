"""`vitrine measure`."""

import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from core.commands import chosen_model, complain, named_model, path_argument, say, say_json, unwritable, write_text
from core.commands.interruption import Interruption
from core.commands.requests import (
    Asked,
    Reading,
    chosen_names,
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
from core.progress import Report, about, item, printed

if TYPE_CHECKING:
    from core.commands.measured import Taken
    from core.comparison import Plan
    from core.data.image_files import ImageFile
    from core.data.masks import MaskFolder, ObjectMask
    from core.explain.target_name import TargetName
    from core.images import Picture
    from core.measure import Undefined
    from core.workbench import Workbench

_FORMS = "Give --masks DIR with pictures named as the images are, COCO JSON, or XML as VOC and ImageNet have it"


def measure(parser: ArgumentParser) -> None:
    """Declare `vitrine measure`."""
    request_options(parser, "NAME")
    parser.add_argument(
        "--methods",
        required=True,
        metavar="METHOD",
        help="methods, separated by commas, or all that the model supports",
    )
    parser.add_argument(
        "--metrics",
        metavar="MEASURE",
        help="measures, separated by commas, or all (default: those that do not run the methods again); measures that "
        "need masks only with --masks",
    )
    parser.add_argument(
        "--masks", type=path_argument, metavar="DIR", help="masks of the objects: pictures, COCO JSON, or XML boxes"
    )
    parser.add_argument(
        "--resume",
        type=path_argument,
        metavar="DIR",
        help="folder for the results of finished images: interrupted, the same command goes on from there",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print everything as JSON: values, curves, settings, notes")
    form.add_argument(
        "--csv", type=path_argument, metavar="FILE", help="write every value as a line of a CSV file, too"
    )
    parser.set_defaults(run=_measure)


@dataclass
class _Work:
    """The work for every image, and what went wrong so far."""

    bench: "Workbench"
    plan: "Plan"
    how: Reading
    masks: "MaskFolder | None"
    names: Counter[str]  # of the images
    failures: set[str]  # of methods and measures, each told once
    failed: bool = False


def _measure(args: Namespace) -> int:
    from core.commands.measured import as_csv, as_json, as_text
    from core.comparison import summary
    from core.environment import device, seed
    from core.models import load
    from core.workbench import Workbench

    seed(args.seed)
    how, methods, measures = reading(args), _methods(args), _measures(args)
    settings(args, methods, measures)
    _check_outputs(args)
    report = printed(sys.stderr)
    bench = Workbench(load(named_model(args), device=device(), report=report, options=chosen_model(args)))
    plan = _plan(args, bench, methods, measures)
    images = listed(args, how, bench.model, report, judged=bench.model.output != "regression")
    masks = _masks(args, plan, images.files, report)
    about_work = [*(masks.notes if masks else ()), *_left_out(args, plan)]
    for note in about_work:
        (complain if args.json else say)(note)
    names = Counter(image.name for image in images.files)
    work = _Work(bench, plan, how, masks, names, set(), bool(images.errors))
    if images.files:
        complain(_cost(bench, plan, len(images.files)))
    taken, stopped = _taken(work, images.files, args.resume, report)
    lines = summary([one.rows for one in taken])
    if args.json:
        say_json(as_json(bench, plan, taken, lines, [*images.notes, *about_work]))
    elif taken:
        say(*as_text(taken, lines))
    if args.csv and taken:
        text, count = as_csv(taken)
        write_text(args.csv, text, f"{count:,} rows")
    if unmasked := [one for one in taken if one.unmasked]:
        complain(
            f"{len(unmasked):,} of {len(taken):,} images have no mask to compare with, such as: {unmasked[0].unmasked}"
        )
    if stopped:
        _say_stopped(args, len(taken), len(images.files))
        raise KeyboardInterrupt
    return 2 if work.failed or unmasked else 0


def _methods(args: Namespace) -> Asked:
    """The requested methods, supported or not."""
    from core.explain import EXPLAINERS

    names = list(EXPLAINERS) if args.methods.strip() == "all" else chosen_names(args.methods, EXPLAINERS)
    return Asked("--methods", EXPLAINERS, names)


def _measures(args: Namespace) -> Asked:
    """The requested measures; BadParameter if one that was named needs masks, and there are none.

    By default those of finished maps: a measure that runs the methods again takes many times as long.
    """
    from core.comparison import needs_mask
    from core.measure import MEASURES

    if args.metrics is not None and args.metrics.strip() != "all":
        names = chosen_names(args.metrics, MEASURES)
        drawn = [name for name in names if MEASURES[name].requires == "parts"]
        if drawn:
            message = f"{' and '.join(drawn)} {_need(drawn)} images that can be drawn without some parts, not files."
            raise BadParameter(message, "Choose other measures.")
        masked = [name for name in names if needs_mask(name)]
        if masked and args.masks is None:
            raise BadParameter(f"{' and '.join(masked)} {_need(masked)} masks of the objects.", f"{_FORMS}.")
        return Asked("--metrics", MEASURES, names)
    every = args.metrics is not None
    names = [name for name, card in MEASURES.items() if card.requires != "parts" and (every or card.kind == "map")]
    return Asked("--metrics", MEASURES, [name for name in names if args.masks is not None or not needs_mask(name)])


def _need(names: Sequence[str]) -> str:
    return "needs" if len(names) == 1 else "need"


def _check_outputs(args: Namespace) -> None:
    """Check that what is written can be written, before any work."""
    if args.resume is not None:
        writable(args.resume)
    if args.csv is not None:
        try:
            if args.csv.is_dir():
                raise IsADirectoryError(0, "it is a folder")
            with TemporaryFile(dir=args.csv.parent):
                pass
        except (OSError, ValueError) as error:
            raise unwritable(args.csv, error) from None


def _plan(args: Namespace, bench: "Workbench", methods: Asked, measures: Asked) -> "Plan":
    """The arguments checked against the model, before any image is opened."""
    from core.comparison import Plan

    read = layers(args, bench.model)
    methods = replace(methods, names=usable(methods.names, bench, every=args.methods.strip() == "all"))
    given = settings(args, methods, measures)
    chosen = {
        name: asked.known[name].chosen(given[name], bench.model)
        for asked in (methods, measures)
        for name in asked.names
    }
    of_methods, of_measures = ({name: chosen[name] for name in asked.names} for asked in (methods, measures))
    return Plan(targets(args, bench.model), of_methods, of_measures, read, args.seed)


def _masks(args: Namespace, plan: "Plan", images: Sequence["ImageFile"], report: Report) -> "MaskFolder | None":
    """The masks of the images, if a measure needs them. Raises Unavailable if there is none."""
    from core.comparison import needs_mask
    from core.data.masks import mask_folder

    if args.masks is None or not images or not any(map(needs_mask, plan.measures)):
        return None
    return mask_folder(args.masks, list(dict.fromkeys(image.name for image in images)), report)


def _left_out(args: Namespace, plan: "Plan") -> list[str]:
    """Which measures were left out unless named, as sentences."""
    from core.comparison import needs_mask
    from core.measure import MEASURES

    named = args.metrics is not None and args.metrics.strip() != "all"
    if named:
        unused = args.masks is not None and not any(map(needs_mask, plan.measures))
        return ["None of these measures needs the masks."] if unused else []
    left = [name for name, card in MEASURES.items() if name not in plan.measures and card.requires != "parts"]
    masked = ", ".join(filter(needs_mask, left))
    again = ", ".join(name for name in left if not needs_mask(name))
    notes = [f"Left out without --masks: {masked}."] if masked else []
    return [*notes, f"Left out, as they run the methods again: {again}; --metrics all has them."] if again else notes


def _cost(bench: "Workbench", plan: "Plan", images: int) -> str:
    """The cost of the work, as one line."""
    from core.workbench import pass_seconds

    maps, passes = len(plan.requests(bench)), plan.passes(bench) * images
    kind = "map" if len(plan.layers) > 1 else "method"
    many = [(images, "image"), (len(plan.targets), "target"), (maps, kind), (len(plan.measures), "measure")]
    counts = [f"{count:,} {word}{'s' * (count != 1)}" for count, word in many if count > 1 or word != "target"]
    return f"{' × '.join(counts)}, at most {passes}, {about(passes.weight * pass_seconds(bench.model))}."


def _taken(
    work: _Work, images: Sequence["ImageFile"], folder: Path | None, report: Report
) -> tuple[list["Taken"], bool]:
    """The measured images, and whether Ctrl-C ended the work before; what is finished is kept in the folder."""
    taken: list[Taken] = []
    with Interruption(report) as interruption, suppress(Cancelled):
        for number, image in enumerate(images):
            try:
                taken.append(_measured(work, image, folder, item(interruption.report, number, len(images), "image")))
            except VitrineError as error:
                work.failed = report_failure(image.name, str(error))
    return taken, interruption.requested


def _measured(work: _Work, image: "ImageFile", folder: Path | None, report: Report) -> "Taken":
    """The measures of all maps of an image."""
    from core.commands.measured import Taken
    from core.comparison import Finished, measure_picture
    from core.export import unwritable as unwritable_folder
    from core.measure import Undefined

    picture = work.how.picture(image)
    objects: list[ObjectMask | Undefined] = []

    def annotate(target: "TargetName") -> "ObjectMask | Undefined":
        objects.append(_object(work, image, picture, target))
        return objects[-1]

    kept = Finished(folder) if folder else None
    results = kept.read(picture) if kept else {}
    before = len(results)
    rows = measure_picture(work.bench, picture, work.plan, annotate, results, report=report)
    if kept and len(results) > before:
        try:
            kept.write(picture, results)
        except OSError as error:
            raise unwritable_folder(kept.folder, error) from None
    for row in rows:
        problem = f"{row.method}: {row.result.reason}" if row.failed and isinstance(row.result, Undefined) else ""
        if problem and problem not in work.failures:
            work.failures.add(problem)
            work.failed = report_failure(image.name, problem)
    unmasked = [one.reason for one in objects if isinstance(one, Undefined)] if work.masks else []
    notes = dict.fromkeys(note for one in objects if not isinstance(one, Undefined) for note in one.notes)
    return Taken.of(picture, image, rows, tuple(notes), unmasked[0] if unmasked else "")


def _object(work: _Work, image: "ImageFile", picture: "Picture", target: "TargetName") -> "ObjectMask | Undefined":
    """The object in an image as the model sees it, or why it is not known.

    Of several objects those of the true class count, or if it is not known those of the class that is explained.
    """
    from core.images import shown
    from core.measure import Undefined

    if work.masks is None:
        return Undefined("No masks were given.")
    if work.names[image.name] > 1:
        return Undefined(
            f"{work.names[image.name]:,} images are called {shown(image.name)}: a mask may be of any of them."
        )
    known = target.index if image.true is None else image.true
    try:
        return work.masks.mask(
            image.name,
            (picture.pixels.shape[0], picture.pixels.shape[1]),
            work.bench.model.preprocess,
            "" if known is None else work.bench.model.labels[known],
        )
    except VitrineError as error:
        return Undefined(error.message)


def _say_stopped(args: Namespace, finished: int, images: int) -> None:
    """Print how much of the work is done, and how to go on."""
    hint = (
        "the same command goes on from there"
        if args.resume
        else "with --resume DIR the next command can go on from there"
    )
    complain(f"{finished:,} of {images:,} images are finished: {hint}.")
