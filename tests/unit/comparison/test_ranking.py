"""Rankings of methods and images at the steps of their curves, on small networks."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from core.cache import TensorCache
from core.comparison import Assessment, Comparison, MeasureRequest, Pair, Tile
from core.comparison.ranking import ranking, sheet
from core.comparison.steps import at_step, replacement
from core.images import decode
from core.measure import MEASURES
from core.measure.intervals import interval
from core.workbench import Request, Workbench
from tests import nets
from tests.waiting import until

DELETION, CURVE = MeasureRequest("deletion_auc", {"steps": 4}), MeasureRequest("deletion_curve", {"steps": 4})
POINTING, ENTROPY = MeasureRequest("pointing_game"), MeasureRequest("entropy")
NAMES = ("saliency", "occlusion", "random")


def assessed(
    photo: bytes, turned: bytes, *measures: MeasureRequest, names: tuple[str, ...] = NAMES, net: str = "gap"
) -> Assessment:
    """Finished maps and measures of two pictures."""
    bench = Workbench(nets.model(net), TensorCache(1 << 26))
    pictures = [decode(photo, "one.png"), decode(turned, "two.png")]
    shown = Comparison(bench, [Tile(one, Request(name, 0)) for one in pictures for name in names])
    shown.start(shown.open())
    until(lambda: not shown.running)
    found = Assessment(shown)
    found.start(found.open(measures))
    until(lambda: not found.running)
    return found


@pytest.fixture
def turned(photo: bytes) -> bytes:
    """The photo, upside down."""
    stream = io.BytesIO()
    ImageOps.flip(Image.open(io.BytesIO(photo))).save(stream, "PNG")
    return stream.getvalue()


def test_cells_are_means_over_the_images_in_the_order_of_the_methods(photo: bytes, turned: bytes) -> None:
    assessment = assessed(photo, turned, DELETION, CURVE)
    areas, curves = ranking(assessment, [DELETION, CURVE])
    assert [cell.method for cell in areas] == list(NAMES)
    for cell, curve in zip(areas, curves, strict=True):
        tiles = [tile for tile in assessment.comparison.tiles if tile.request.name == cell.method]
        numbers = [assessment.outcome(Pair(tile, DELETION)).result[0] for tile in tiles]
        assert cell.interval == interval(numbers)
        assert curve.interval == pytest.approx(interval(numbers))
        assert len(curve.curve.y) == 2
        assert (cell.pending, curve.pending) == (0, 0)
    means = [cell.interval.mean for cell in areas]
    assert [cell.rank for cell in areas] == [1 + sorted(means).index(mean) for mean in means]
    assert [bool(cell.warning) for cell in areas] == [False, True, False]


def test_the_best_is_first_whichever_end_is_better_and_equal_ones_share_a_rank(photo: bytes, turned: bytes) -> None:
    assessment = assessed(photo, turned, ENTROPY, names=("saliency", "random", "input_x_gradient"))
    (cells,) = ranking(assessment, [ENTROPY])
    best = min if MEASURES["entropy"].better == "lower" else max
    first = next(cell for cell in cells if cell.rank == 1)
    assert first.interval.mean == best(cell.interval.mean for cell in cells)


def test_undefined_and_missing_results_say_why(photo: bytes, turned: bytes) -> None:
    assessment = assessed(photo, turned, POINTING)
    pointing, deletion = ranking(assessment, [POINTING, DELETION])
    assert [cell.interval for cell in pointing] == [None] * 3
    assert [cell.undefined for cell in pointing] == [{"The image has no mask.": 2}] * 3
    assert [cell.rank for cell in pointing] == [None] * 3
    assert [cell.pending for cell in deletion] == [2] * 3
    table = sheet([pointing, deletion])
    assert len(table) == 6
    assert table["undefined"][0] == "The image has no mask. (2)"
    assert table["settings"][3] == "steps=4"
    assert table["value"].isna().all()


def test_a_method_that_failed_has_its_reason(photo: bytes, turned: bytes) -> None:
    assessment = assessed(photo, turned, DELETION, names=("saliency", "grad_cam"), net="linear")
    (cells,) = ranking(assessment, [DELETION])
    assert cells[1].interval is None
    assert sum(cells[1].undefined.values()) == 2


def test_the_image_at_a_step_has_the_score_of_the_curve(photo: bytes, turned: bytes) -> None:
    assessment = assessed(photo, turned, CURVE)
    shown = assessment.comparison
    change = replacement(CURVE)
    assert (change.direction, change.steps, change.fill) == ("deletion", 4, "grey")
    for tile in shown.tiles[:3]:
        curve = assessment.outcome(Pair(tile, CURVE)).result
        for step in range(5):
            found = at_step(shown.bench, tile, shown.answers[tile.key], change, step)
            assert found.score == pytest.approx(curve.y[0][step])
            (pixels,) = found.pictures.values()
            inputs = shown.bench.model.preprocess.tensor(pixels)[None]
            score = float(shown.bench.model.net(inputs).softmax(1)[0, 0])
            assert score == pytest.approx(found.score, abs=0.02), "its pixels have eight bits"
    grey = at_step(shown.bench, shown.tiles[0], shown.answers[shown.tiles[0].key], change, 4).pictures
    assert len(np.unique(next(iter(grey.values())).reshape(-1, 3), axis=0)) == 1
    whole = at_step(shown.bench, shown.tiles[0], shown.answers[shown.tiles[0].key], change, 0).pictures
    seen = shown.bench.seen(shown.tiles[0].picture)
    assert all(np.array_equal(whole[name], seen[name]) for name in seen)
    assert replacement(MeasureRequest("entropy")) is None


def test_the_image_at_a_step_takes_no_pass_of_its_own(
    photo: bytes, turned: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assessment = assessed(photo, turned, CURVE, names=("rise",))  # its values are measured from the smallest
    shown, change = assessment.comparison, replacement(CURVE)
    curve = assessment.outcome(Pair(shown.tiles[0], CURVE)).result
    monkeypatch.setattr("core.measure.replacement._outputs", None)
    found = at_step(shown.bench, shown.tiles[0], shown.answers[shown.tiles[0].key], change, 2)
    assert found.score == pytest.approx(curve.y[0][2])
