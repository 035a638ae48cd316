"""Background jobs: long work in its own thread, with progress, state and cancellation."""

import threading
import time
from collections.abc import Callable
from typing import Generic, Literal, NamedTuple, TypeVar

from core.errors import Cancelled, VitrineError
from core.progress import Report

State = Literal["running", "done", "failed", "cancelled"]
T = TypeVar("T")

_ENOUGH = 2.0, 0.01  # seconds and fraction of the work after which its speed is known


class Count(NamedTuple):
    """The number of finished items of a job."""

    done: int
    total: int
    unit: str  # the name of the items, in the plural


class Job(Generic[T]):
    """A call of `work(report)` in a daemon thread; its progress and its state may be read at any time.

    `counted` returns the number of finished items. A job that has ended keeps its result or its error, but no reference
    to the function or anything the function refers to.
    """

    def __init__(
        self, work: Callable[[Report], T], title: str = "", *, counted: Callable[[], Count] | None = None
    ) -> None:
        self.title = title
        self.state: State = "running"
        self.fraction = 0.0
        self.note = ""
        self.result: T | None = None
        self.error: VitrineError | None = None
        self.started = time.monotonic()
        self.ended: float | None = None
        self._work: Callable[[Report], T] | None = work
        self._counted = counted
        self._first: tuple[float, float] | None = None  # time and fraction of the first report
        self._stop = threading.Event()
        self._over = threading.Event()
        threading.Thread(target=self._run, name=f"job {title}", daemon=True).start()

    @property
    def running(self) -> bool:
        """Whether the work is still running."""
        return self.state == "running"

    @property
    def stopping(self) -> bool:
        """Whether cancellation has been requested."""
        return self._stop.is_set()

    @property
    def seconds(self) -> float:
        """Seconds since the start, or the duration once the work has ended."""
        return (self.ended or time.monotonic()) - self.started

    @property
    def count(self) -> Count | None:
        """The number of finished items; None for work without items, and after its end."""
        counted = self._counted
        return counted() if counted else None

    @property
    def seconds_left(self) -> float | None:
        """Remaining seconds at the speed since the first report; None while unknown, and after the end."""
        if self._first is None or not self.running:
            return None
        began, start = self._first
        took, gained = time.monotonic() - began, self.fraction - start
        return took * (1 - self.fraction) / gained if took >= _ENOUGH[0] and gained >= _ENOUGH[1] else None

    def cancel(self) -> None:
        """Request cancellation at the next report; returns immediately."""
        self._stop.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the work; False after `timeout` seconds."""
        return self._over.wait(timeout)

    def _report(self, fraction: float, note: str) -> None:
        if self._stop.is_set():
            raise Cancelled
        self.fraction, self.note = fraction, note
        self._first = self._first or (time.monotonic(), fraction)

    def _run(self) -> None:
        state: State = "failed"
        try:
            self.result = self._work(self._report)  # type: ignore[misc]  # set until this has ended
            state = "done"
        except Cancelled:
            state = "cancelled"
        except VitrineError as error:
            # Tracebacks, also those of causes, would keep the local variables of all their functions alive.
            error.__traceback__ = error.__cause__ = error.__context__ = None
            self.error = error
        except Exception as error:  # noqa: BLE001 - nothing above this thread could catch it
            self.error = VitrineError(f"{type(error).__name__}: {error}", "This is a defect; please report it.")
        finally:
            self._work = self._counted = None
            self.ended = time.monotonic()
            self.state = state
            self._over.set()
