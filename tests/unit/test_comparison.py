"""A comparison at work: one request is stopped or taken out of the queue, and the others go on."""

import gc
import time
import weakref
from collections.abc import Callable

import pytest

from core.cache import TensorCache
from core.comparison import Comparison, affordable, facts
from core.errors import VitrineError
from core.explain import Explanation
from core.images import decode
from core.workbench import Request, Workbench
from tests import nets
from tests.waiting import until

LONG = Request("rise", 0, {"masks": 2000})
SILENT = Request("occlusion", 0, {"stride": 2})  # has no running maps
LAST = Request("rise", 1, {"masks": 2500})


@pytest.fixture
def compare(photo: bytes) -> Callable[..., Comparison]:
    bench = Workbench(nets.model("gap"), TensorCache(1 << 26))
    return lambda *requests: Comparison(bench, decode(photo, "photo.png"), requests)


def test_a_running_map_stays_unfinished_and_the_next_one_is_made(compare: Callable[..., Comparison]) -> None:
    shown = compare(LONG, LAST)
    shown.start(shown.requests)
    until(lambda: LONG.key in shown.snapshots)
    shown.drop(LONG.key)
    until(lambda: not shown.running)
    stopped, whole = shown.answers[LONG.key], shown.answers[LAST.key]
    assert not stopped.finished
    assert 0 < stopped.forwards < 2000
    assert whole.finished
    assert shown.phase(LONG) == shown.phase(LAST) == "done"


def test_a_method_without_running_maps_ends_at_its_next_report(compare: Callable[..., Comparison]) -> None:
    shown = compare(SILENT, LAST)
    shown.start(shown.requests)
    until(lambda: shown.current == SILENT.key)
    shown.drop(SILENT.key)
    assert shown.phase(SILENT) in {"running", "stopped"}
    until(lambda: not shown.running)
    assert SILENT.key not in shown.answers
    assert shown.phase(SILENT) == "stopped"
    assert shown.answers[LAST.key].finished
    assert shown.open() == (SILENT,)
    shown.start(shown.open())
    until(lambda: not shown.running)
    assert shown.answers[SILENT.key].finished


def test_a_queued_map_is_taken_out_and_may_be_asked_for_again(compare: Callable[..., Comparison]) -> None:
    shown = compare(LONG, LAST)
    shown.start(shown.requests)
    until(lambda: shown.current == LONG.key)
    assert shown.phase(LAST) == "queued"
    shown.drop(LAST.key)
    assert shown.phase(LAST) == "waiting"
    until(lambda: not shown.running)
    assert list(shown.answers) == [LONG.key]
    shown.start(shown.open())
    until(lambda: not shown.running)
    assert shown.answers[LAST.key].finished


def test_stopping_everything_says_so_at_once(compare: Callable[..., Comparison]) -> None:
    shown = compare(LONG, LAST)
    shown.start(shown.requests)
    until(lambda: LONG.key in shown.snapshots)
    shown.drop(LONG.key)
    shown.cancel()
    assert shown.stopping
    assert shown.phase(LAST) == "stopped"
    until(lambda: not shown.running)
    assert list(shown.answers) == [LONG.key]


def test_an_answer_that_broke_stops_no_other(compare: Callable[..., Comparison], monkeypatch) -> None:
    shown = compare(SILENT, LAST)
    explain = shown.bench.explain

    def broken(picture, request, **rest):
        if request.name == "occlusion":
            raise ValueError("a defect")
        return explain(picture, request, **rest)

    monkeypatch.setattr(shown.bench, "explain", broken)
    shown.start(shown.requests)
    until(lambda: not shown.running)
    assert isinstance(shown.answers[SILENT.key], VitrineError)
    assert shown.answers[LAST.key].finished
    assert f"--method {LAST.name} " in shown.command()  # what broke would break again


