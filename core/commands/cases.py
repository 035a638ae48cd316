"""`vitrine cases`."""

import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from core.commands import complain, path_argument, say, write_text
from core.errors import BadParameter
from core.params import whole
from core.progress import printed

if TYPE_CHECKING:
    import pandas as pd

    from core.measure.intervals import Interval

_SIGNS = {True: "as the text says", False: "the opposite", None: "undecided"}


def cases(parser: ArgumentParser) -> None:
    """Declare `vitrine cases`."""
    parser.add_argument("--images", default="30", metavar="COUNT", help="pictures of each case (default: %(default)s)")
    parser.add_argument("--csv", type=path_argument, metavar="FILE", help="write the score of every map as CSV, too")
    parser.set_defaults(run=_cases)


def _cases(args: Namespace) -> int:
    from core.exam.three_cases import measured

    count = whole(args.images)
    if not count:
        raise BadParameter(
            f"--images cannot be {args.images!r}.", "Give a number of pictures, 2 or more for intervals."
        )
    scores = measured(count, report=printed(sys.stderr))
    _summarise(scores)
    if args.csv:
        write_text(args.csv, scores.to_csv(index=False), f"{len(scores):,} rows")
        complain(f"{args.csv} written.")
    return 0


def _summarise(scores: "pd.DataFrame") -> None:
    """Print the questions with what was measured, and the methods that suit each case."""
    from core.data.flowers.cases import KINDS
    from core.exam.three_cases import TITLES, answers, suitable

    for one in answers(scores):
        say(one.question)
        for found in one.findings:
            verdict = f"  {_SIGNS[found.holds]}" if found.expected else ""
            say(f"  {found.text}: {_told(found.interval)}{verdict}")
    for kind in KINDS:
        say(f"{TITLES[kind]}: {', '.join(suitable(scores, kind)) or 'no method'}")


def _told(one: "Interval") -> str:
    return f"{one.mean:.3f}{one.bounds('.3f')}"
