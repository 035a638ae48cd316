"""Targets that are more than a class: every method explains them, and linear ones as the sum of their parts."""

from dataclasses import replace

import pytest
import torch

from core.errors import BadParameter, Unsupported
from core.explain import EXPLAINERS, explain
from core.explain.execution import Prefetch
from core.explain.targets import Classes, Difference, Groups, Units
from tests import nets

LAYER = "features.5"
LINEAR = [  # in the score: the map of a difference is the difference of the maps
    ("occlusion", {"score": "logit"}),
    ("feature_ablation", {"score": "logit"}),
    ("input_x_gradient", {}),
    ("integrated_gradients", {"steps": 4}),
    ("gradient_shap", {"samples": 4}),
    ("layerwise_ixg", {}),
    ("rise", {"masks": 60, "score": "logit"}),
    ("kernel_shap", {"samples": 120, "score": "logit"}),
    ("lrp", {}),
]


def classes(*indices):
    return Classes(torch.tensor(indices))


def units(*indices, layer=LAYER):
    return Units(torch.tensor(indices), layer)


PAIRS = [(classes(1, 4), classes(0, 2)), (units(1, 4), units(0, 2))]


@pytest.mark.parametrize("pair", PAIRS, ids=["classes", "units"])
def test_scores_and_gradients_of_a_difference_are_differences(pair):
    query = nets.query("gap")
    query.net.double()
    query = replace(query, images=query.images.double())
    for kind in ("logit", "logprob"):
        scores = [query.score(query.images, target, kind) for target in (*pair, Difference(*pair))]
        assert torch.allclose(scores[2], scores[0] - scores[1], rtol=0, atol=1e-12)
        assert scores[2].abs().min() > 0
        slopes = [query.gradient(query.images, target, kind) for target in (*pair, Difference(*pair))]
        assert torch.allclose(slopes[2], slopes[0] - slopes[1], rtol=0, atol=1e-12)
        assert slopes[2].abs().max() > 0


@pytest.mark.parametrize("pair", PAIRS, ids=["classes", "units"])
def test_one_recording_of_a_difference_is_the_difference_of_two(pair):
    one, other, both = (nets.query("gap").with_targets(target) for target in (*pair, Difference(*pair)))
    recording, first, second = both.forward_backward(), one.forward_backward(), other.forward_backward()
    for layer, slope in recording.slopes.items():
        assert torch.allclose(slope, first.slopes[layer] - second.slopes[layer], atol=1e-6)
    assert recording.slopes[""].any()
    assert torch.allclose(both.clean_scores(), one.clean_scores() - other.clean_scores(), atol=1e-6)


@pytest.mark.parametrize(("name", "settings"), LINEAR)
@pytest.mark.parametrize("pair", PAIRS, ids=["classes", "units"])
def test_a_linear_map_of_a_difference_is_the_difference_of_the_maps(name, settings, pair):
    query = nets.query("gap", seed=3)
    first, second, both = (
        explain(name, query.with_targets(target).fresh(), settings).maps for target in (*pair, Difference(*pair))
    )
    if EXPLAINERS[name].offset:  # a mean over visible pixels, linear as it is
        assert both.min() < 0
    scale = float(both.abs().max())
    assert scale > 0
    assert torch.allclose(both, first - second, rtol=0, atol=1e-3 * scale)


def test_windows_of_a_difference():
    query = nets.query("gap")
    boxes, fill = torch.tensor([[0, 0, 8, 8], [12, 20, 8, 8]]), torch.zeros_like(query.images[:1])
    scores = [
        query.with_targets(target).windows(boxes, fill, "logprob") for target in (*PAIRS[0], Difference(*PAIRS[0]))
    ]
    assert torch.allclose(scores[2], scores[0] - scores[1], atol=1e-6)


def test_a_difference_is_cached_apart_from_its_classes_and_from_its_opposite():
    query, (one, other) = nets.query("gap"), PAIRS[0]
    targets = [one, other, Difference(one, other), Difference(other, one), units(1, 4), units(1, 4, layer="features.2")]
    assert len({query.with_targets(target).key for target in targets}) == len(targets)
    assert query.with_targets(Difference(one, other)).key == query.with_targets(Difference(one, other)).key
    there = explain("saliency", query.with_targets(Difference(one, other))).maps
    back = explain("input_x_gradient", query.with_targets(Difference(other, one))).maps
    assert torch.allclose(back, -explain("input_x_gradient", query.with_targets(Difference(one, other))).maps)
    assert not torch.equal(there, explain("saliency", query.with_targets(one)).maps)


