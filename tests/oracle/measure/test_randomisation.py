"""Randomisation of weights against loops written out, for controls, and without a trace in the shared network."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from torch import nn

from core.errors import Cancelled, Unsupported
from core.explain import explain
from core.measure import MEASURES, Evidence, Undefined, evaluate
from tests import nets

LAYERS = {  # from the output to the input
    "gap": ["fc", "features.7", "features.4", "features.0 features.1"],
    "cnn": ["classifier.2", "classifier.0", "features.3", "features.0"],
}


def evidence_of(query, method="saliency", **settings):
    def again(changed):
        return explain(method, changed, settings).maps

    return Evidence(query, again(query.fresh()), explain_again=again)


def randomised(net, names, query, draw):
    """A copy of a network with the weights of some modules drawn again, tensor by tensor."""
    copy = deepcopy(net)
    total = len(list(copy.parameters()))
    for number, (name, weights) in enumerate(copy.named_parameters()):
        if name.rpartition(".")[0] in names:
            noise = torch.randn(weights.shape, generator=query.rng(-1 - draw * total - number))
            scale = weights.square().mean().sqrt() if weights.dim() > 1 else weights.std(correction=0)
            weights.copy_(noise * scale + (0 if weights.dim() > 1 else weights.mean()))
    for name, module in copy.named_modules():
        if name in names and isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    return copy


def expected(query, layers, draws, maps_of, cascading):
    """The mean rank correlation (B, 1 + S) over the draws in which both maps have an order."""
    original = maps_of(query).numpy()
    columns = [np.ones(len(original))]
    for number in range(len(layers)):
        chosen = " ".join(layers[: number + 1] if cascading else [layers[number]]).split()
        found = np.full((draws, len(original)), np.nan)
        for draw in range(draws):
            net = randomised(query.net, chosen, query, draw)
            maps = maps_of(nets.query(nets.model(net), count=len(original))).numpy()
            for image in range(len(original)):
                if np.ptp(maps[image]):
                    found[draw, image] = spearmanr(original[image].ravel(), maps[image].ravel()).statistic
        columns.append(np.nanmean(found, 0))
    return np.stack(columns, 1)


@pytest.mark.parametrize("net", LAYERS)
@pytest.mark.parametrize("cascading", [True, False])
@pytest.mark.parametrize("method", ["saliency", "input_x_gradient"])
def test_similarity_is_that_of_a_loop_over_layers_and_draws(net, cascading, method):
    query = nets.query(net, count=2)
    name = "cascading_randomisation" if cascading else "independent_randomisation"
    found = evaluate(name, evidence_of(query, method), {"stages": 4, "draws": 2}).result
    wanted = expected(query, LAYERS[net], 2, lambda asked: explain(method, asked).maps, cascading)
    assert np.array(found.y) == pytest.approx(wanted, abs=1e-6)
    assert found.x.tolist() == [0, 1, 2, 3, 4]
    assert found.steps == ("none", *(layer.split()[0] for layer in LAYERS[net]))
    assert np.abs(wanted[:, 1:] - 1).min() > 0.05  # each stage changes the maps


def test_magnitudes_are_compared_on_request():
    query = nets.query("cnn")
    found = evaluate("cascading_randomisation", evidence_of(query, "input_x_gradient"), {"draws": 1, "magnitude": True})
    wanted = expected(query, LAYERS["cnn"], 1, lambda asked: explain("input_x_gradient", asked).maps.abs(), True)
    assert np.array(found.result.y) == pytest.approx(wanted, abs=1e-6)


def test_structural_similarity_is_that_of_its_formula():
    """Wang et al. 2004 on maps scaled to 0 and 1, without a border of half a window."""
    query = nets.query("cnn", count=1)
    found = evaluate("cascading_randomisation", evidence_of(query), {"stages": 1, "draws": 1, "similarity": "ssim"})
    random = nets.query(nets.model(randomised(query.net, " ".join(LAYERS["cnn"]).split(), query, 0)), count=1)
    one, two = (explain("saliency", asked).maps[0].double().numpy() for asked in (query, random))
    one, two = ((each - each.min()) / np.ptp(each) for each in (one, two))

    def smooth(values):
        return gaussian_filter(values, 1.5, radius=5)

    means = smooth(one), smooth(two)
    variances = smooth(one**2) - means[0] ** 2, smooth(two**2) - means[1] ** 2
    shared = smooth(one * two) - means[0] * means[1]
    top = (2 * means[0] * means[1] + 0.01**2) * (2 * shared + 0.03**2)
    bottom = (means[0] ** 2 + means[1] ** 2 + 0.01**2) * (variances[0] + variances[1] + 0.03**2)
    assert found.result.y[0] == pytest.approx([1, (top / bottom)[5:-5, 5:-5].mean()], abs=1e-9)


@pytest.mark.parametrize("name", ["cascading_randomisation", "independent_randomisation"])
def test_a_method_that_ignores_the_network_stays_the_same(name):
    found = evaluate(name, evidence_of(nets.query("gap"), "edge_detector"), {"stages": 3, "draws": 1})
    assert np.array(found.result.y) == pytest.approx(1)


def test_a_method_without_any_relation_has_no_similarity():
    calls = []

    def again(changed):
        calls.append(changed)
        return torch.rand(2, nets.SIDE, nets.SIDE, generator=torch.Generator().manual_seed(len(calls)))

    query = nets.query("gap")
    found = evaluate("cascading_randomisation", Evidence(query, torch.randn(2, 32, 32), explain_again=again)).result
    assert np.abs(found.y).max() < 0.1
    assert len(calls) == 1 + 4 * 3  # the network has four layers
    assert MEASURES["cascading_randomisation"].reruns({"stages": 4, "draws": 3}) == len(calls)


def test_without_random_weights_nothing_changes(monkeypatch):
    monkeypatch.setattr("core.measure.robustness.randomisation.randomise", lambda *_, **__: None)
    found = evaluate("cascading_randomisation", evidence_of(nets.query("gap")), {"draws": 1})
    assert np.array(found.result.y) == pytest.approx(1)


def test_the_shared_network_is_the_same_at_any_moment():
    query = nets.query("gap")
    state = {name: (value, value.clone()) for name, value in query.net.state_dict(keep_vars=True).items()}
    modules, logits = list(query.net.modules()), query.net(query.images)
    evidence, nets_seen, keys = evidence_of(query), [], []

    def again(changed):
        maps = evidence.explain_again(changed)
        now = query.net.state_dict(keep_vars=True)
        assert all(now[name] is value and torch.equal(value, copy) for name, (value, copy) in state.items())
        assert list(query.net.modules()) == modules
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules)
        assert torch.equal(query.net(query.images), logits)
        nets_seen.append(changed.net)
        keys.append(changed.key)
        return maps

    evaluate("cascading_randomisation", replace(evidence, explain_again=again), {"draws": 2})
    assert nets_seen[0] is query.net
    assert query.net not in nets_seen[1:]
    assert len(set(keys)) == len(keys)  # nothing cached for one network serves another


def test_a_map_without_an_order_is_undefined_and_draws_without_one_are_left_out():
    query = nets.query("gap", count=2)
    maps = torch.rand(2, nets.SIDE, nets.SIDE)
    maps[1] = 3
    calls = []

    def again(changed):
        calls.append(changed)
        given = maps.clone()
        if len(calls) in (3, 4):  # the second stage of the first draw, the first one of the second
            given[0] = 0
        return given

    found = evaluate(
        "cascading_randomisation", Evidence(query, maps, explain_again=again), {"stages": 2, "draws": 2}
    ).result
    assert len(calls) == 5
    assert found.y[0].tolist() == pytest.approx([1, 1, 1])
    assert found.y[1] == Undefined("The map has the same value everywhere.")


def test_similarity_is_zero_where_no_draw_leaves_anything_of_the_map():
    maps = torch.rand(1, nets.SIDE, nets.SIDE)

    def again(changed):
        return torch.zeros_like(maps)

    found = evaluate("independent_randomisation", Evidence(nets.query("gap", count=1), maps, explain_again=again))
    assert found.result.y[0].tolist() == [0, 0, 0, 0, 0]


@pytest.mark.parametrize("method", ["grad_cam", "smoothgrad"])
def test_images_and_batches_do_not_matter_to_each_other(method):
    settings = {"stages": 3, "draws": 1}
    several, one = nets.query("cnn", count=3), nets.query("cnn", count=1, batch=1)
    together = evaluate("cascading_randomisation", evidence_of(several, method), settings).result
    small = evaluate("cascading_randomisation", evidence_of(several.run_with(batch=2), method), settings).result
    alone = evaluate("cascading_randomisation", evidence_of(one, method), settings).result
    assert np.array(small.y) == pytest.approx(np.array(together.y), abs=1e-4)
    assert alone.y[0] == pytest.approx(together.y[0], abs=1e-4)


def test_another_seed_draws_other_weights():
    curves = [
        evaluate("cascading_randomisation", evidence_of(nets.query("cnn", seed=seed)), {"draws": 1}).result.y
        for seed in (0, 0, 1)
    ]
    assert np.array_equal(curves[0], curves[1])
    assert not np.allclose(curves[0], curves[2], atol=0.01)


def test_passes_are_counted_and_progress_rises_until_it_is_cancelled():
    told = []
    query = nets.query("gap", count=2, report=lambda fraction, note: told.append((fraction, note)))
    evaluate("cascading_randomisation", evidence_of(query), {"stages": 4, "draws": 2})
    assert (query.log.forwards, query.log.backwards) == (1 + 2 * 9, 2 * 9)  # the order, and nine maps of two images
    fractions = [fraction for fraction, _ in told]
    assert fractions[-1] == pytest.approx(1)
    measured = fractions[fractions.index(1.0) + 1 :]  # after the maps themselves
    assert measured == sorted(measured)
    assert any("network 3 of 9" in note for _, note in told)

    def cancelling(fraction, note):
        if fraction > 0.5:
            raise Cancelled

    evidence = evidence_of(query)
    with pytest.raises(Cancelled):
        evaluate("cascading_randomisation", replace(evidence, query=query.run_with(report=cancelling)))


def test_it_needs_a_method_weights_and_windows():
    query = nets.query("gap")
    with pytest.raises(Unsupported, match="only maps of it are given"):
        evaluate("cascading_randomisation", Evidence(query, torch.rand(2, nets.SIDE, nets.SIDE)))
    pool = nets.query(nets.model(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())))
    with pytest.raises(Unsupported, match="no weights"):
        evaluate("independent_randomisation", evidence_of(pool))
    small = replace(query, images=query.images[..., :8, :8])
    evidence = Evidence(small, torch.rand(2, 8, 8), explain_again=lambda changed: torch.rand(2, 8, 8))
    with pytest.raises(Unsupported, match="have 8"):
        evaluate("cascading_randomisation", evidence, {"similarity": "ssim"})
