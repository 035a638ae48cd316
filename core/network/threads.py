"""Threads in which torch computes on one core each, so that they neither disturb each other nor change a result."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from threading import Barrier
from typing import TypeVar

import torch

S = TypeVar("S")
T = TypeVar("T")

_READERS = 4  # threads that read ahead, at most
_POLL = 0.1  # seconds between calls of `waiting`


@lru_cache
def single_threaded(count: int, purpose: str = "computing") -> Executor:
    """This process's workers for a purpose, at most `count`, in which torch computes on one thread each.

    Sums over several threads are rounded in another order, and a descent amplifies any rounding: with one thread each,
    descents are the same to the bit wherever they run, and keep as many cores busy side by side.
    """
    threads, ready = torch.get_num_threads(), Barrier(count + 1)

    def begin() -> None:
        torch.get_num_threads()  # torch sets up a thread at its first use, which would undo the next line
        torch.set_num_threads(1)  # of this thread, and of threads set up later
        ready.wait()

    workers = ThreadPoolExecutor(count, f"single-threaded {purpose}", begin)
    for _ in range(count):
        workers.submit(int)
    ready.wait()
    torch.set_num_threads(threads)  # of threads set up later
    return workers


def side_by_side(work: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """The work on each item, one core each: for many small operations, of which torch's threads cannot share one."""
    threads = torch.get_num_threads()
    return list(map(work, items) if threads == 1 else single_threaded(threads, "items").map(work, items))


def ahead(
    work: Callable[[S], T],
    items: Iterable[S],
    most: int,
    waiting: Callable[[], None],
    workers: Executor | None = None,
) -> Iterator[T]:
    """The work on each item, in their order; at most `most` results are computed before they are asked for.

    Without `workers` it is done by those for reading, which all sessions share: single-threaded ones, as a team of
    torch's threads for every small operation would take cores from the passes beside them. `waiting` is called while
    the caller waits; once it, or the caller, raises, no other item is begun.
    """
    chosen = workers or single_threaded(min(_READERS, torch.get_num_threads()), "reading")
    rest = iter(items)
    futures = deque(chosen.submit(work, item) for item in islice(rest, most))
    try:
        while futures:
            yield _result(futures.popleft(), waiting)
            futures.extend(chosen.submit(work, item) for item in islice(rest, 1))
    finally:
        for future in futures:
            future.cancel()


def _result(future: Future[T], waiting: Callable[[], None]) -> T:
    while True:
        waiting()
        try:
            return future.result(_POLL)
        except TimeoutError:
            if future.done():  # the task itself was too late
                raise