def test_a_difference_and_its_classes_share_the_forward():
    one, other = PAIRS[0]
    query = nets.query("gap", prefetch=Prefetch((one, other, Difference(one, other), units(1, 4))))
    for target in (one, other, Difference(one, other), units(1, 4)):
        query.with_targets(target).forward_backward()
    alone = nets.query("gap").with_targets(Difference(one, other)).forward_backward()
    assert torch.equal(query.with_targets(Difference(one, other)).forward_backward().slopes[""], alone.slopes[""])
    unit = nets.query("gap").with_targets(units(1, 4)).forward_backward()
    assert torch.equal(query.with_targets(units(1, 4)).forward_backward().slopes[""], unit.slopes[""])
    assert query.log.forwards == 2, "nets.query asks about class 1 and images are two; all of it is one forward"


GROUP = Groups(torch.tensor([[1, 3, 4], [0, 2, 4]]))
SUMS = {"softmax": lambda z: z.softmax(1), "multilabel": lambda z: z.sigmoid(), "regression": lambda z: z}


@pytest.mark.parametrize("output", SUMS)
def test_scores_of_groups_and_differences_by_hand(output):
    logits = torch.randn(2, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    chances = SUMS[output](logits)
    rows = torch.arange(2)
    sums = torch.stack([chances[0, [1, 3, 4]].sum(), chances[1, [0, 2, 4]].sum()])
    logs = sums if output == "regression" else sums.log()
    assert torch.equal(GROUP.score(logits, "prob", output), sums)
    assert torch.allclose(GROUP.score(logits, "logprob", output), logs, rtol=0, atol=1e-12)
    by_logit = torch.stack([logits[0, [1, 3, 4]].sum(), logits[1, [0, 2, 4]].sum()])
    assert torch.allclose(GROUP.score(logits, "logit", output), by_logit)
    rather = classes(0, 1)
    other = chances[rows, rather.indices]
    odds = logs - (other if output == "regression" else other.log())
    for kind in ("prob", "logprob"):
        assert torch.allclose(Difference(GROUP, rather).score(logits, kind, output), odds, rtol=0, atol=1e-12)
    two = Difference(classes(1, 4), rather)
    if output == "softmax":
        between = logits[rows, [1, 4]] - logits[rows, rather.indices]
        assert torch.allclose(two.score(logits, "prob", output), between), "the log-odds are the difference of logits"
    with pytest.raises(Unsupported, match="no lead over"):
        GROUP.score(logits, "margin", output)


def test_log_odds_say_more_than_probabilities_that_are_both_nearly_zero():
    logits = torch.tensor([[60.0, 1.0, -1.0]])
    score = Difference(classes(1), classes(2)).score(logits, "prob")
    assert float(score) == pytest.approx(2)


def test_targets_that_do_not_go_together():
    for pair in [(classes(1), units(1)), (units(1), units(1, layer="features.2")), (classes(1), classes(1, 2))]:
        with pytest.raises(BadParameter, match="two targets of the same images and outputs"):
            Difference(*pair)
    query = nets.query("gap").with_targets(Difference(*PAIRS[0]))
    with pytest.raises(Unsupported, match="no lead over"):
        query.score(query.images, query.targets, "margin")
    with pytest.raises(Unsupported, match="no other classes"):
        explain("extremal_perturbation", query, {"contrast": True})


def test_targets_of_some_images_and_of_copies():
    groups = Groups(torch.tensor([[1, 3], [0, 2], [4, 0]]))
    for target in (classes(1, 4, 2), units(1, 4, 2), groups, Difference(groups, classes(1, 4, 2))):
        assert len(target) == 3
        assert target[1:].key == target[[1, 2]].key == target[torch.tensor([1, 2])].key != target.key
        assert target.repeated(1, 2).key == target[[1, 1]].key
        assert target.to("cpu").key == target.key
        assert target[:1].layer == target.layer


def test_a_tensor_stands_for_classes():
    query = nets.query("gap")
    assert replace(query, targets=torch.tensor([1, 4])).key == query.with_targets(classes(1, 4)).key
