"""A job: its progress, its end, and what it lets go of then."""

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from core import progress
from core.errors import BadImage, Cancelled
from core.jobs import Job
from core.progress import Counted, Report, chunks


def test_done_with_its_result() -> None:
    job = Job(lambda report: sum(span.start for span in chunks(4, 1, report, "adding")), "sum")
    assert job.wait(60)
    assert (job.state, job.result, job.fraction, job.note, job.error) == ("done", 6, 1.0, "adding", None)
    assert job.seconds == job.seconds >= 0


def test_stopped_at_its_next_report() -> None:
    begun, go_on = threading.Event(), threading.Event()
    cleaned: list[bool] = []

    def work(report: Report) -> None:
        try:
            report(0.5, "half")
            begun.set()
            go_on.wait(60)
            report(0.6, "never seen")
        finally:
            cleaned.append(True)

    job = Job(work)
    assert begun.wait(60)
    assert job.state == "running"
    assert not job.wait(0)
    job.cancel()
    go_on.set()
    assert job.wait(60)
    assert (job.state, job.fraction, job.note, job.result, cleaned) == ("cancelled", 0.5, "half", None, [True])
    job.cancel()
    assert job.state == "cancelled"


@pytest.mark.parametrize("error", [BadImage("The file is empty.", "Take another."), KeyError("x")])
def test_failed_with_a_sentence(error: Exception) -> None:
    def work(report: Report) -> None:
        raise error

    job = Job(work)
    assert job.wait(60)
    assert job.state == "failed"
    assert job.error is not None
    known = isinstance(error, BadImage)
    assert job.error is error if known else str(job.error) == "KeyError: 'x' This is a defect; please report it."


def test_work_that_cancels_itself() -> None:
    def work(report: Report) -> None:
        raise Cancelled

    job = Job(work)
    assert job.wait(60)
    assert job.state == "cancelled"


class Heavy:
    """What a work refers to, such as a model."""


def failing(report: Report, heavy: Heavy) -> None:
    try:
        raise KeyError(heavy)
    except KeyError as error:
        raise BadImage("The file is empty.") from error


def defective(report: Report, heavy: Heavy) -> None:
    raise RuntimeError


def cancelled(report: Report, heavy: Heavy) -> None:
    raise Cancelled


@pytest.mark.parametrize(
    ("work", "state"),
    [(lambda report, heavy: 3, "done"), (failing, "failed"), (defective, "failed"), (cancelled, "cancelled")],
)
def test_a_job_that_has_ended_holds_nothing_of_its_work(work: Callable[[Report, Heavy], object], state: str) -> None:
    heavy, other, go_on = Heavy(), Heavy(), threading.Event()
    held = weakref.ref(heavy), weakref.ref(other)

    def bound(heavy: Heavy, other: Heavy) -> Job:
        def wait_and_work(report: Report) -> object:
            go_on.wait(60)
            return work(report, heavy)

        return Job(wait_and_work, counted=lambda: Counted(str(other), 0, 1))

    job = bound(heavy, other)
    del heavy, other
    gc.collect()
    assert all(one() is not None for one in held), "a running one needs it"
    go_on.set()
    assert job.wait(60)
    gc.collect()
    assert [one() for one in held] == [None, None]
    assert job.state == state
    assert job.count is None


def test_the_time_left_follows_from_the_speed_since_the_first_report(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress, "time", type("Clock", (), {"monotonic": lambda: now[0]}))
    steps, told = threading.Semaphore(0), threading.Semaphore(0)

    def work(report: Report) -> None:
        for fraction in (0.5, 0.5, 0.6, 0.9):  # half was there already, as of a build that goes on
            steps.acquire(timeout=60)
            report(fraction, "going on")
            told.release()
        steps.acquire(timeout=60)

    job = Job(work)

    def step(seconds: float) -> float | None:
        now[0] += seconds
        steps.release()
        assert told.acquire(timeout=60)
        return left if (left := job.seconds_left) is None else pytest.approx(left)

    assert job.seconds_left is None
    assert step(30) is None, "opening a model says nothing about the speed"
    assert step(5) is None, "nothing is gained yet"
    assert step(5) == 40, "a tenth took 10 s, and four are left"
    now[0] += 10
    assert job.seconds_left == pytest.approx(80), "no news is slower"
    assert step(0) == 5
    steps.release()
    assert job.wait(60)
    assert job.seconds_left is None


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({}, "Building x"),
        ({"note": "heatmaps", "seconds_left": 200}, "Building x · heatmaps · about 3 min left"),
        ({"title": "", "count": Counted("maps", 3, 5), "note": "RISE"}, "Maps 3 of 5 · RISE"),
        ({"note": "heatmaps", "seconds_left": 200, "stopping": True}, "Building x · stopping"),
    ],
)
def test_a_line_says_what_is_known(facts: dict[str, object], line: str) -> None:
    known = {"title": "Building x", "count": None, "note": "", "seconds_left": None, "stopping": False}
    assert Job.state_line.fget(SimpleNamespace(**known | facts)) == line  # type: ignore[attr-defined]


def test_counts_are_read_whenever_asked_for() -> None:
    done: list[int] = []
    go_on = threading.Event()
    job = Job(lambda report: go_on.wait(60), counted=lambda: Counted("maps", len(done), 3))
    assert job.count == "maps 0 of 3"
    done.append(1)
    assert job.count == "maps 1 of 3"
    assert job.running
    assert not job.stopping
    job.cancel()
    assert job.stopping
    go_on.set()
    assert job.wait(60)
    assert not job.running


ENDING = """
import sys
import torch
from core.jobs import Job
def work(report):
    while True:
        report(0.5, "computing")
        torch.ones(300, 300) @ torch.ones(300, 300)
job = Job(work, "endless")
while job.note != "computing":
    pass
"""


def test_a_process_ends_in_order_while_a_job_computes() -> None:
    done = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
