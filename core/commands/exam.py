"""`vitrine exam`: every method on images with known objects, and the league table."""

import json
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from core.commands import chosen, complain, named_model, options, path_argument, say, say_json, write_text
from core.commands.interruption import Interruption
from core.errors import BadParameter, Cancelled
from core.exam.config import MEASURES, ExamConfig
from core.progress import printed

if TYPE_CHECKING:
    from core.exam import Exam
    from core.exam.plan import ExamPlan


def exam(parser: ArgumentParser) -> None:
    """Declare `vitrine exam`."""
    from core.data.flowers import VARIANTS

    parser.add_argument("--variant", default="", metavar="VARIANT", help=f"flowers: {', '.join(VARIANTS)}")
    parser.add_argument("--data", default="", metavar="DIR", help="or images of a folder, one sub-folder per class")
    masks = "masks of their objects: pictures named as the images are, COCO JSON or XML (default: `masks` beside them)"
    parser.add_argument("--masks", default="", metavar="DIR", help=masks)
    model = "name, or ARCH@FILE for your own weights (default: the bundled network of the variant)"
    parser.add_argument("--model", default="", metavar="MODEL", help=model)
    methods = "methods, separated by commas, or all that the model supports (default); controls take part in any case"
    parser.add_argument("--methods", default="all", metavar="METHOD", help=methods)
    measures = f"measures, separated by commas (default: {','.join(MEASURES)})"
    parser.add_argument("--measures", default=",".join(MEASURES), metavar="NAMES", help=measures)
    options(parser, ExamConfig)
    out = "the exam's folder; without --variant and --data a finished exam to read"
    parser.add_argument("--out", required=True, type=path_argument, metavar="DIR", help=out)
    parser.add_argument("--csv", type=path_argument, metavar="FILE", help="write the league table as CSV")
    parser.add_argument("--latex", type=path_argument, metavar="FILE", help="write it as a LaTeX table")
    report = "write a report of the exam: one HTML file with its figure inside"
    parser.add_argument("--report", type=path_argument, metavar="FILE", help=report)
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(run=_exam)


def _exam(args: Namespace) -> int:
    from core.exam import Exam
    from core.export.league import league_csv, league_latex
    from core.export.reports.exam import exam_report
    from core.export.reports.report import as_html

    if args.json and (args.csv or args.latex or args.report):
        message = "--json prints the table, --csv, --latex and --report write it."
        raise BadParameter(message, "Give --json alone: `vitrine exam --out DIR --json` prints a finished exam.")
    if args.variant or args.data:
        found = _built(args)
        if found is None:
            complain("stopped. The same command continues the exam.")
            return 130
    else:
        found = Exam(args.out)
    if args.json:
        _say_json(found)
    else:
        _summarise(found)
    for path, content in ((args.csv, league_csv), (args.latex, league_latex)):
        if path:
            write_text(path, content(found), "league table")
    if args.report:
        write_text(args.report, as_html(exam_report(found)), "report")
    return 0


def _built(args: Namespace) -> "Exam | None":
    """The exam of the options, built or continued; None if it was interrupted."""
    from core.environment import device
    from core.exam.build import build_exam
    from core.exam.plan import planned

    config = ExamConfig(
        variant=args.variant,
        data=args.data,
        masks=args.masks,
        model=named_model(args) if args.model else "",
        methods=() if args.methods == "all" else _names(args.methods, "--methods"),
        measures=_names(args.measures, "--measures"),
        **chosen(args, ExamConfig, "exam"),
    )
    with Interruption(printed(sys.stderr)) as interruption:
        try:
            plan = planned(config, device=device(), report=interruption.report)
            _announce(plan, quiet=args.json)
            return build_exam(config, args.out, plan=plan, report=interruption.report)
        except Cancelled:
            return None


def _names(text: str, option: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise BadParameter(f"{option} {text!r} cannot be read.", "Write names with commas between them.")
    return names


def _announce(plan: "ExamPlan", *, quiet: bool) -> None:
    """Say what was assumed, left out, and what the exam will take."""
    tell = complain if quiet else say
    for sentence in (*plan.model.notes, *plan.images.notes):
        tell(sentence)
    working = sum(not one.reason for one in plan.methods)
    tell(f"{working} methods, {len(plan.images.names):,} images, {len(plan.measures)} measures: about {plan.passes}")


def _summarise(found: "Exam") -> None:
    """Print the league table and the facts that it needs to be read."""
    from core.export.league import league_text

    config, manifest = found.config, found.manifest
    subject = f"flowers {config.variant}" if config.variant else config.data
    say(f"{found.path}: {manifest.model.name}, {len(found.images):,} images of {subject}, {config.folds} folds")
    right = found.images[found.images["label"] >= 0]
    if len(right):
        say(f"prediction right for {int((right['label'] == right['predicted']).sum()):,} of {len(right):,}")
    for reason, count in manifest.data.left_out.items():
        say(f"left out: {reason}: {count:,}")
    say(*league_text(found))
    if found.flipped:
        changed, tagged = found.flipped
        say(f"The prediction changes for {changed:,} of {tagged:,} images when the tag is removed.")
    for title, reason in found.methods.loc[found.methods["reason"] != "", ["title", "reason"]].itertuples(index=False):
        say(f"{title}: {reason}")
    for reason, count in _undefined(found).items():
        say(f"no number in {count:,} cases: {reason}")


def _undefined(found: "Exam") -> dict[str, int]:
    """How many scores are undefined, by reason."""
    reasons = found.table("scores")["reason"]
    return {str(reason): int(count) for reason, count in reasons[reasons != ""].value_counts().items()}


def _say_json(found: "Exam") -> None:
    from core.exam.league import league, standings
    from core.store.manifest import dump

    say_json({
        "exam": str(found.path),
        "config": dump(found.manifest.config),
        "model": dump(found.manifest.model),
        "images": len(found.images),
        "left_out": dump(found.manifest.data.left_out),
        "flipped_without_tag": found.flipped,
        "undefined": _undefined(found),
        "league": json.loads(league(found).to_json(orient="records")),
        "standings": json.loads(standings(found).to_json(orient="records")),
    })  # fmt: skip
