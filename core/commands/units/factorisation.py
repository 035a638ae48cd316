"""`vitrine units concepts`: the concepts of a study by non-negative factorisation, as files."""

import json
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from core.commands import named_model, path_argument, say, say_json
from core.commands.interruption import Interruption
from core.commands.requests import writable
from core.commands.units.images import STOPPED
from core.errors import BadParameter, Cancelled
from core.params import whole
from core.progress import Report, printed, subrange

if TYPE_CHECKING:
    from core.study import Study
    from core.units.concepts import Importance, StudyConcepts

_LISTED = 20  # concepts that are printed
_NAMED = 6  # filters of each


def concepts(parser: ArgumentParser) -> None:
    """Declare `vitrine units concepts`."""
    parser.add_argument("study", metavar="STUDY", help="folder of a study, or the name of one of your studies")
    parser.add_argument("--count", required=True, metavar="COUNT", help="number of concepts")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument(
        "--importance", action="store_true", help="also measure what each class loses without each concept"
    )
    parser.add_argument("--draws", default="5", help="random directions each is compared with (default: %(default)s)")
    images = "other images for --importance than the study's own, one sub-folder per class"
    parser.add_argument("--data", default="", metavar="DIR", help=images)
    moved = "the model, if it is no longer where the study was built from: name, or ARCH@FILE"
    parser.add_argument("--model", default="", metavar="MODEL", help=moved)
    parser.add_argument("--out", required=True, type=path_argument, metavar="DIR", help="folder of the results")
    parser.add_argument("--json", action="store_true", help="print the tables of concepts and rules as JSON")
    parser.set_defaults(run=_concepts)


def _concepts(args: Namespace) -> int:
    from core.environment import seed
    from core.export.concepts import concept_files
    from core.export.files import write_files
    from core.units.concepts import study_concepts, tables
    from core.workbench import find_study

    seed(args.seed)
    count, draws = _number("--count", args.count, 1), _number("--draws", args.draws, 0)
    study = find_study(args.study)
    writable(args.out)
    measured, stopped = None, False
    with Interruption(printed(sys.stderr)) as interruption:
        try:
            found = study_concepts(study, count, args.seed, subrange(interruption.report, 0, 0.3))
        except Cancelled:
            return STOPPED
        if args.importance:
            try:
                measured = _importance(args, study, found, draws, subrange(interruption.report, 0.3, 1))
            except Cancelled:
                stopped = True
    files = concept_files(study, found, measured)
    write_files(args.out, files)
    every = tables(found, measured)
    if args.json:
        say_json({
            "study": study.name,
            "seed": args.seed,
            "error": found.concepts.error,
            "converged": found.concepts.converged,
            "complete": found.complete,
            "skipped": dict(measured.skipped) if measured else {},
            **{name: json.loads(every[name].to_json(orient="records")) for name in ("concepts", "rules")},
        })  # fmt: skip
    else:
        say(*(f"{args.out / name}" for name in files), *_summary(found, every["concepts"]))
    return STOPPED if stopped else 0


def _number(option: str, text: str, least: int) -> int:
    number = whole(text)
    if number is None or number < least:
        raise BadParameter(f"{option} cannot be {text!r}.", f"Give a number, at least {least}.")
    return number


def _importance(args: Namespace, study: "Study", found: "StudyConcepts", draws: int, report: Report) -> "Importance":
    from core.environment import device
    from core.units.concepts import study_importance
    from core.workbench import study_model

    name = named_model(args) if args.model else ""
    model = study_model(study, device(), model=name)
    return study_importance(
        study, found.concepts.directions, model, folder=args.data, draws=draws, seed=args.seed, report=report
    )


def _summary(found: "StudyConcepts", table: Any) -> list[str]:
    """The concepts in a line each, and what is to be said about them."""
    lines = [f"sums of {len(table)} concepts differ from the responses by {found.concepts.error:.1%} of their norm"]
    if not found.complete:
        lines.append("The study stores only the strongest filters of each patch; the others count as zero.")
    if not found.concepts.converged:
        lines.append("The factorisation was still improving when it was ended.")
    for row in table.head(_LISTED).itertuples():
        rule = f"rule {row.rule_filters} → {row.rule_class}" if isinstance(row.rule_class, str) else "no rule"
        drop = f"; without it {row.drop_class} loses {row.drop:.1%} of probability" if "drop" in table else ""
        filters = row.filters.split()
        shown = " ".join(filters[:_NAMED]) + " …" * (len(filters) > _NAMED)
        lines.append(f"Concept {row.concept}: {shown}, strongest in {row.patches:,} patches; {rule}{drop}")
    return [*lines, *([f"… and {len(table) - _LISTED:,} more"] if len(table) > _LISTED else [])]
