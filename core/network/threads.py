"""Threads in which torch computes on one core each, so that results are the same to the bit wherever they run."""

from concurrent.futures import Executor, ThreadPoolExecutor
from functools import lru_cache
from threading import Barrier

import torch


@lru_cache
def single_threaded(count: int) -> Executor:
    """This process's workers, at most `count`, in which torch computes on one thread each.

    Sums over several threads are rounded in another order, and a descent amplifies any rounding: with one thread each,
    descents are the same to the bit wherever they run, and keep as many cores busy side by side.
    """
    threads, ready = torch.get_num_threads(), Barrier(count + 1)

    def begin() -> None:
        torch.get_num_threads()  # torch sets up a thread at its first use, which would undo the next line
        torch.set_num_threads(1)  # of this thread, and of threads set up later
        ready.wait()

    workers = ThreadPoolExecutor(count, "single-threaded", begin)
    for _ in range(count):
        workers.submit(int)
    ready.wait()
    torch.set_num_threads(threads)  # of threads set up later
    return workers
