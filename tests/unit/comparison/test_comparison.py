"""A comparison at work: one request is stopped or taken out of the queue, and the others go on."""

import gc
import io
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from core.cache import TensorCache
from core.comparison import Comparison, Tile, about, affordable, facts
from core.errors import BadImage, VitrineError
from core.explain import Explanation
from core.images import Picture, decode, deferred
from core.workbench import Request, Workbench
from tests import nets
from tests.waiting import until

LONG = Request("rise", 0, {"masks": 2000})
SILENT = Request("occlusion", 0, {"stride": 2})  # has no running maps
LAST = Request("rise", 1, {"masks": 2500})


@pytest.fixture
def compare(photo: bytes) -> Callable[..., Comparison]:
    bench = Workbench(nets.model("gap"), TensorCache(1 << 26))
    return lambda *requests: Comparison(bench, about(decode(photo, "photo.png"), requests))


def of(shown: Comparison, request: Request) -> Tile:
    """The tile of a request."""
    return next(tile for tile in shown.tiles if tile.request == request)


def test_a_running_map_stays_unfinished_and_the_next_one_is_made(compare: Callable[..., Comparison]) -> None:
    shown = compare(LONG, LAST)
    shown.start(shown.tiles)
    until(lambda: of(shown, LONG).key in shown.snapshots)
    shown.drop(of(shown, LONG).key)
    until(lambda: not shown.running)
    stopped, whole = shown.answers[of(shown, LONG).key], shown.answers[of(shown, LAST).key]
    assert not stopped.finished
    assert 0 < stopped.forwards < 2000
    assert whole.finished
    assert shown.phase(of(shown, LONG)) == shown.phase(of(shown, LAST)) == "done"


def test_a_method_without_running_maps_ends_at_its_next_report(compare: Callable[..., Comparison]) -> None:
    shown = compare(SILENT, LAST)
    shown.start(shown.tiles)
    until(lambda: shown.current == of(shown, SILENT).key)
    shown.drop(of(shown, SILENT).key)
    assert shown.phase(of(shown, SILENT)) in {"running", "stopped"}
    until(lambda: not shown.running)
    assert of(shown, SILENT).key not in shown.answers
    assert shown.phase(of(shown, SILENT)) == "stopped"
    assert shown.answers[of(shown, LAST).key].finished
    assert shown.open() == (of(shown, SILENT),)
    shown.start(shown.open())
    until(lambda: not shown.running)
    assert shown.answers[of(shown, SILENT).key].finished


def test_a_queued_map_is_taken_out_and_may_be_asked_for_again(compare: Callable[..., Comparison]) -> None:
    shown = compare(LONG, LAST)
    shown.start(shown.tiles)
    until(lambda: shown.current == of(shown, LONG).key)
    assert shown.phase(of(shown, LAST)) == "queued"
    shown.drop(of(shown, LAST).key)
    assert shown.phase(of(shown, LAST)) == "waiting"
    until(lambda: not shown.running)
    assert list(shown.answers) == [of(shown, LONG).key]
    shown.start(shown.open())
    until(lambda: not shown.running)
    assert shown.answers[of(shown, LAST).key].finished


def test_stopping_everything_says_so_at_once(compare: Callable[..., Comparison]) -> None:
    shown = compare(LONG, LAST)
    shown.start(shown.tiles)
    until(lambda: of(shown, LONG).key in shown.snapshots)
    shown.drop(of(shown, LONG).key)
    shown.cancel()
    assert shown.stopping
    assert shown.phase(of(shown, LAST)) == "stopped"
    until(lambda: not shown.running)
    assert list(shown.answers) == [of(shown, LONG).key]


def test_an_answer_that_broke_stops_no_other(compare: Callable[..., Comparison], monkeypatch) -> None:
    shown = compare(SILENT, LAST)
    explain = shown.bench.explain

    def broken(picture, request, **rest):
        if request.name == "occlusion":
            raise ValueError("a defect")
        return explain(picture, request, **rest)

    monkeypatch.setattr(shown.bench, "explain", broken)
    shown.start(shown.tiles)
    until(lambda: not shown.running)
    assert isinstance(shown.answers[of(shown, SILENT).key], VitrineError)
    assert shown.answers[of(shown, LAST).key].finished
    assert f"--method {LAST.name} " in shown.command()  # what broke would break again


def test_equal_facts_are_equal_answers(compare: Callable[..., Comparison]) -> None:
    one, other = compare(LONG, LAST), compare(LONG, LAST)
    assert one.facts() == other.facts() == facts(one.bench, about(one.pictures[0], [LONG, LAST]))
    different = (compare(LAST, LONG), compare(LONG), compare(LONG, Request("rise", 1, {"masks": 2501})))
    assert all(one.facts() != found.facts() for found in different)
    assert one.facts() != facts(one.bench, about(one.pictures[0], [LONG, LAST]), seed=1)
    assert one.facts() != facts(one.bench, about(one.pictures[0], [LONG, replace(LAST, layer="features.2")]))


def test_maps_are_counted_as_they_come(compare: Callable[..., Comparison]) -> None:
    shown = compare(LONG, Request("saliency", 0), Request("saliency", 1))
    assert shown.count() == "maps 0 of 3"
    shown.start(shown.tiles)
    assert shown.job
    until(lambda: of(shown, LONG).key in shown.snapshots)
    assert shown.job.count == shown.count() == "maps 2 of 3"
    shown.cancel()
    until(lambda: not shown.running)
    assert shown.count() == "maps 3 of 3", "what was stopped is a map too"


