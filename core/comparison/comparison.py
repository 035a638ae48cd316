"""Comparisons: the results of several requests about one picture or many, computed in the background."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, TypeVar

from core.card import Passes
from core.edits.apply import edits_of
from core.errors import Cancelled, VitrineError
from core.explain import Explanation, Snapshot, Watch
from core.export import Answers, command_line
from core.images import Picture
from core.jobs import Job
from core.progress import Counted, Progress, Report, subrange
from core.workbench import Answer, Request, Workbench

Phase = Literal["done", "failed", "running", "queued", "waiting", "stopped"]
Facts = tuple[object, ...]
T = TypeVar("T")


class Tile(NamedTuple):
    """One result of a comparison: a picture, and the request about it."""

    picture: Picture
    request: Request

    @property
    def key(self) -> str:
        """A short text, equal exactly for equal requests about the same file."""
        return f"{self.picture.key[:16]}-{self.request.key}"


class Comparison:
    """The results of requests about pictures; those not cached are computed in a background thread.

    `predicted` says that every picture is explained for its own predicted class. Any thread may read it while the work
    is running.
    """

    def __init__(self, bench: Workbench, tiles: Iterable[Tile], seed: int = 0, *, predicted: bool = False) -> None:
        self.bench = bench
        self.tiles = tuple(tiles)
        self.seed = seed
        self.predicted = predicted
        self.answers: dict[str, Answer] = {}  # by the key of the tile
        self.snapshots: dict[str, Snapshot] = {}
        self.progress: dict[str, Progress] = {}  # of the running tile
        self.current = ""  # key of the running tile
        self.job: Job[None] | None = None
        self._queue: dict[str, Tile] = {}  # by key
        self._dropped: set[str] = set()  # keys of queued tiles that were removed
        for tile in self.tiles:
            if cached := bench.cached(*tile, seed):
                self.answers[tile.key] = cached

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures, each once, in the order of the tiles."""
        return tuple({tile.picture.key: tile.picture for tile in self.tiles}.values())

    def open(self) -> tuple[Tile, ...]:
        """The tiles without a result, cheap ones first."""
        return tuple(sorted((tile for tile in self.tiles if tile.key not in self.answers), key=self._cost))

    def affordable(self, seconds: float) -> list[Tile]:
        """The cheapest of the open tiles that together are estimated to take no longer than `seconds`."""
        return _within(self.open(), self.estimate, seconds)

    def passes(self, tiles: Iterable[Tile]) -> Passes:
        """The passes that these tiles need together."""
        groups = _by_picture(tiles)
        return sum((self.bench.passes([tile.request for tile in group]) for group in groups), Passes())

    def estimate(self, tiles: Iterable[Tile]) -> float:
        """Estimated seconds of these tiles."""
        return sum(self.bench.estimate([tile.request for tile in group]) for group in _by_picture(tiles))

    def start(self, tiles: Sequence[Tile]) -> None:
        """Compute these tiles in the background."""
        self._queue = {tile.key: tile for tile in tiles}
        self._dropped = set()
        self.job = None  # the new thread may read it before it is set, and the previous job may have been stopped
        if self._queue:
            self.job = Job(self._work, counted=self.count)

    def again(self, tiles: Sequence[Tile]) -> None:
        """Forget the results of these tiles and compute them again, once nothing else is running."""
        for tile in tiles:
            self.answers.pop(tile.key, None)
        self.start(tiles)

    @property
    def running(self) -> bool:
        """Whether work is running; after an unexpected error, the tile is marked and the rest is restarted."""
        job = self.job
        if job and job.state == "failed" and job.error and self.current not in self.answers:
            self.answers[self.current] = job.error
            if not job.stopping:
                self.start([tile for key, tile in self._queue.items() if key not in self.answers])
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
        """Cancel one tile and continue with the others; a running map is kept as unfinished."""
        self._dropped.add(key)
        if key != self.current:
            self._queue = {other: tile for other, tile in self._queue.items() if other != key}

    def leaving(self, tile: Tile) -> bool:
        """Whether a running tile will end at its next report."""
        return tile.key == self.current and (self.stopping or tile.key in self._dropped)

    def phase(self, tile: Tile) -> Phase:
        """The state of one tile."""
        key = tile.key
        if answer := self.answers.get(key):
            return "failed" if isinstance(answer, VitrineError) else "done"
        if self.job is not None and self.job.running and key in self._queue:
            if key == self.current:
                return "running"
            if not self.stopping and key not in self._dropped:
                return "queued"
        return "stopped" if key in self._queue else "waiting"

    def count(self) -> Counted:
        """The number of finished maps, including failed ones."""
        return Counted("maps", sum(tile.key in self.answers for tile in self.tiles), len(self.tiles))

    def answered(self) -> list[tuple[Tile, Answer]]:
        """The results so far, in the order of the tiles."""
        return [(tile, self.answers[tile.key]) for tile in self.tiles if tile.key in self.answers]

    def by_picture(self) -> list[tuple[Picture, Answers]]:
        """The results so far, for each picture that has any."""
        groups: dict[str, tuple[Picture, list[tuple[Request, Answer]]]] = {}
        for (picture, request), answer in self.answered():
            groups.setdefault(picture.key, (picture, []))[1].append((request, answer))
        return list(groups.values())

    def command(self, true: Mapping[str, int] | None = None) -> str:
        """The command line that reproduces the maps so far; "" while there is none.

        `true` has the true classes that are known, by the hash of the picture; the command names one that all share.
        """
        finished = [tile for tile, answer in self.answered() if isinstance(answer, Explanation)]
        return self.command_of(finished, true) if finished else ""

    def command_of(self, tiles: Sequence[Tile], true: Mapping[str, int] | None = None) -> str:
        """The command line that computes these tiles; it names no class where each picture has its own."""
        pictures = {tile.picture.sha: tile.picture for tile in tiles}
        requests = [tile.request for tile in tiles]
        known = {(true or {}).get(sha) for sha in pictures}
        pages, windows = ({getattr(one, what) for one in pictures.values()} for what in ("page", "window"))
        edits = {edits_of(one) for one in pictures.values()}
        return command_line(
            self.bench.model,
            [picture.file for picture in pictures.values()],
            requests,
            seed=self.seed,
            true=known.pop() if len(known) == 1 else None,
            predicted=self.predicted and len(pictures) > 1,
            page=pages.pop() if len(pages) == 1 else 1,
            window=windows.pop() if len(windows) == 1 else None,
            edits=edits.pop() if len(edits) == 1 else (),
        )

    def spent(self) -> tuple[float, Passes]:
        """Seconds and passes of the results so far."""
        maps = [answer for answer in self.answers.values() if isinstance(answer, Explanation)]
        return sum(m.seconds for m in maps), sum((m.passes for m in maps), Passes())

    def facts(self) -> Facts:
        """Everything that determines the results."""
        return facts(self.bench, self.tiles, self.seed)

    def _cost(self, tile: Tile) -> float:
        return self.bench.passes([tile.request]).weight

    def _work(self, report: Report) -> None:
        def checked(fraction: float, note: str) -> None:
            part_report(fraction, note)
            if self.current in self._dropped:
                raise Cancelled

        queue = self._queue
        while rest := [tile for key, tile in queue.items() if key not in self.answers and key not in self._dropped]:
            group = next(_by_picture(rest))
            done = 1 - len(rest) / len(queue)
            part_report = subrange(report, done, done + len(group) / len(queue))
            try:
                self._compare(group, checked)
            except Cancelled:
                if self.current not in self._dropped:
                    raise

    def _compare(self, tiles: Sequence[Tile], report: Report) -> None:
        """Compute tiles of one picture."""
        picture = tiles[0].picture

        def done(request: Request, answer: Answer) -> None:
            key = Tile(picture, request).key
            self.answers[key] = answer
            self.snapshots.pop(key, None)
            self.progress.pop(key, None)

        def follow(request: Request) -> Report:
            self.current = Tile(picture, request).key
            self.progress[self.current] = Progress()
            return self.progress[self.current]

        def watch(request: Request) -> Watch:
            tile = Tile(picture, request)

            def store(snapshot: Snapshot) -> bool:
                self.snapshots[tile.key] = snapshot
                return self.leaving(tile)

            return store

        requests = [tile.request for tile in tiles]
        self.bench.compare(picture, requests, done, seed=self.seed, report=report, watch=watch, follow=follow)


