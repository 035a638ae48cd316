"""One forward for many maps: what is shared, what is recorded anew, and that sharing changes nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.cache import TensorCache
from core.card import Passes
from core.explain import EXPLAINERS, explain
from core.explain.execution import Prefetch
from core.explain.method import FORWARD_BACKWARD
from core.explain.targets import Classes
from core.images import Picture
from core.models import load
from core.workbench import Request, Workbench, pass_seconds
from tests import nets

WHITE_BOX = [
    "saliency", "input_x_gradient", "cam", "grad_cam", "grad_cam_pp", "layer_cam", "hires_cam", "xgrad_cam",
    "layerwise_ixg", "upsampled_activation",
]  # fmt: skip


RULES = ("plain", "guided", "deconvnet")


def classes(index, count=1):
    return Classes(torch.full((count,), index))


@pytest.fixture
def forwards():
    """A model and the list of batch sizes that went through its network."""
    model, seen = nets.model("gap"), []
    model.net.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    return model, seen


def test_ten_maps_from_one_forward_and_one_backward(forwards):
    model, seen = forwards
    query = nets.query(model, count=1, prefetch=Prefetch(layers=model.survey.stages[1:]))
    for name in WHITE_BOX:
        explain(name, query)
    assert seen == [1]
    assert query.log.backwards == 1


@pytest.mark.parametrize("first", ["grad_cam", "guided_backprop", "deconvnet"])
def test_guided_and_deconvnet_add_one_backward_each(forwards, first):
    model, seen = forwards
    both = (classes(0), classes(1))
    query = nets.query(model, count=1, prefetch=Prefetch(both, RULES))
    for name in (first, "grad_cam", "guided_backprop", "deconvnet", "guided_grad_cam", "guided_grad_cam_pp"):
        for target in reversed(both):
            explain(name, query.with_targets(target))
    assert len(seen) == 1
    assert query.log.backwards == 3 * 2


@pytest.mark.parametrize("net", ["gap", "cnn", "residual"])
def test_slopes_of_a_shared_forward_are_those_of_one_of_their_own(net):
    """However its ReLUs are reached, and whichever way back is taken first."""
    one = nets.query(net, prefetch=Prefetch(relu_rules=RULES))
    one.rectified("deconvnet")
    alone = nets.query(net)
    assert torch.equal(one.forward_backward().slopes[""], alone.forward_backward().slopes[""])
    assert one.log.forwards == len(one.images)
    for kind in ("guided", "deconvnet"):
        assert torch.equal(one.rectified(kind), nets.query(net).rectified(kind))


def test_a_relu_written_in_place_serves_one_kind_alone():
    net = nets.seeded(nets.TinyCnn)
    whole = nets.query(nets.model(net), count=1, prefetch=Prefetch(relu_rules=("plain", "guided")))
    written = dict(whole.model.survey.overwrites, relu=1)
    model = replace(whole.model, survey=replace(whole.model.survey, overwrites=written))
    query = replace(whole, model=model).fresh()
    query.forward_backward()
    assert torch.equal(query.rectified("guided"), whole.rectified("guided"))
    assert (query.log.forwards, query.log.backwards) == (2, 2)


def test_targets_share_the_forward(forwards):
    model, seen = forwards
    query = nets.query(model, count=2, target=1, prefetch=Prefetch(tuple(classes(index, 2) for index in (0, 1, 4))))
    query.forward_backward()
    assert seen == [2]
    assert query.log.backwards == 6
    for target in (0, 4):
        other = query.with_targets(classes(target, 2))
        alone = other.run_with(cache=TensorCache(1 << 20), prefetch=Prefetch())
        shared = other.forward_backward()
        assert len(seen) == 1
        wanted = alone.forward_backward()
        seen.pop()
        for layer, slope in wanted.slopes.items():
            assert torch.equal(shared.slopes[layer], slope)
        assert torch.equal(other.clean_scores("prob"), wanted.logits.softmax(1)[:, target])


def test_a_layer_not_on_the_tape_is_recorded_with_all_others(forwards):
    model, seen = forwards
    query = nets.query(model)
    first = query.forward_backward()
    second = query.forward_backward("features.2")
    assert len(seen) == 2
    assert set(second.values) == {*first.values, "features.2"}
    assert query.forward_backward() is second
    assert len(seen) == 2


def test_a_cache_too_small_for_a_tape_only_costs_time(forwards):
    model, seen = forwards
    query = nets.query(model, cache=TensorCache(1))
    one, again = query.forward_backward(), query.forward_backward()
    assert len(seen) == 2
    assert torch.equal(one.slopes[""], again.slopes[""])


def test_parts_of_a_batch_are_joined():
    whole, parts = nets.query("gap", count=5), nets.query("gap", count=5, batch=2)
    for layer, slope in whole.forward_backward().slopes.items():
        assert torch.allclose(parts.forward_backward().slopes[layer], slope, atol=1e-6)
        assert len(slope) == 5


def test_a_layer_that_the_score_does_not_read_has_slope_zero():
    query = nets.query("gap", target=0, unit_layer="features.2", layer="features.8")
    assert not query.forward_backward().slopes["features.8"].any()
    assert query.forward_backward().slopes[""].any()


PICTURE = Picture("noise.png", np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8), "0" * 64)


def test_a_comparison_of_two_classes_is_one_forward(forwards):
    model, seen = forwards
    bench, picture = Workbench(model), PICTURE
    pass_seconds(model)
    seen.clear()
    answers = {}
    requests = [Request(name, target) for name in WHITE_BOX for target in (0, 3)]
    bench.compare(picture, requests, lambda request, answer: answers.update({(request.name, request.target): answer}))
    assert len(seen) == 1
    assert len(answers) == 20
    alone = Workbench(nets.model("gap"))
    for (name, target), answer in answers.items():
        assert torch.equal(answer.maps, alone.explain(picture, Request(name, target)).maps)
    only = {
        n for n, m in EXPLAINERS.items() if m.shares == FORWARD_BACKWARD and m.passes(defaults(m), 32) == Passes(1, 1)
    }
    assert only == set(WHITE_BOX)


def defaults(method):
    return {param.name: param.default for param in method.params}


def spent(bench, requests):
    """The passes of a comparison whose prediction is already there."""
    bench.probabilities(PICTURE)
    answers = {}
    bench.compare(PICTURE, requests, lambda request, answer: answers.update({request.key: answer}))
    return sum((answer.passes for answer in answers.values()), Passes())


@pytest.mark.parametrize("targets", [(1,), (0, 3), (0, 1, 4)])
def test_the_estimate_of_a_set_counts_what_is_shared_once(targets):
    bench = Workbench(nets.model("gap"))
    ten = [Request(name, target) for target in targets for name in WHITE_BOX]
    guided = [
        Request(name, t) for t in targets for name in ("guided_backprop", "guided_grad_cam", "guided_grad_cam_pp")
    ]
    assert bench.passes(ten) == Passes(1, len(targets)) == spent(bench, ten)
    assert bench.estimate(ten[:10]) == pytest.approx(bench.estimate(ten[:1]))
    both = [*ten, *guided, *(Request("deconvnet", target) for target in targets)]
    assert bench.passes(both) == Passes(1, 3 * len(targets)) == spent(Workbench(bench.model), both)


# Their cost is told in the time of passes: rules repeat every operation, and the image decides the number of segments.
ROUGHLY = {"excitation_bp", "contrastive_ebp", "lrp", "feature_ablation", "score_cam", "kernel_shap"}


def test_passes_are_what_the_estimate_says():
    model = load("flowers-single-6c")
    table = []
    for name, method in EXPLAINERS.items():
        requests = [Request(name, 1, nets.quick(method))]
        table.append((name, Workbench(model).passes(requests), spent(Workbench(model), requests)))
    print("\n".join(f"{name:24} estimated {estimated!s:28} spent {real}" for name, estimated, real in table))
    assert {name for name, estimated, real in table if estimated != real} <= ROUGHLY
    assert all(estimated.weight >= real.weight for _, estimated, real in table)


@pytest.mark.parametrize("name", [name for name, method in EXPLAINERS.items() if method.shares])
def test_what_a_method_shares_is_done_for_it(name):
    """Alone it takes its cost; after others that share the same, that cost less what is shared."""
    model, method = nets.model("gap"), EXPLAINERS[name]
    request, cost = (
        Request(name, 2, nets.quick(method)),
        Workbench(model).passes([Request(name, 2, nets.quick(method))]),
    )
    bench = Workbench(model)
    spent(bench, [Request(shared, 2) for shared in ("saliency", "guided_backprop", "deconvnet")])
    other = replace(request, settle=True)  # the same work under another key
    rest = cost - sum((work.passes for work in method.shares), Passes())
    found = spent(bench, [other])
    assert found == rest if name not in ROUGHLY else found.weight <= rest.weight
