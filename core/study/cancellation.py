"""Cancellation during a long forward pass of a model."""

import time
from typing import Any

from torch.overrides import TorchFunctionMode

from core.progress import Report

EVERY = 0.25  # seconds


class RepeatedReport(TorchFunctionMode):
    """Repeats the last report at operations of torch on this thread while the block runs.

    The batch size affects the bytes of a study, so a batch of a large network cannot be split to report progress; a
    report that raises can still cancel it between two operations.
    """

    def __init__(self, report: Report) -> None:
        super().__init__()
        self._report, self._last, self._then = report, (0.0, ""), time.monotonic()

    def report(self, fraction: float, note: str) -> None:
        """Report, and store the last report."""
        self._last, self._then = (fraction, note), time.monotonic()
        self._report(fraction, note)

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Called by torch."""
        if time.monotonic() - self._then >= EVERY:
            self.report(*self._last)
        return func(*args, **(kwargs or {}))
