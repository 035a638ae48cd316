"""Cancellation during a long pass of a network."""

import time
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from core.progress import Report

EVERY = 0.25  # seconds


class RepeatedReport(TorchFunctionMode):
    """Repeats the last report at operations of torch on this thread, and at those of their backwards.

    A batch of a large network takes seconds and cannot always be split to report progress; a report that raises can
    still cancel it between two operations.
    """

    def __init__(self, report: Report) -> None:
        super().__init__()
        self._report, self._last, self._then = report, (0.0, ""), time.monotonic()
        self._ended = False

    def report(self, fraction: float, note: str) -> None:
        """Report, and store the last report."""
        self._last, self._then = (fraction, note), time.monotonic()
        self._report(fraction, note)

    def end(self) -> None:
        """Repeat no more: what follows, such as leaving contexts, must not be cancelled once again."""
        self._ended = True

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Called by torch."""
        self._repeat()
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.requires_grad and not result.is_leaf:
            result.register_hook(self._repeat)  # the operations of a backward are not called from Python
        return result

    def _repeat(self, _gradient: Tensor | None = None) -> None:
        if not self._ended and time.monotonic() - self._then >= EVERY:
            self.report(*self._last)


def unrepeated() -> AbstractContextManager[None]:
    """Repeat no report in this block: for many small operations, which that would slow down."""
    return torch._C.DisableTorchFunction()
