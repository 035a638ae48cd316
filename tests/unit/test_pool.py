"""The pool of shared values: made once, waited for together, and freed with the last user."""

import gc
import threading
import time
import weakref

import pytest

from core.errors import BadModel
from core.jobs import Pool


class Thing:
    """A value that can be watched."""


def test_a_value_is_made_once_for_all_who_ask():
    pool, made, go = Pool(), [], threading.Event()

    def work(report):
        made.append(1)
        assert go.wait(60)
        return Thing()

    first = pool.request("a", "anne", work)
    second = pool.request("a", "bert", work)
    assert second is first
    assert pool.peek("a") is None
    go.set()
    assert first.wait(60)
    assert pool.request("a", "carl", work).result is pool.peek("a") is first.result
    assert made == [1]


def test_it_is_freed_with_its_last_user():
    pool = Pool()
    job = pool.request("a", "anne", lambda report: Thing())
    pool.request("a", "bert", lambda report: Thing())
    pool.request("b", "bert", lambda report: Thing())
    assert job.wait(60)
    watched = weakref.ref(job.result)
    del job
    pool.release("a", "anne")
    pool.release("a", "anne")
    assert watched() is not None
    pool.leave("bert")
    gc.collect()
    assert watched() is None
    assert len(pool) == 0
    pool.leave("bert")


def test_work_goes_on_while_somebody_waits_and_is_cancelled_with_the_last():
    pool, ticks = Pool(), []

    def work(report):
        for _ in range(10_000):
            report(0.5, "")
            ticks.append(1)
            time.sleep(0.002)

    job = pool.request("a", "anne", work)
    pool.request("a", "bert", work)
    pool.release("a", "anne")
    assert not job.stopping
    seen = len(ticks)
    while len(ticks) <= seen:
        time.sleep(0.002)
    pool.release("a", "bert")
    assert job.wait(60)
    assert job.state == "cancelled"
    assert pool.peek("a") is None


def test_after_a_failure_or_a_cancellation_it_is_made_anew():
    pool, tries = Pool(), []

    def work(report):
        tries.append(1)
        if len(tries) == 1:
            raise BadModel("No.")
        return len(tries)

    failed = pool.request("a", "anne", work)
    assert failed.wait(60)
    with pytest.raises(BadModel):
        raise failed.error
    job = pool.request("a", "anne", work)
    assert job.wait(60)
    assert job.result == 2
    job.cancel()  # too late
    assert pool.request("a", "anne", work) is job
