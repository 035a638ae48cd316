"""Running the shards of a store: which are missing, in what order, and how far all of them are.

Whatever works through many images (studies, exams, whole folders) describes one shard as a `Work` and calls
`map_shards`; where shards run is the choice of an `Engine`. There is one, `here`.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

from core.progress import Report, silent
from core.store.writer import Draft, Shard

ShardReport = Callable[[int, float, str], None]  # of one shard: its number, fraction and note


class Work(Protocol):
    """The work on one shard, with all that it needs; picklable, so that it can be sent to another process."""

    def __call__(self, shard: int, report: Report) -> Shard:
        """Tables, arrays and facts of a shard; `report` may raise to stop it."""
        ...


class Engine(Protocol):
    """Where shards run: any number of them at a time, finished in any order."""

    def __call__(self, work: Work, shards: Sequence[int], report: ShardReport) -> Iterator[tuple[int, Shard]]:
        """Each shard's number and result as it is finished.

        `report` is called on the thread that iterates, in rising order for each shard; what it raises ends all work.
        """
        ...


def here(work: Work, shards: Sequence[int], report: ShardReport) -> Iterator[tuple[int, Shard]]:
    """Run one shard after another on this thread."""
    for shard in shards:
        yield shard, work(shard, partial(report, shard))


def map_shards(work: Work, count: int, draft: Draft, report: Report = silent, *, engine: Engine = here) -> None:
    """Run the shards of 0 … count - 1 that a draft lacks, and keep each of them as soon as it is finished.

    Reports how far all missing shards are together, with notes that name the shard where there are several. A report
    that raises stops the work; what was finished until then stays in the draft, and the next call goes on from there.
    """
    missing = draft.missing(count)
    running: dict[int, float] = {}
    finished = 0

    def say(shard: int, note: str) -> None:
        where = f" (shard {shard + 1} of {count})" if count > 1 else ""
        report((finished + sum(running.values())) / len(missing), f"{note}{where}")

    def heard(shard: int, fraction: float, note: str) -> None:
        running[shard] = fraction
        say(shard, note)

    for shard, result in engine(work, missing, heard):
        draft.keep(shard, *result)
        running.pop(shard, None)
        finished += 1
        say(shard, "stored")
