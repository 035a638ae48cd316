"""Measures of the maps of a comparison: computed once, in the background, one failure apart from the others."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from core.cache import TensorCache
from core.comparison import (
    Assessment,
    Comparison,
    Context,
    MeasureRequest,
    Pair,
    about,
    assess,
    measure_passes,
    recalled,
)
from core.data.masks import ObjectMask
from core.errors import BadParameter
from core.explain import EXPLAINERS
from core.images import decode
from core.measure import Evidence, Undefined, evaluate
from core.measure.agreement import spearman
from core.measure.measure import MEASURES
from core.measure.protocol import protocol_warning
from core.models import load
from core.workbench import Request, Workbench
from tests import nets
from tests.waiting import until

SALIENCY, ABLATION, OTHER = Request("saliency", 0), Request("occlusion", 0), Request("input_x_gradient", 1)
DELETION, AGREEMENT = MeasureRequest("deletion_auc", {"steps": 4}), MeasureRequest("agreement")
POINTING, SEEDS = MeasureRequest("pointing_game"), MeasureRequest("seed_stability", {"seeds": 2})


@pytest.fixture
def compare(photo: bytes) -> Callable[..., Comparison]:
    """A finished comparison of these requests."""
    bench = Workbench(nets.model("gap"), TensorCache(1 << 26))

    def finished(*requests: Request) -> Comparison:
        shown = Comparison(bench, about(decode(photo, "photo.png"), requests))
        shown.start(shown.open())
        until(lambda: not shown.running)
        return shown

    return finished


def finished(assessment: Assessment, *measures: MeasureRequest) -> Assessment:
    assessment.start(assessment.open(measures))
    until(lambda: not assessment.running)
    return assessment


def number(assessment: Assessment, tile: int, measure: MeasureRequest) -> float:
    return assessment.outcome(Pair(assessment.comparison.tiles[tile], measure)).result[0]


def test_every_map_gets_the_number_that_the_measure_gives(compare: Callable[..., Comparison]) -> None:
    shown = compare(SALIENCY, ABLATION)
    assessment = finished(Assessment(shown), DELETION, AGREEMENT)
    first, second = (shown.answers[tile.key] for tile in shown.tiles)
    query = shown.bench.query(shown.tiles[0].picture, SALIENCY.target)
    for tile, (one, other) in enumerate(((first, second), (second, first))):
        evidence = Evidence(query, one.maps, others={"other": other.maps})
        assert number(assessment, tile, DELETION) == evaluate("deletion_auc", evidence, {"steps": 4}).result[0]
        assert number(assessment, tile, AGREEMENT) == evaluate("agreement", evidence).result[0]
    assert number(assessment, 0, DELETION) != number(assessment, 1, DELETION)


def test_a_later_comparison_finds_what_was_measured(compare: Callable[..., Comparison]) -> None:
    shown = compare(SALIENCY, ABLATION)
    earlier = finished(Assessment(shown), DELETION, AGREEMENT)
    later = Assessment(compare(SALIENCY, ABLATION, Request("grad_cam", 0)))
    assert number(later, 0, DELETION) == number(earlier, 0, DELETION)
    missing = {(pair.tile.request.name, pair.measure.name) for pair in later.open([DELETION, AGREEMENT])}
    agreements = {(name, "agreement") for name in ("saliency", "occlusion", "grad_cam")}
    assert missing == agreements | {("grad_cam", "deletion_auc")}, "agreement depends on the other maps"


def test_maps_of_other_targets_are_no_others(compare: Callable[..., Comparison]) -> None:
    shown = compare(SALIENCY, OTHER)
    assessment = Assessment(shown)
    assert not assessment.context(Pair(shown.tiles[0], AGREEMENT)).others
    assert isinstance(number(finished(assessment, AGREEMENT), 0, AGREEMENT), Undefined)


def test_what_needs_a_mask_says_so_without_one(compare: Callable[..., Comparison]) -> None:
    shown = compare(SALIENCY)
    size = shown.bench.model.preprocess.size
    without = number(finished(Assessment(shown), POINTING), 0, POINTING)
    assert isinstance(without, Undefined)
    assert "mask" in without.reason
    annotation = ObjectMask(np.ones(size, bool), np.empty((0, 4)))
    known = Assessment(shown, {shown.tiles[0].picture.key: annotation})
    assert known.outcome(Pair(shown.tiles[0], POINTING)) is None, "another mask is another question"
    assert number(finished(known, POINTING), 0, POINTING) == 1.0
    finished(known, DELETION)
    known.annotations = {}
    assert number(known, 0, DELETION) == number(finished(Assessment(shown), DELETION), 0, DELETION)
    assert known.outcome(Pair(shown.tiles[0], DELETION)), "it needs no mask, so it stays"
    assert isinstance(number(known, 0, POINTING), Undefined)


def test_a_measure_that_fails_leaves_the_others(compare: Callable[..., Comparison]) -> None:
    wrong = MeasureRequest("deletion_auc", {"steps": 4, "features": "tiles"})
    shown = compare(SALIENCY)
    assessment = finished(Assessment(shown), wrong, DELETION)
    assert isinstance(assessment.outcome(Pair(shown.tiles[0], wrong)), BadParameter)
    assert 0 <= number(assessment, 0, DELETION) <= 1
    assert assessment.count() == "measures 2 of 2"
    assert not assessment.open([wrong, DELETION])


def test_a_cancelled_assessment_keeps_what_is_finished(compare: Callable[..., Comparison]) -> None:
    long = MeasureRequest("seed_stability", {"seeds": 50})
    assessment = Assessment(compare(SALIENCY, Request("rise", 0, {"masks": 800})))
    rise = Pair(assessment.comparison.tiles[1], long)
    assessment.start([Pair(assessment.comparison.tiles[0], DELETION), rise])
    until(lambda: assessment.current == rise.key)
    assessment.cancel()
    until(lambda: not assessment.running)
    assert 0 <= number(assessment, 0, DELETION) <= 1
    assert assessment.outcome(rise) is None


def test_passes_are_those_that_are_made(compare: Callable[..., Comparison]) -> None:
    shown = compare(SALIENCY)
    tile = shown.tiles[0]
    fresh = Workbench(shown.bench.model, TensorCache(1 << 26))
    made = []
    for measure in (DELETION, SEEDS):
        explanation = fresh.explain(tile.picture, tile.request)
        query = fresh.query(tile.picture, tile.request.target)
        again = lambda changed: fresh.explain(tile.picture, tile.request).maps  # noqa: E731
        evaluate(measure.name, Evidence(query, explanation.maps, explain_again=again), measure.settings)
        made.append(query.log.passes.weight)
    assert measure_passes(fresh, SALIENCY, DELETION).weight == pytest.approx(made[0], abs=1)
    method = EXPLAINERS["saliency"].passes({}, 64).weight
    assert measure_passes(fresh, SALIENCY, SEEDS).weight == pytest.approx(2 * method)


def test_the_method_runs_again_with_its_settings(compare: Callable[..., Comparison]) -> None:
    request = Request("smoothgrad", 0, {"samples": 2})
    shown = compare(request)
    tile, explanation = shown.tiles[0], shown.answers[shown.tiles[0].key]
    found = assess(shown.bench, tile, explanation, SEEDS)
    again = [shown.bench.explain(tile.picture, request, seed=seed).maps[0].double() for seed in (1, 2)]
    assert -1 <= found.result[0] < 1
    assert not torch.equal(again[0], again[1])
    assert recalled(shown.bench, tile, explanation, SEEDS) is found
    assert recalled(shown.bench, tile, explanation, DELETION, Context()) is None


def test_measures_that_a_method_optimises_are_marked() -> None:
    assert "RISE" in protocol_warning("deletion_auc", "rise")
    assert protocol_warning("occlusion_correlation", "score_cam")
    assert not protocol_warning("deletion_auc", "grad_cam")
    assert not protocol_warning("auc_iou", "rise")
    marked = {name for name in EXPLAINERS if protocol_warning("infidelity", name)}
    assert {"lime_image", "occlusion", "extremal_perturbation"} <= marked
    assert {MEASURES[name].family for name in MEASURES if protocol_warning(name, "rise")} == {"faithfulness"}


def test_a_method_of_several_layers_runs_again(photo: bytes) -> None:
    bench = Workbench(load("flowers-double-12c"), TensorCache(1 << 28))
    shown = Comparison(bench, about(decode(photo, "photo.png"), [Request("layerwise_ixg", 0)]))
    shown.start(shown.open())
    until(lambda: not shown.running)
    assert number(finished(Assessment(shown), SEEDS), 0, SEEDS) == pytest.approx(1), "there is no randomness in it"


def test_agreement_is_with_maps_of_their_layer(photo: bytes) -> None:
    bench = Workbench(load("flowers-double-12c"), TensorCache(1 << 28))
    found = []
    for layer in ("relu3", "relu4"):
        tiles = about(decode(photo, "photo.png"), [SALIENCY, Request("grad_cam", 0, layer=layer)])
        shown = Comparison(bench, tiles)
        shown.start(shown.open())
        until(lambda shown=shown: not shown.running)
        maps = [shown.answers[tile.key].maps[0].numpy() for tile in tiles]
        assert number(finished(Assessment(shown), AGREEMENT), 0, AGREEMENT) == pytest.approx(
            spearman(np.stack(maps))[0, 1]
        )
        found.append(number(Assessment(shown), 0, AGREEMENT))
    assert found[0] != found[1]