def about(picture: Picture, requests: Iterable[Request]) -> tuple[Tile, ...]:
    """The tiles of several requests about one picture."""
    return tuple(Tile(picture, request) for request in requests)


def facts(bench: Workbench, tiles: Iterable[Tile], seed: int = 0) -> Facts:
    """Everything that determines the results of tiles: equal for comparisons with the same results."""
    return (bench.model.key, tuple(tile.key for tile in tiles), seed)


def affordable(bench: Workbench, requests: Iterable[Request], seconds: float) -> list[Request]:
    """The cheapest of these requests that together are estimated to take no longer than `seconds`."""
    cheap_first = sorted(requests, key=lambda request: bench.passes([request]).weight)
    return _within(cheap_first, bench.estimate, seconds)


def _within(sorted_work: Sequence[T], estimate: Callable[[list[T]], float], seconds: float) -> list[T]:
    """As much of the work from its beginning as is estimated to take no longer than `seconds`."""
    chosen: list[T] = []
    for one in sorted_work:
        if estimate([*chosen, one]) > seconds:
            break
        chosen.append(one)
    return chosen


def _by_picture(tiles: Iterable[Tile]) -> Iterator[list[Tile]]:
    """The tiles in one list for each picture, in the order in which the pictures first appear."""
    groups: dict[str, list[Tile]] = {}
    for tile in tiles:
        groups.setdefault(tile.picture.key, []).append(tile)
    yield from groups.values()