def test_equal_facts_are_equal_answers(compare: Callable[..., Comparison]) -> None:
    one, other = compare(LONG, LAST), compare(LONG, LAST)
    assert one.facts() == other.facts() == facts(one.bench, one.picture, [LONG, LAST])
    different = (compare(LAST, LONG), compare(LONG), compare(LONG, Request("rise", 1, {"masks": 2501})))
    assert all(one.facts() != found.facts() for found in different)
    assert one.facts() != facts(one.bench, one.picture, [LONG, LAST], seed=1)
    assert one.facts() != facts(one.bench, one.picture, [LONG, LAST], layer="conv1")


def test_maps_are_counted_as_they_come(compare: Callable[..., Comparison]) -> None:
    shown = compare(LONG, Request("saliency", 0), Request("saliency", 1))
    assert shown.count() == "maps 0 of 3"
    shown.start(shown.requests)
    assert shown.job
    until(lambda: LONG.key in shown.snapshots)
    assert shown.job.count == shown.count() == "maps 2 of 3"
    shown.cancel()
    until(lambda: not shown.running)
    assert shown.count() == "maps 3 of 3", "what was stopped is a map too"


def test_a_finished_comparison_is_held_by_no_thread(compare: Callable[..., Comparison]) -> None:
    shown = compare(Request("saliency", 0))
    shown.start(shown.requests)
    job = shown.job
    assert job
    assert job.wait(60)
    held = weakref.ref(shown)
    del shown
    gc.collect()
    assert held() is None
    assert job.state == "done"


@pytest.fixture
def slow() -> nets.Slow:
    """A network whose passes take two seconds, forward and backward, once `pause` is set."""
    net = nets.seeded(nets.Slow)
    assert isinstance(net, nets.Slow)
    return net


@pytest.mark.parametrize(("phase", "moments"), [("measurement", 20), ("forward", 20), ("backward", 220)])
def test_the_midst_of_a_long_pass_is_left_within_a_second(
    slow: nets.Slow, photo: bytes, monkeypatch: pytest.MonkeyPatch, phase: str, moments: int
) -> None:
    bench = Workbench(nets.model(slow), TensorCache(1 << 26))
    picture, finished, request = decode(photo, "photo.png"), Request("random", 0), Request("saliency", 0)
    bench.logits(picture)
    if phase != "measurement":
        bench.estimate([request])  # measures its speed
    shown = Comparison(bench, picture, [finished, request])
    slow.pause = 0.01
    shown.start(shown.requests)
    until(lambda: len(slow.moments) > moments)
    pressed = time.monotonic()
    shown.cancel()
    until(lambda: not shown.running)
    assert time.monotonic() - pressed < 1
    assert len(slow.moments) % 200 != 0, "in the midst of a pass"
    assert request.key not in shown.answers
    if phase != "measurement":
        assert isinstance(shown.answers[finished.key], Explanation), "what is finished is kept"


def test_a_running_map_tells_what_it_counts(compare: Callable[..., Comparison]) -> None:
    shown = compare(SILENT, LAST)
    shown.start(shown.requests)
    seen: dict[str, set[str]] = {SILENT.key: set(), LAST.key: set()}

    def watched() -> bool:
        for key, progress in list(shown.progress.items()):
            seen[key].add(progress.note.partition(" of ")[2])
            assert 0 <= progress.fraction <= 1
        job = shown.job
        assert job
        notes.add(job.note.partition(":")[0])
        return not shown.running

    notes: set[str] = set()
    until(watched)
    assert "2,500" in seen[LAST.key]
    assert {"RISE", "Occlusion"} <= notes, "the line of all maps names the method"
    assert not shown.progress


def test_what_is_affordable_is_the_cheapest_within_the_time(
    compare: Callable[..., Comparison], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = compare().bench
    monkeypatch.setattr(bench, "estimate", lambda requests: bench.passes(requests).weight / 1000)
    requests = [Request("rise", 0, {"masks": masks}) for masks in (3000, 500, 1000)]
    assert affordable(bench, requests, 1.6) == [requests[1], requests[2]]
    assert affordable(bench, requests, 0.1) == []
    assert affordable(bench, requests, 9) == [requests[1], requests[2], requests[0]]
