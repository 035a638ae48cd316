"""Running of the shards of a store: missing shards, order and progress.

Work on many images (studies, exams, whole folders) describes one shard as a `Work` and calls `map_shards`; an `Engine`
decides where shards run. There is one, `here`.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

from core.progress import Report, located, silent
from core.store.writer import Draft, Shard

ShardReport = Callable[[int, float, str], None]  # of one shard: its number, fraction and note


class Work(Protocol):
    """The work on one shard with all its inputs; picklable, so that it can be sent to another process."""

    def __call__(self, shard: int, report: Report) -> Shard:
        """Tables, arrays and facts of a shard; `report` may raise to cancel it."""
        ...


class Engine(Protocol):
    """An executor of shards: any number of them at a time, finished in any order."""

    def __call__(self, work: Work, shards: Sequence[int], report: ShardReport) -> Iterator[tuple[int, Shard]]:
        """Yield each shard's number and result when it is finished.

        `report` is called on the iterating thread, with increasing fractions for each shard; an exception from it ends
        all work.
        """
        ...


def here(work: Work, shards: Sequence[int], report: ShardReport) -> Iterator[tuple[int, Shard]]:
    """Run one shard after another on this thread."""
    for shard in shards:
        yield shard, work(shard, partial(report, shard))


def map_shards(work: Work, count: int, draft: Draft, report: Report = silent, *, engine: Engine = here) -> None:
    """Run the shards of 0 … count - 1 that a draft lacks, and store each of them when it is finished.

    Reports the progress of all missing shards together, with notes that name the shard if there are several. A report
    that raises stops the work; finished shards stay in the draft, and the next call continues from there.
    """
    missing = draft.missing(count)
    running: dict[int, float] = {}
    finished = 0

    def report_all(shard: int, note: str) -> None:
        report((finished + sum(running.values())) / len(missing), located(note, shard, count, "shard"))

    def report_shard(shard: int, fraction: float, note: str) -> None:
        running[shard] = fraction
        report_all(shard, note)

    for shard, result in engine(work, missing, report_shard):
        draft.keep(shard, *result)
        running.pop(shard, None)
        finished += 1
        report_all(shard, "stored")
