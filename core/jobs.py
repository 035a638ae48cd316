"""Long work in a thread of its own: its progress, its end and the way to stop it."""

import threading
import time
from collections.abc import Callable
from typing import Literal

from core.errors import Cancelled, VitrineError
from core.progress import Report

State = Literal["running", "done", "failed", "cancelled"]


class Job:
    """A call of `work(report)` in a daemon thread; its `state`, `fraction` and `note` may be read at any time."""

    def __init__(self, work: Callable[[Report], object], title: str = "") -> None:
        self.title = title
        self.state: State = "running"
        self.fraction = 0.0
        self.note = ""
        self.result: object = None
        self.error: VitrineError | None = None
        self.started = time.monotonic()
        self.ended: float | None = None
        self._work = work
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"job {title}", daemon=True)
        self._thread.start()

    @property
    def seconds(self) -> float:
        """Seconds since the start, or that the work took."""
        return (self.ended or time.monotonic()) - self.started

    def cancel(self) -> None:
        """Ask the work to stop at its next report; returns at once."""
        self._stop.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the work; False if `timeout` seconds passed before."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _report(self, fraction: float, note: str) -> None:
        if self._stop.is_set():
            raise Cancelled
        self.fraction, self.note = fraction, note

    def _run(self) -> None:
        state: State = "failed"
        try:
            self.result = self._work(self._report)
            state = "done"
        except Cancelled:
            state = "cancelled"
        except VitrineError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - the thread's border: nobody above could see it
            self.error = VitrineError(f"{type(error).__name__}: {error}", "This is a defect; please report it.")
        finally:
            self.ended = time.monotonic()
            self.state = state
