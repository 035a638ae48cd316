import threading

import pytest

from core.errors import BadImage, Cancelled
from core.jobs import Job
from core.progress import Report, chunks


def test_done_with_its_result() -> None:
    job = Job(lambda report: sum(span.start for span in chunks(4, 1, report, "adding")), "sum")
    assert job.wait(5)
    assert (job.state, job.result, job.fraction, job.note, job.error) == ("done", 6, 1.0, "adding", None)
    assert job.seconds == job.seconds >= 0


def test_stopped_at_its_next_report() -> None:
    begun, go_on = threading.Event(), threading.Event()
    cleaned: list[bool] = []

    def work(report: Report) -> None:
        try:
            report(0.5, "half")
            begun.set()
            go_on.wait(5)
            report(0.6, "never seen")
        finally:
            cleaned.append(True)

    job = Job(work)
    assert begun.wait(5)
    assert job.state == "running"
    assert not job.wait(0)
    job.cancel()
    go_on.set()
    assert job.wait(5)
    assert (job.state, job.fraction, job.note, job.result, cleaned) == ("cancelled", 0.5, "half", None, [True])
    job.cancel()
    assert job.state == "cancelled"


@pytest.mark.parametrize("error", [BadImage("The file is empty.", "Take another."), KeyError("x")])
def test_failed_with_a_sentence(error: Exception) -> None:
    def work(report: Report) -> None:
        raise error

    job = Job(work)
    assert job.wait(5)
    assert job.state == "failed"
    assert job.error is not None
    known = isinstance(error, BadImage)
    assert job.error is error if known else str(job.error) == "KeyError: 'x' This is a defect; please report it."


def test_work_that_cancels_itself() -> None:
    def work(report: Report) -> None:
        raise Cancelled

    job = Job(work)
    assert job.wait(5)
    assert job.state == "cancelled"
