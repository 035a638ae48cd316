"""Checks for cancellation during a forward pass."""

import time
from typing import Any

from torch.overrides import TorchFunctionMode

from core.progress import Report

EVERY = 0.25  # seconds


class Pulse(TorchFunctionMode):
    """While the block runs, what was reported last is reported again at operations of torch on this thread.

    The batch decides the bytes of a study, so a batch of a large network cannot be split for the sake of progress; this
    way it can be stopped in its midst.
    """

    def __init__(self, report: Report) -> None:
        super().__init__()
        self._report, self._last, self._then = report, (0.0, ""), time.monotonic()

    def report(self, fraction: float, note: str) -> None:
        """The report to hand on."""
        self._last, self._then = (fraction, note), time.monotonic()
        self._report(fraction, note)

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Called by torch."""
        if time.monotonic() - self._then >= EVERY:
            self.report(*self._last)
        return func(*args, **(kwargs or {}))
