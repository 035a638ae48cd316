"""Background jobs: long work in its own thread, with progress, state and cancellation; values that such work makes."""

import atexit
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from core.errors import Cancelled, VitrineError
from core.progress import Counted, Progress, Report, line, time_left

State = Literal["running", "done", "failed", "cancelled"]
T = TypeVar("T")

_SECONDS = 2.0  # that jobs have to stop when the process ends

_running = set["Job[Any]"]()


@atexit.register
def _stop_all() -> None:
    """Stop the jobs that still run when the process ends: a thread killed in an operation of torch would abort it."""
    until = time.monotonic() + _SECONDS
    jobs = list(_running)
    for job in jobs:
        job.cancel()
    for job in jobs:
        job.wait(max(0.0, until - time.monotonic()))


class Job(Generic[T]):
    """A call of `work(report)` in a daemon thread; its progress and its state may be read at any time.

    `counted` returns the number of finished items. A job that has ended keeps its result or its error, but no reference
    to the function or anything the function refers to.
    """

    def __init__(
        self, work: Callable[[Report], T], title: str = "", *, counted: Callable[[], Counted] | None = None
    ) -> None:
        self.title = title
        self.state: State = "running"
        self.progress = Progress()
        self.result: T | None = None
        self.error: VitrineError | None = None
        self.started = time.monotonic()
        self.ended: float | None = None
        self._work: Callable[[Report], T] | None = work
        self._counted = counted
        self._stop = threading.Event()
        self._over = threading.Event()
        _running.add(self)
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
    def fraction(self) -> float:
        """The fraction of the work that is done, as last reported."""
        return self.progress.fraction

    @property
    def note(self) -> str:
        """What the work is doing, as last reported."""
        return self.progress.note

    @property
    def count(self) -> Counted | None:
        """The number of finished items; None for work without items, and after its end."""
        counted = self._counted
        return counted() if counted else None

    @property
    def seconds_left(self) -> float | None:
        """Remaining seconds at the speed since the first report; None while unknown, and after the end."""
        return self.progress.seconds_left if self.running else None

    @property
    def state_line(self) -> str:
        """The state of running work as one line: title, finished items, last note and time left, as far as known."""
        doing = ("stopping",) if self.stopping else (self.note, time_left(self.seconds_left))
        known = line(self.title, self.count or "", *doing)
        return known[:1].upper() + known[1:]

    def cancel(self) -> None:
        """Request cancellation at the next report; returns immediately."""
        self._stop.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the work; False after `timeout` seconds."""
        return self._over.wait(timeout)

    def _report(self, fraction: float, note: str) -> None:
        if self._stop.is_set():
            raise Cancelled
        self.progress(fraction, note)

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
            _running.discard(self)
            self._over.set()


@dataclass
class _Entry(Generic[T]):
    job: Job[T]
    users: set[Hashable] = field(default_factory=set)


class Pool(Generic[T]):
    """Values by key, each made by a `Job` that all who ask for it wait for, and held as long as one of them uses it."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, _Entry[T]] = {}
        self._lock = threading.Lock()

    def request(self, key: Hashable, user: Hashable, work: Callable[[Report], T], title: str = "") -> Job[T]:
        """The job that makes, or has made, the value under a key, counting the user until it is released.

        It is started if nobody asked before, or if it failed or was cancelled.
        """
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry(Job(work, title))
            elif entry.job.state != "done" and (entry.job.stopping or not entry.job.running):
                entry.job = Job(work, title)
            entry.users.add(user)
            return entry.job

    def peek(self, key: Hashable) -> T | None:
        """The value under a key if it is there; it is neither made nor waited for."""
        with self._lock:
            entry = self._entries.get(key)
            return entry.job.result if entry else None

    def release(self, key: Hashable, user: Hashable) -> None:
        """A user needs the value under a key no more: without others it is dropped, or no longer made."""
        with self._lock:
            self._release(key, user)

    def leave(self, user: Hashable) -> None:
        """A user needs none of the values any more."""
        with self._lock:
            for key in list(self._entries):
                self._release(key, user)

    def _release(self, key: Hashable, user: Hashable) -> None:
        if entry := self._entries.get(key):
            entry.users.discard(user)
            if not entry.users:
                entry.job.cancel()
                del self._entries[key]

    def __len__(self) -> int:
        return len(self._entries)
