"""A comparison at work: one tile is stopped or taken out of the queue, and the others go on."""

import time
from collections.abc import Callable

import pytest
import torch

from core.cache import TensorCache
from core.errors import VitrineError
from core.explain import EXPLAINERS, Snapshot
from core.images import decode
from core.workbench import Request, Workbench
from pages.ui.session.jobs import Comparison
from pages.ui.widgets import comparison_grid
from tests import nets

LONG = Request("rise", 0, {"masks": 2000})
SILENT = Request("occlusion", 0, {"stride": 2})  # has no running maps
LAST = Request("rise", 1, {"masks": 2500})


@pytest.fixture
def compare(photo: bytes) -> Callable[..., Comparison]:
    bench = Workbench(nets.model("gap"), TensorCache(1 << 26))
    return lambda *requests: Comparison(bench, decode(photo, "photo.png"), requests)


def until(check: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not check() and time.monotonic() < end:
        time.sleep(0.001)
    assert check()


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


def test_a_tile_says_where_its_map_was_read_what_it_took_and_how_settled_it_is(
    compare: Callable[..., Comparison],
) -> None:
    requests = (
        Request("grad_cam", 0),
        Request("saliency", 0),
        Request("rise", 0, {"masks": 50}),
        Request("rise", 1, {"masks": 2500}),
    )
    shown = compare(*requests)
    shown.start(requests[:3])
    until(lambda: not shown.running)
    read, image, told = (comparison_grid.tile(shown, request)[0] for request in requests[:3])
    assert (read["layer"], image["layer"]) == (shown.bench.model.survey.default, "")
    assert (told["passes"], told["finished"]) == (50, True)
    error = shown.answers[requests[2].key].remarks["standard error"]
    assert told["remarks"]["standard error"] == f"{error:.4g}", "no more digits than mean something"
    assert comparison_grid.tile(shown, requests[3])[0]["cost"].endswith("2,500 model passes")
    shown.snapshots[requests[3].key] = Snapshot(torch.rand(1, 32, 32), fraction=0.25, forwards=640, settled=0.5)
    header, payload = comparison_grid.tile(shown, requests[3])
    assert (header["fraction"], header["settled"], header["passes"]) == (0.25, 0.5, 640)
    assert len(payload) == 2 * 32 * 32


def test_a_method_that_cannot_work_leaves_its_reason_in_the_tile(photo: bytes) -> None:
    requests = Request("guided_backprop", 0), Request("random", 0)
    shown = Comparison(Workbench(nets.model("norelu"), TensorCache(1 << 26)), decode(photo, "photo.png"), requests)
    shown.start(shown.open())
    until(lambda: not shown.running)
    header, payload = comparison_grid.tile(shown, requests[0])
    assert (header["phase"], header["error"]) == ("failed", EXPLAINERS["guided_backprop"].unmet(shown.bench.model))
    assert header["hint"]
    assert not payload
    assert comparison_grid.tile(shown, requests[1])[0]["phase"] == "done"
