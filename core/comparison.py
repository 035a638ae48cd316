"""Comparisons: the results of several requests about one picture, computed in the background."""

from collections.abc import Sequence
from typing import Literal

from core.errors import Cancelled, VitrineError
from core.explain import Explanation, Snapshot, Watch
from core.export import command_line
from core.images import Picture
from core.jobs import Count, Job
from core.progress import Report, subrange
from core.workbench import Answer, Request, Workbench

Phase = Literal["done", "failed", "running", "queued", "waiting", "stopped"]
Facts = tuple[object, ...]


class Comparison:
    """The results of several requests about one picture; those not cached are computed in a background thread.

    Any thread may read it while the work is running.
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
        self.current = ""  # key of the running request
        self.job: Job[None] | None = None
        self._queue: tuple[Request, ...] = ()
        self._dropped: set[str] = set()  # keys of queued requests that were removed
        for request in self.requests:
            if cached := bench.cached(picture, request, seed, layer):
                self.answers[request.key] = cached

    def open(self) -> tuple[Request, ...]:
        """The requests without a result, cheap ones first."""
        return tuple(
            sorted((a for a in self.requests if a.key not in self.answers), key=lambda a: self.bench.passes([a]))
        )

    def start(self, requests: Sequence[Request]) -> None:
        """Compute these requests in the background."""
        self._queue = tuple(requests)
        self._dropped = set()
        self.job = None  # the new thread may read it before it is set, and the previous job may have been stopped
        if self._queue:
            self.job = Job(self._work, counted=self.count)

    @property
    def running(self) -> bool:
        """Whether work is running; after an unexpected error, the request is marked and the rest is restarted."""
        job = self.job
        if job and job.state == "failed" and job.error and self.current not in self.answers:
            self.answers[self.current] = job.error
            if not job.stopping:
                self.start([request for request in self._queue if request.key not in self.answers])
        return self.job is not None and self.job.running

    @property
    def stopping(self) -> bool:
        """Whether cancellation has been requested."""
        return self.job is not None and self.job.stopping

    def cancel(self) -> None:
        """Request cancellation; a running map is kept and marked unfinished."""
        if self.job:
            self.job.cancel()

    def drop(self, key: str) -> None:
        """Cancel one request and continue with the others; a running map is kept as unfinished."""
        self._dropped.add(key)
        if key != self.current:
            self._queue = tuple(request for request in self._queue if request.key != key)

    def leaving(self, request: Request) -> bool:
        """Whether a running request will end at its next report."""
        return request.key == self.current and (self.stopping or request.key in self._dropped)

    def phase(self, request: Request) -> Phase:
        """The state of one request."""
        if answer := self.answers.get(request.key):
            return "failed" if isinstance(answer, VitrineError) else "done"
        if self.job is not None and self.job.running and request in self._queue:
            if request.key == self.current:
                return "running"
            if not self.stopping and request.key not in self._dropped:
                return "queued"
        return "stopped" if request in self._queue else "waiting"

    def count(self) -> Count:
        """The number of finished maps, including failed ones."""
        return Count(sum(request.key in self.answers for request in self.requests), len(self.requests), "maps")

    def answered(self) -> list[tuple[Request, Answer]]:
        """The results so far, in the order of the requests."""
        return [(request, self.answers[request.key]) for request in self.requests if request.key in self.answers]

    def command(self, true: int | None = None) -> str:
        """The command line that reproduces the maps so far, with the true class if known; "" while there is none."""
        finished = [request for request, answer in self.answered() if isinstance(answer, Explanation)]
        named = (self.bench.model, self.picture.name)
        return command_line(*named, finished, seed=self.seed, layer=self.layer, true=true) if finished else ""

    def spent(self) -> tuple[float, int]:
        """Seconds and model passes (a backward counts as two) of the results so far."""
        maps = [answer for answer in self.answers.values() if isinstance(answer, Explanation)]
        return sum(m.seconds for m in maps), sum(m.forwards + 2 * m.backwards for m in maps)

    def facts(self) -> Facts:
        """Everything that determines the results."""
        return facts(self.bench, self.picture, self.requests, self.seed, self.layer)

    def _work(self, report: Report) -> None:
        def checked(fraction: float, note: str) -> None:
            part_report(fraction, note)
            if self.current in self._dropped:
                raise Cancelled

        queue = self._queue
        while rest := [
            request for request in queue if request.key not in self.answers and request.key not in self._dropped
        ]:
            part_report = subrange(report, 1 - len(rest) / len(queue), 1.0)
            try:
                self.bench.compare(
                    self.picture, rest, self._done, seed=self.seed, layer=self.layer, report=checked, watch=self._watch
                )
            except Cancelled:
                if self.current not in self._dropped:
                    raise

    def _done(self, request: Request, answer: Answer) -> None:
        self.answers[request.key] = answer
        self.snapshots.pop(request.key, None)

    def _watch(self, request: Request) -> Watch:
        self.current = request.key

        def store(snapshot: Snapshot) -> bool:
            self.snapshots[request.key] = snapshot
            return self.leaving(request)

        return store


def facts(bench: Workbench, picture: Picture, requests: Sequence[Request], seed: int = 0, layer: str = "") -> Facts:
    """Everything that determines the results of requests: equal for comparisons with the same results."""
    return (bench.model.sha, picture.sha, tuple(request.key for request in requests), seed, layer)


def affordable(bench: Workbench, requests: Sequence[Request], seconds: float) -> list[Request]:
    """The cheapest of these requests that together are estimated to take no longer than `seconds`."""
    chosen: list[Request] = []
    for request in sorted(requests, key=lambda request: bench.passes([request])):
        if bench.estimate([*chosen, request]) > seconds:
            break
        chosen.append(request)
    return chosen