def test_a_finished_comparison_is_held_by_no_thread(compare: Callable[..., Comparison]) -> None:
    shown = compare(Request("saliency", 0))
    shown.start(shown.tiles)
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
    shown = Comparison(bench, about(picture, [finished, request]))
    slow.pause = 0.01
    shown.start(shown.tiles)
    until(lambda: len(slow.moments) > moments)
    pressed = len(slow.moments)
    shown.cancel()
    until(lambda: not shown.running)
    assert len(slow.moments) - pressed < 1 / slow.pause
    assert len(slow.moments) % 200 != 0, "in the midst of a pass"
    assert of(shown, request).key not in shown.answers
    if phase != "measurement":
        assert isinstance(shown.answers[of(shown, finished).key], Explanation), "what is finished is kept"


def test_a_running_map_tells_what_it_counts(compare: Callable[..., Comparison]) -> None:
    shown = compare(SILENT, LAST)
    shown.start(shown.tiles)
    seen: dict[str, set[str]] = {tile.key: set() for tile in shown.tiles}

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
    assert "2,500" in seen[of(shown, LAST).key]
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


def gradients(bench: Workbench, picture: Picture, target: int) -> Tensor:
    """The saliency map of a picture, computed without the workbench."""
    tensor = bench.model.preprocess.tensor(bench.model.preprocess.view(picture.pixels))[None].requires_grad_()
    bench.model.net(tensor)[0, target].backward()
    assert tensor.grad is not None
    return tensor.grad.abs().amax(1)


def test_every_picture_gets_its_own_map_of_its_own_class() -> None:
    bench, pictures = Workbench(nets.model("norelu"), TensorCache(1 << 26)), [noise(seed) for seed in range(4)]
    tiles = [Tile(picture, Request("saliency", bench.target(picture))) for picture in pictures]
    assert len({tile.request.target for tile in tiles}) > 1, "else one class could stand for all"
    shown = Comparison(bench, tiles, predicted=True)
    shown.start(shown.open())
    until(lambda: not shown.running)
    assert [picture.sha for picture in shown.pictures] == [picture.sha for picture in pictures]
    assert shown.count() == "maps 4 of 4"
    for picture, request in tiles:
        found = shown.answers[Tile(picture, request).key]
        assert torch.allclose(found.maps, gradients(bench, picture, request.target.index), atol=1e-6)
    assert shown.command() == (
        "vitrine explain 0.png 1.png 2.png 3.png --model norelu --method saliency --seed 0 --out out"
    )
    assert " --target " in Comparison(bench, tiles[:1], predicted=True).command_of(tiles[:1])
    alike = {picture.sha: 2 for picture in pictures}
    assert " --label 2 " in shown.command(alike)
    assert "--label" not in shown.command({**alike, pictures[0].sha: 1}), "one option cannot say two classes"
    assert "--label" not in shown.command({pictures[0].sha: 2})


def test_one_request_about_several_pictures_is_not_mixed_up() -> None:
    bench, request = Workbench(nets.model("gap"), TensorCache(1 << 26)), Request("saliency", 2)
    shown = Comparison(bench, [Tile(noise(seed), request) for seed in range(3)])
    shown.start(shown.open())
    until(lambda: not shown.running)
    maps = [shown.answers[tile.key].maps for tile in shown.tiles]
    assert not torch.equal(maps[0], maps[1])
    assert [len(answers) for _, answers in shown.by_picture()] == [1, 1, 1]
    assert "--target 2 " in shown.command()
    assert shown.facts() != facts(bench, shown.tiles[::-1])
    again = Comparison(bench, shown.tiles)
    assert not again.open(), "what is cached is not computed again"


def test_a_stop_keeps_the_maps_of_the_pictures_before_it() -> None:
    bench, request = Workbench(nets.model("gap"), TensorCache(1 << 26)), Request("rise", 0, {"masks": 2000})
    shown = Comparison(bench, [Tile(noise(seed), request) for seed in range(3)])
    first, second, third = shown.tiles
    shown.start(shown.open())
    until(lambda: second.key in shown.snapshots)
    shown.cancel()
    until(lambda: not shown.running)
    assert shown.answers[first.key].finished
    assert not shown.answers[second.key].finished
    assert shown.phase(third) == "stopped"
    assert shown.open() == (third,)


def test_a_picture_that_cannot_be_read_any_more_stops_no_other() -> None:
    bench, request = Workbench(nets.model("gap"), TensorCache(1 << 26)), Request("saliency", 0)
    files = {"gone": noise(0), "kept": noise(1)}
    gone, kept = (deferred(lambda name=name: found(files, name)) for name in files)
    del files["gone"]
    shown = Comparison(bench, [Tile(gone, request), Tile(kept, request)])
    shown.start(shown.open())
    until(lambda: not shown.running)
    first, second = shown.tiles
    assert (shown.phase(first), shown.phase(second)) == ("failed", "done")
    assert "gone is gone" in str(shown.answers[first.key])


def found(files: Mapping[str, Picture], name: str) -> Picture:
    if name not in files:
        raise BadImage(f"{name} is gone.")
    return files[name]


def noise(seed: int) -> Picture:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    pixels[..., seed % 3] = 0  # else all would be of the same class
    Image.fromarray(pixels).save(stream, "PNG")
    return decode(stream.getvalue(), f"{seed}.png")
