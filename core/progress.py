"""Progress and cancellation in one callback: `report(fraction, note)` may raise, which stops the work."""

import shutil
import time
from collections.abc import Callable, Iterator
from typing import Self, TextIO

from core.errors import printable

Report = Callable[[float, str], None]

_ENOUGH = 2.0, 0.01  # seconds and fraction of the work after which its speed is known


class Counted(str):
    """A note that counts, such as "windows occluded 12 of 169", with its numbers."""

    __slots__ = ("done", "total", "unit")
    unit: str  # what is counted, in the plural
    done: int
    total: int

    def __new__(cls, unit: str, done: int, total: int) -> Self:
        """The note with its text."""
        note = super().__new__(cls, f"{unit} {done:,} of {total:,}")
        note.unit, note.done, note.total = unit, done, total
        return note


def silent(fraction: float, note: str) -> None:
    """A report that does nothing."""


class Progress:
    """The last report of running work, and the time left at its speed since the first one.

    It is itself a report. Any thread may read it.
    """

    def __init__(self) -> None:
        self.fraction = 0.0
        self.note = ""
        self._first: tuple[float, float] | None = None  # time and fraction of the first report

    def __call__(self, fraction: float, note: str) -> None:
        """Report."""
        if self._first is None or fraction < self.fraction:  # the work begins, or begins again
            self._first = (time.monotonic(), fraction)
        self.fraction, self.note = fraction, note

    @property
    def seconds_left(self) -> float | None:
        """Remaining seconds; None while the speed is unknown."""
        if self._first is None:
            return None
        began, start = self._first
        took, gained = time.monotonic() - began, self.fraction - start
        return took * (1 - self.fraction) / gained if took >= _ENOUGH[0] and gained >= _ENOUGH[1] else None

    def __str__(self) -> str:
        return line(self.note, time_left(self.seconds_left) if self.fraction < 1 else "")


def line(*parts: str) -> str:
    """What is known of some work, as one line; empty parts are left out."""
    return " · ".join(filter(None, parts))


def time_left(seconds: float | None) -> str:
    """Remaining time in words; "" while it is unknown."""
    return "" if seconds is None else f"{about(seconds)} left"


def about(seconds: float) -> str:
    """A time in words, rounded so that it does not change at every refresh."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 90:
        return f"about {round(seconds, -1):.0f} s"
    minutes = seconds / 60
    return f"about {minutes:.0f} min" if minutes < 90 else f"about {minutes / 60:.1f} h"


def subrange(report: Report, low: float, high: float) -> Report:
    """The part of `report` between the fractions `low` and `high`, for one stage of longer work."""
    return lambda fraction, note: report(low + (high - low) * fraction, note)


def rising(report: Report) -> Report:
    """The same report with fractions that never decrease, for work that may begin a part of it again."""
    most = 0.0

    def report_most(fraction: float, note: str) -> None:
        nonlocal most
        most = max(most, fraction)
        report(most, note)

    return report_most


def item(report: Report, index: int, total: int, name: str) -> Report:
    """The part of `report` for one of `total` equal items, whose notes say which one it is if there are several."""
    part = subrange(report, index / total, (index + 1) / total)
    return (lambda fraction, note: part(fraction, located(note, index, total, name))) if total > 1 else part


def headed(report: Report, heading: str) -> Report:
    """The same report, with notes that begin with a heading."""
    return lambda fraction, note: report(fraction, f"{heading}: {note}" if note else heading)


def located(note: str, index: int, total: int, name: str) -> str:
    """A note that says which item it is about, if there are several."""
    return f"{note} ({name} {index + 1:,} of {total:,})".strip() if total > 1 else note


def chunks(total: int, size: int, report: Report = silent, note: str = "", *, counted: bool = False) -> Iterator[range]:
    """Split `range(total)` into ranges of at most `size`, with a report before the first and after each.

    A `counted` note is the unit that is counted, in the plural; reports then say how many are done.

    The last report is 1.0, even if there is nothing to do; a report that raises ends the loop, so long work can be
    cancelled at every chunk.
    """

    def tell(done: int, fraction: float) -> None:
        report(fraction, Counted(note, done, total) if counted else note)

    tell(0, 0.0)
    for start in range(0, total, size):
        stop = min(start + size, total)
        yield range(start, stop)
        tell(stop, stop / total)
    if total <= 0:
        tell(0, 1.0)


def printed(stream: TextIO) -> Report:
    """A report that rewrites one line of a terminal, with the time left; prints nothing elsewhere."""
    if not stream.isatty():
        return silent
    progress = Progress()

    def report(fraction: float, note: str) -> None:
        progress(fraction, note)
        text = printable(f"{fraction:4.0%} {progress}")[: shutil.get_terminal_size().columns - 1]
        stream.write(f"\r\x1b[K{text}" + ("\n" if fraction >= 1 else ""))
        stream.flush()

    return report
