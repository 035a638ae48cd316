"""`vitrine failures`: the errors of a model on a study or folder, as text, JSON, CSV and a report."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from typing import TYPE_CHECKING

from core.commands import complain, path_argument, say, say_json, write_text
from core.commands.interruption import Interruption
from core.commands.review.source import images_limit, predicted, source_options
from core.errors import BadParameter, Cancelled
from core.progress import Report, printed, subrange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.models.model import Model
    from core.review.evidence import Evidence
    from core.review.predictions import Predictions
    from core.review.queue import Rows

_SHOWN = 10  # confusions and cases in the text
_FORMATS = (".html", ".csv", ".json")


def failures(parser: ArgumentParser) -> None:
    """Declare `vitrine failures`."""
    source_options(parser)
    against = "a second model for the same images: where do they disagree, and which is right there?"
    parser.add_argument("--against", default="", metavar="MODEL", help=against)
    evidence = "say where the evidence of each prediction lies, by Grad-CAM; of a study its heatmaps say it in any case"
    parser.add_argument("--evidence", action="store_true", help=evidence)
    masks = "masks of the objects, so that evidence on them is known: pictures named as the images, COCO JSON, or XML"
    parser.add_argument(
        "--masks", type=path_argument, metavar="PATH", help=f"{masks}; default: masks beside the images"
    )
    form = parser.add_mutually_exclusive_group()
    report = "write all errors with what reviewers say of them: .html with pictures, .csv or .json"
    form.add_argument("--report", type=path_argument, metavar="FILE", help=report)
    form.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.set_defaults(run=_failures)


def _failures(args: Namespace) -> int:
    from core.review.queue import CaseFilter, matching, ordered

    limit = images_limit(args)
    if args.report and args.report.suffix.lower() not in _FORMATS:
        raise BadParameter(f"{args.report.name} is no report.", f"Give a name that ends in {', '.join(_FORMATS)}.")
    with Interruption(printed(sys.stderr)) as interruption:
        try:
            until = 0.5 if args.against or args.evidence or args.masks else 1.0
            found, model = predicted(args, limit, subrange(interruption.report, 0.0, until))
            if args.against:
                return _compare(args, found, subrange(interruption.report, until, 1.0))
            evidence = _evidence(args, found, model, subrange(interruption.report, until, 1.0))
        except Cancelled:
            complain("stopped. The same command continues.")
            return 130
    known = len(found.judged) > 0
    rows = ordered(found, matching(found, CaseFilter("wrong" if known else "all")), "confident" if known else "unsure")
    if args.json or args.report:
        _write(args, found, rows, evidence)
    else:
        _summarise(found, rows, evidence)
    return 0


def _compare(args: Namespace, found: "Predictions", report: Report) -> int:
    """Predict the same images with the second model, and tell where both disagree."""
    from core.environment import device
    from core.export.review import spelled
    from core.export.spreadsheet import as_csv
    from core.models import load
    from core.review.predictions import predictions
    from core.review.two_models.disagreement import TwoModels, for_labels

    if args.report and args.report.suffix.lower() == ".html":
        message = "The report of two models is a table."
        raise BadParameter(message, "Give a name that ends in .csv or .json.")
    second = load(args.against, device=device(), report=subrange(report, 0.0, 0.1))
    source = for_labels(found.source, found.labels, second.labels)
    both = TwoModels(found, predictions(source, second, report=subrange(report, 0.1, 1.0)))
    table = both.table.iloc[both.rows()]
    content = {
        "first": both.first.model, "second": both.second.model, "counts": both.counts(), "chance": both.chance(),
        "disagreements": json.loads(table.to_json(orient="records")),
    }  # fmt: skip
    if args.json:
        say_json(content, allow_nan=False)
        return 0
    if args.report:
        text = as_csv(table) if args.report.suffix.lower() == ".csv" else json.dumps(content, indent=2)
        write_text(args.report, text, f"{len(table):,} disagreements")
        return 0
    counts = both.counts()
    say(f"{source.name}: {both.first.model} and {both.second.model}, {counts['all']:,} images", *both.second.notes)
    for name, accuracy in zip((both.first.model, both.second.model), both.accuracies(), strict=True):
        say(f"accuracy of {name}: {spelled(accuracy)}")
    say(f"they agree: {spelled(both.agreement())}")
    say(*(f"{name}: {counts[name]:,}" for name in ("both right", "first", "second", "both wrong")))
    if (chance := both.chance()) is not None:
        say(f"probability of such a difference if both are right equally often: {chance:.3g} (exact McNemar test)")
    for row in both.rows()[:_SHOWN].tolist():
        image = both.table.iloc[row]
        truth = f" (it is {image['label']})" if image["label"] else ""
        say(f"{image['path']}: {image['first']} against {image['second']}{truth}")
    return 0


def _evidence(args: Namespace, found: "Predictions", model: "Model", report: Report) -> "Mapping[int, Evidence]":
    """Where the evidence of each prediction lies, if that is asked for; in reports of a study in any case."""
    from core.review.evidence import computed_evidence, stored_evidence
    from core.review.heatmaps import heatmaps
    from core.review.regions import masks_beside, objects

    source = found.source
    asked = args.evidence or args.masks
    if not asked and not (source.study and (args.json or args.report)):
        return {}
    masks = args.masks or (masks_beside(source) if asked else None)
    region = objects(source, model, masks) if masks else None
    for note in region.notes if region else ():
        complain(note)
    if source.study:
        return stored_evidence(source, region, report)
    maps = heatmaps(found, model, report=subrange(report, 0.0, 0.8))
    return computed_evidence(maps, model.preprocess.size, region, subrange(report, 0.8, 1.0))


def _write(args: Namespace, found: "Predictions", rows: "Rows", evidence: "Mapping[int, Evidence]") -> None:
    """Print JSON, or write the report."""
    from core.export.reports.report import as_html
    from core.export.review import review_json, review_report, review_table
    from core.export.spreadsheet import as_csv
    from core.review.reviews import Reviews

    reviews = Reviews(found.source.key, found.manifest.model.sha).all()
    table = review_table(found, rows, reviews, evidence)
    ending = args.report.suffix.lower() if args.report else ""
    if args.json:
        say_json(review_json(found, table), allow_nan=False)
    elif ending == ".json":
        text = json.dumps(review_json(found, table), indent=2, ensure_ascii=False, allow_nan=False)
        write_text(args.report, text, f"{len(rows):,} cases")
    elif ending == ".csv":
        write_text(args.report, as_csv(table), f"{len(rows):,} cases")
    else:
        content = as_html(review_report(found, rows, reviews, evidence, report=printed(sys.stderr)))
        write_text(args.report, content, f"{len(rows):,} cases")


def _summarise(found: "Predictions", rows: "Rows", evidence: "Mapping[int, Evidence]") -> None:
    """Print accuracy, confusions, where the evidence lies and the first cases."""
    from core.export.review import extremes, spelled
    from core.review.confusion import accuracy, calibration, pairs

    say(f"{found.source.name}: {found.model}, {len(found.images):,} images", *found.notes)
    say(f"accuracy: {spelled(accuracy(found))}")
    if reliability := calibration(found):
        say(f"expected calibration error: {reliability.error:.1%}")
        if not len(rows):
            say("All images are right.")
    say(*(f"{name.lower()}: {text}" for name, text in extremes(found)))
    columns = ["images", "true_name", "predicted_name", "share"]
    for count, true, other, share in pairs(found)[columns].head(_SHOWN).itertuples(index=False):
        say(f"{count:6,}  {true} as {other or 'no class'} ({share:.0%} of the class)")
    places = Counter(str(evidence[row]) for row in rows.tolist() if row in evidence)
    say(*(f"{count:6,}  {place}" for place, count in places.most_common()))
    for row in rows[:_SHOWN].tolist():
        image = found.images.iloc[row]
        named = " as ".join(filter(None, map(found.class_name, (image["label"], image["predicted"]))))
        say(f"{image['confidence']:6.1%}  {image['path']}: {named}")
