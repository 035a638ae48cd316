"""Ctrl-C during work of which the finished part is kept."""

import signal
from types import FrameType
from typing import Any, Self

from core.errors import Cancelled
from core.progress import Report


class Interruption:
    """While its block runs, Ctrl-C makes `report` raise Cancelled; pressed again, it interrupts as it always does.

    For the main thread, the only one that receives signals.
    """

    def __init__(self, report: Report) -> None:
        self.requested = False
        self._report = report
        self._before: Any = None

    def report(self, fraction: float, note: str) -> None:
        """Report, or raise Cancelled after Ctrl-C."""
        if self.requested:
            raise Cancelled
        self._report(fraction, note)

    def __enter__(self) -> Self:
        self._before = signal.getsignal(signal.SIGINT)
        if self._before is not signal.SIG_IGN:  # as of a command in the background of a shell
            signal.signal(signal.SIGINT, self._request)
        return self

    def __exit__(self, *problem: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
