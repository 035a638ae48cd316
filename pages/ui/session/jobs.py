"""Long work on a page: seconds with a bar in place, minutes in a thread that a fragment watches.

A page that builds something for minutes starts a `core.jobs.Job`, appends it to `state.session().jobs` so that it ends
with the session, and draws it with `watched`.
"""

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import streamlit as st

from core import export
from core.errors import Cancelled, VitrineError
from core.explain import Explanation, Snapshot, Watch
from core.images import Picture
from core.jobs import Job
from core.progress import Report, subrange
from core.workbench import Answer, Request, Workbench

K = TypeVar("K")
T = TypeVar("T")
Phase = Literal["done", "failed", "running", "queued", "waiting", "stopped"]


def working(title: str, work: Callable[[Report], T]) -> T:
    """Do `work(report)` now, with a bar on the page; any click elsewhere cancels it. Raises what the work raises."""
    job = Job(work, title)
    bar = None
    try:
        while not job.wait(0.1):
            if job.seconds > 0.4:  # quick work shows no bar at all
                bar = bar or st.empty()
                bar.progress(min(job.fraction, 1.0), f"{title} · {job.note}" if job.note else title)
    finally:
        job.cancel()
    if bar:
        bar.empty()
    if job.error:
        raise job.error
    return job.result  # type: ignore[return-value]  # the job did this very work


def once(cached: Callable[[K, T | None], T], key: K, title: str, work: Callable[[Report], T]) -> T:
    """What a cache that all sessions share holds under a key, worked out with a bar where it is not there yet.

    `cached(key, None)` raises LookupError for what it does not hold and takes what it is given. Raises what the work
    raises.
    """
    try:
        return cached(key, None)
    except LookupError:
        return cached(key, working(title, work))


class Comparison:
    """The answers to some asks about one picture; what is not known yet is worked out in a thread of its own.

    Any thread may read it while the work goes on.
    """

    def __init__(
        self, bench: Workbench, picture: Picture, requests: Sequence[Request], seed: int = 0, layer: str = ""
    ) -> None:
        self.bench = bench
        self.picture = picture
        self.requests = tuple(requests)
        self.seed = seed
        self.layer = layer
        self.answers: dict[str, Answer] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.current = ""  # key of the ask being answered
        self.job: Job | None = None
        self.stopping = False  # the work has been asked to stop and has not come to an end yet
        self._queue: tuple[Request, ...] = ()
        self._dropped: set[str] = set()  # keys of asks of the queue that are no longer wanted
        for request in self.requests:
            if found := bench.known(picture, request, seed, layer):
                self.answers[request.key] = found

    def same(self, other: "Comparison | None") -> bool:
        """Whether the other one answers the same asks about the same picture."""
        return other is not None and self.facts() == other.facts()

    def open(self) -> tuple[Request, ...]:
        """The asks without an answer, cheap ones first."""
        return tuple(
            sorted((a for a in self.requests if a.key not in self.answers), key=lambda a: self.bench.passes([a]))
        )

    def start(self, requests: Sequence[Request]) -> None:
        """Work these asks out in the background."""
        self._queue = tuple(requests)
        self._dropped = set()
        self.stopping = False
        if self._queue:
            self.job = Job(self._work, "comparison")

    @property
    def running(self) -> bool:
        """Whether work goes on; an ask that broke unexpectedly is marked and the rest goes on without it."""
        job = self.job
        if job and job.state == "failed" and job.error and self.current not in self.answers:
            self.answers[self.current] = job.error
            if not self.stopping:
                self.start([request for request in self._queue if request.key not in self.answers])
        return self.job is not None and self.job.state == "running"

    def cancel(self) -> None:
        """Ask the work to stop; a running map stays as it is, marked unfinished."""
        self.stopping = True
        if self.job:
            self.job.cancel()

    def drop(self, key: str) -> None:
        """Take one ask out of the work, which goes on with the others; a running map stays as it is, unfinished."""
        self._dropped.add(key)
        if key != self.current:
            self._queue = tuple(request for request in self._queue if request.key != key)

    def leaving(self, request: Request) -> bool:
        """Whether an ask being answered will end at its next report."""
        return request.key == self.current and (self.stopping or request.key in self._dropped)

    def phase(self, request: Request) -> Phase:
        """How far one ask is."""
        if answer := self.answers.get(request.key):
            return "failed" if isinstance(answer, VitrineError) else "done"
        if self.job is not None and self.job.state == "running" and request in self._queue:
            if request.key == self.current:
                return "running"
            if not self.stopping and request.key not in self._dropped:
                return "queued"
        return "stopped" if request in self._queue else "waiting"

    def found(self) -> list[tuple[Request, Answer]]:
        """The answers so far, in the order of the asks."""
        return [(request, self.answers[request.key]) for request in self.requests if request.key in self.answers]

    def command(self) -> str:
        """The command line that makes the maps there are so far again; "" while there is none."""
        made = [request for request, answer in self.found() if isinstance(answer, Explanation)]
        named = (self.bench.model.name, self.picture.name)
        return export.command_line(*named, made, seed=self.seed, layer=self.layer) if made else ""

    def spent(self) -> tuple[float, int]:
        """Seconds and model passes (a backward counted as two) of the answers so far."""
        maps = [answer for answer in self.answers.values() if isinstance(answer, Explanation)]
        return sum(m.seconds for m in maps), sum(m.forwards + 2 * m.backwards for m in maps)

    def facts(self) -> tuple[object, ...]:
        """What decides the answers."""
        return (self.bench.model.sha, self.picture.sha, [a.key for a in self.requests], self.seed, self.layer)

    def _work(self, report: Report) -> None:
        def heard(fraction: float, note: str) -> None:
            share(fraction, note)
            if self.current in self._dropped:
                raise Cancelled

        queue = self._queue
        while rest := [
            request for request in queue if request.key not in self.answers and request.key not in self._dropped
        ]:
            share = subrange(report, 1 - len(rest) / len(queue), 1.0)
            try:
                self.bench.compare(
                    self.picture, rest, self._done, seed=self.seed, layer=self.layer, report=heard, watch=self._watch
                )
            except Cancelled:
                if self.current not in self._dropped:
                    raise

    def _done(self, request: Request, answer: Answer) -> None:
        self.answers[request.key] = answer
        self.snapshots.pop(request.key, None)

    def _watch(self, request: Request) -> Watch:
        self.current = request.key

        def look(seen: Snapshot) -> bool:
            self.snapshots[request.key] = seen
            return self.leaving(request)

        return look


def watched(job: Job, finished: Callable[[Job], None]) -> None:
    """A job's bar with its Stop button, refreshed twice a second; `finished(job)` is called once it has ended."""

    @st.fragment(run_every=0.5 if job.state == "running" else None)
    def bar() -> None:
        if job.state == "running":
            left, right = st.columns([6, 1], vertical_alignment="center")
            left.progress(min(job.fraction, 1.0), f"{job.title} · {job.note}" if job.note else job.title)
            right.button("Stop", key=f"stop-{job.title}", on_click=job.cancel, width="stretch")
        else:
            st.rerun()

    if job.state == "running":
        bar()
    else:
        finished(job)
