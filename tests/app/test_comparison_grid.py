"""A tile of the grid: its message in every state of its map, and how often that is encoded."""

import time
from collections.abc import Callable

import pytest
import torch

from core.cache import TensorCache
from core.card import Passes
from core.comparison import Comparison, about
from core.explain import EXPLAINERS, Snapshot
from core.figures import encoding
from core.images import decode
from core.progress import Counted, Progress
from core.workbench import Request, Workbench
from pages.ui.widgets import comparison_grid
from tests import nets
from tests.waiting import until


@pytest.fixture
def compare(photo: bytes) -> Callable[..., Comparison]:
    bench = Workbench(nets.model("gap"), TensorCache(1 << 26))
    return lambda *requests: Comparison(bench, about(decode(photo, "photo.png"), requests))


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
    shown.start(shown.tiles[:3])
    until(lambda: not shown.running)
    read, image, told = (comparison_grid.tile(shown, one)[0] for one in shown.tiles[:3])
    assert (read["layer"], image["layer"]) == (shown.bench.model.survey.default, "")
    assert (told["passes"], told["finished"]) == ("50 forward", True)
    error = shown.answers[shown.tiles[2].key].remarks["standard error"]
    assert told["remarks"]["standard error"] == f"{error:.4g}", "no more digits than mean something"
    assert comparison_grid.tile(shown, shown.tiles[3])[0]["cost"].endswith("2,500 forward")
    shown.snapshots[shown.tiles[3].key] = Snapshot(torch.rand(1, 32, 32), 0.25, Passes(640), settled=0.5)
    header, payload = comparison_grid.tile(shown, shown.tiles[3])
    assert (header["settled"], header["passes"]) == (0.5, "640 forward")
    assert len(payload) == 2 * 32 * 32


def test_a_running_tile_says_what_is_counted_and_the_time_left(compare: Callable[..., Comparison]) -> None:
    shown = compare(Request("occlusion", 0))
    (one,) = shown.tiles
    shown.bench.logits(one.picture)
    progress = shown.progress[one.key] = Progress()
    progress(0.0, Counted("windows occluded", 0, 169))
    header = comparison_grid.tile(shown, one)[0]
    assert (header["fraction"], header["doing"], header["left"]) == (0, "windows occluded 0 of 169", "")
    progress(12 / 169, Counted("windows occluded", 12, 169))
    progress._first = (time.monotonic() - 12, 0.0)
    header = comparison_grid.tile(shown, one)[0]
    assert (header["doing"], header["left"]) == ("windows occluded 12 of 169", "about 3 min left")
    shown.start([one])
    until(lambda: not shown.running)
    header = comparison_grid.tile(shown, one)[0]
    assert "doing" not in header
    assert header["passes"] == str(shown.passes([one]))


def test_maps_that_share_a_pass_say_so(compare: Callable[..., Comparison]) -> None:
    shown = compare(Request("grad_cam", 0), Request("saliency", 0), Request("random", 0))
    shown.bench.logits(shown.tiles[0].picture)
    shown.start(shown.tiles)
    until(lambda: not shown.running)
    told = [comparison_grid.tile(shown, one)[0]["passes"] for one in shown.tiles]
    assert told == ["1 forward + 1 backward", "reused", "no passes"]


def test_a_method_that_cannot_work_leaves_its_reason_in_the_tile(photo: bytes) -> None:
    requests = Request("guided_backprop", 0), Request("random", 0)
    bench = Workbench(nets.model("norelu"), TensorCache(1 << 26))
    shown = Comparison(bench, about(decode(photo, "photo.png"), requests))
    shown.start(shown.open())
    until(lambda: not shown.running)
    header, payload = comparison_grid.tile(shown, shown.tiles[0])
    assert (header["phase"], header["error"]) == ("failed", EXPLAINERS["guided_backprop"].unmet(shown.bench.model))
    assert header["hint"]
    assert not payload
    assert comparison_grid.tile(shown, shown.tiles[1])[0]["phase"] == "done"


def test_a_method_without_stored_relevance_says_how_to_store_it(photo: bytes) -> None:
    bench = Workbench(nets.model("gap"), TensorCache(1 << 26))
    shown = Comparison(bench, about(decode(photo, "photo.png"), (Request("vebi", 0),)))
    shown.start(shown.open())
    until(lambda: not shown.running)
    header, _ = comparison_grid.tile(shown, shown.tiles[0])
    assert (header["phase"], header["error"]) == ("failed", EXPLAINERS["vebi"].unmet(shown.bench.model))
    assert "vitrine units relevance gap --data FOLDER" in header["hint"]


def test_a_finished_map_is_encoded_once_while_others_run(
    compare: Callable[..., Comparison], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[object] = []
    quantised = encoding.quantised

    def counted(values):
        encoded.append(values)
        return quantised(values)

    monkeypatch.setattr(encoding, "quantised", counted)
    requests = Request("saliency", 0), Request("grad_cam", 0), Request("rise", 0, {"masks": 8000})
    shown = compare(*requests)
    shown.start(shown.tiles)
    until(lambda: shown.tiles[2].key in shown.snapshots)
    finished = [[comparison_grid.tile(shown, one) for one in shown.tiles[:2]] for _ in range(5)]
    assert shown.running
    assert len(encoded) == 2, "each of the two once, not at every look"
    assert all(look == finished[0] for look in finished)
    comparison_grid.tile(shown, shown.tiles[2])
    assert len(encoded) == 3, "the running map is another one at every look"
    shown.drop(shown.tiles[2].key)
    until(lambda: not shown.running)
    looks = [comparison_grid.tile(shown, shown.tiles[2]) for _ in range(3)]
    assert len(encoded) == 4, "so is the unfinished map that a stopped method leaves"
    assert not looks[0][0]["finished"]
    shown.answers[shown.tiles[0].key] = shown.answers[shown.tiles[1].key]
    assert comparison_grid.tile(shown, shown.tiles[0])[1] == finished[0][1][1], "another explanation, another message"
