"""Threads of one core each, and work that is done ahead on them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from core.errors import Cancelled
from core.network.threads import ahead, side_by_side, single_threaded
from tests.waiting import until


def nothing() -> None:
    pass


def test_a_worker_computes_on_one_thread_and_others_keep_theirs():
    before = torch.get_num_threads()
    workers = single_threaded(2, "a test")
    assert {workers.submit(torch.get_num_threads).result() for _ in range(8)} == {1}
    assert torch.get_num_threads() == before
    with ThreadPoolExecutor(1) as later:
        assert later.submit(torch.get_num_threads).result() == before
    assert single_threaded(2, "a test") is workers
    assert single_threaded(2, "another") is not workers


def test_results_come_in_order_and_no_more_than_asked_for_ahead():
    begun = list[int]()

    def work(number: int) -> int:
        begun.append(number)
        return number**2

    for place, found in enumerate(ahead(work, range(30), 5, nothing)):
        assert found == place**2
        assert len(begun) <= place + 6


def test_nothing_begins_once_the_caller_has_left():
    begun, gate = list[int](), threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        gate.wait(20)

    def leave() -> None:
        until(lambda: len(begun) == 1)
        raise Cancelled

    with ThreadPoolExecutor(1) as workers:
        with pytest.raises(Cancelled):
            next(ahead(work, range(9), 4, leave, workers))
        gate.set()
    assert begun == [0]


def test_what_work_raises_reaches_the_caller_who_waits():
    calls = list[int]()

    def work(number: int) -> int:
        if number == 2:
            raise TimeoutError("too late")
        return number

    with pytest.raises(TimeoutError, match="too late"):
        list(ahead(work, range(5), 1, lambda: calls.append(1)))
    assert len(calls) >= 3


@pytest.mark.parametrize("threads", [1, 2])
def test_items_side_by_side_keep_their_order(monkeypatch, threads):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert side_by_side(lambda number: number**2, range(20)) == [number**2 for number in range(20)]
