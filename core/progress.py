"""Progress and cancellation in one callback: `report(fraction, note)` may raise, which stops the work."""

from collections.abc import Callable, Iterator
from typing import TextIO

from core.errors import printable

Report = Callable[[float, str], None]


def silent(fraction: float, note: str) -> None:
    """A report that does nothing."""


def subrange(report: Report, low: float, high: float) -> Report:
    """The part of `report` between the fractions `low` and `high`, for one stage of longer work."""
    return lambda fraction, note: report(low + (high - low) * fraction, note)


def chunks(total: int, size: int, report: Report = silent, note: str = "", *, counted: bool = False) -> Iterator[range]:
    """Split `range(total)` into ranges of at most `size`, with a report before the first and after each.

    A `counted` note says how much is done, such as "windows occluded (12 of 169)".

    The last report is 1.0, even if there is nothing to do; a report that raises ends the loop, so long work can be
    cancelled at every chunk.
    """
    report(0.0, note)
    for start in range(0, total, size):
        stop = min(start + size, total)
        yield range(start, stop)
        report(stop / total, f"{note} ({stop:,} of {total:,})" if counted else note)
    if total <= 0:
        report(1.0, note)


def printed(stream: TextIO) -> Report:
    """A report that rewrites one line of a terminal; prints nothing if `stream` is not a terminal."""
    if not stream.isatty():
        return silent

    def report(fraction: float, note: str) -> None:
        end = "\n" if fraction >= 1 else ""
        stream.write(f"\r\x1b[K{fraction:4.0%} {printable(note)}{end}")
        stream.flush()

    return report
