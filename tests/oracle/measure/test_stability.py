"""Sensitivity and infidelity against captum, seed stability against scipy, and cases known beforehand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.metrics import infidelity, sensitivity_max
from captum.metrics._core.sensitivity import default_perturb_func
from scipy.stats import spearmanr

from core.errors import Cancelled, Unsupported
from core.explain import explain
from core.explain.baselines import baseline
from core.measure import MEASURES, Evidence, Undefined, evaluate
from core.measure.robustness.stability import noise, squares
from tests import nets

METHODS = [("cnn", "saliency"), ("gap", "grad_cam"), ("residual", "guided_backprop")]


def evidence_of(query, method="saliency", **settings):
    def again(changed):
        return explain(method, changed, settings).maps

    return Evidence(query, again(query.fresh()), explain_again=again)


def captums(evidence, perturbed, radius, samples):
    """Captum's sensitivity of the method for the images that `perturbed` gives."""

    def maps(images, target):
        images = images[0] if isinstance(images, tuple) else images
        target = target.expand(len(images))  # captum leaves the target of one image alone
        asked = replace(evidence.query.fresh(), images=images, targets=target, content="")
        return (evidence.explain_again(asked),)

    query = evidence.query
    return sensitivity_max(
        maps, query.images, perturbed, perturb_radius=radius, n_perturb_samples=samples, target=query.targets.indices
    ).tolist()


@pytest.mark.parametrize(("net", "method"), METHODS)
def test_max_sensitivity_is_captums_for_the_same_noise(net, method):
    query = nets.query(net, count=3, batch=4)
    evidence, samples, radius = evidence_of(query, method), 5, 0.1
    drawn = torch.stack([noise(query, sample, radius) for sample in range(samples)])
    theirs = captums(evidence, lambda images: images + drawn.repeat(3, 1, 1, 1), radius, samples)
    found = evaluate("max_sensitivity", evidence, {"radius": radius, "samples": samples})
    assert found.result == pytest.approx(theirs, rel=1e-4)
    assert min(theirs) > 0.01


@pytest.mark.parametrize(("net", "method"), METHODS)
def test_max_sensitivity_is_captums_for_captums_own_noise(net, method, monkeypatch):
    query = nets.query(net, count=1)
    evidence, fed = evidence_of(query, method), []

    def perturbed(images, radius):
        fed.append(default_perturb_func(images, radius)[0])
        return fed[0]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        theirs = captums(evidence, perturbed, 0.05, 6)
    monkeypatch.setattr(
        "core.measure.robustness.stability.noise", lambda _, sample, radius: fed[0][sample] - query.images[0]
    )
    found = evaluate("max_sensitivity", evidence, {"radius": 0.05, "samples": 6})
    assert found.result == pytest.approx(theirs, rel=1e-4)


def test_a_constant_that_values_are_defined_up_to_does_not_soften_sensitivity():
    query = nets.query("cnn", count=2)
    low = replace(evidence_of(query), offset=True)
    again = low.explain_again
    raised = replace(low, maps=low.maps + 5, explain_again=lambda changed: again(changed) + 5)
    found = [evaluate("max_sensitivity", one).result for one in (low, raised)]
    assert found[1] == pytest.approx(found[0], rel=1e-3)
    assert evaluate("max_sensitivity", replace(raised, offset=False)).result[0] < 0.5 * found[0][0]


def test_mean_sensitivity_is_the_mean_of_the_changes():
    query = nets.query("cnn", count=2)
    evidence = evidence_of(query)
    changes = []
    for sample in range(4):
        noisy = replace(query, images=query.images + noise(query, sample, 0.02))
        difference = (explain("saliency", noisy).maps - evidence.maps).square().sum((1, 2)).sqrt()
        changes.append((difference / evidence.maps.square().sum((1, 2)).sqrt()).tolist())
    found = evaluate("mean_sensitivity", evidence, {"samples": 4}).result
    assert found == pytest.approx(np.mean(changes, 0).tolist(), rel=1e-4)
    assert evaluate("max_sensitivity", evidence, {"samples": 4}).result == pytest.approx(np.max(changes, 0), rel=1e-4)


def test_noise_is_uniform_within_the_radius_and_apart_from_that_of_methods():
    query = nets.query("linear")
    drawn = torch.stack([noise(query, sample, 0.3) for sample in range(20)])
    assert drawn.abs().max() <= 0.3
    assert drawn.std() == pytest.approx(0.6 / 12**0.5, rel=0.02)
    assert drawn.mean() == pytest.approx(0, abs=0.01)
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[7], noise(nets.query("cnn", count=1), 7, 0.3))
    own = torch.rand(3, nets.SIDE, nets.SIDE, generator=query.rng(0))
    assert abs(torch.corrcoef(torch.stack([own.flatten(), drawn[0].flatten()]))[0, 1]) < 0.05


def test_the_gradient_of_a_linear_network_does_not_change():
    assert evaluate("max_sensitivity", evidence_of(nets.query("linear"))).result == pytest.approx([0, 0], abs=1e-6)


def test_the_product_with_the_image_changes_by_the_noise():
    """Of a linear network: ‖w · d‖ / ‖w · x‖ for each pixel, summed over its channels."""
    query = nets.query("linear", count=1)
    weights = query.net.fc.weight[1].view(3, nets.SIDE, nets.SIDE)
    sizes = [(weights * noise(query, sample, 0.02)).sum(0).norm() for sample in range(10)]
    expected = max(sizes) / (weights * query.images[0]).sum(0).norm()
    found = evaluate("max_sensitivity", evidence_of(query, "input_x_gradient")).result
    assert found == pytest.approx([float(expected)], rel=1e-4)


def test_a_map_of_zeros_has_no_relative_change():
    evidence = evidence_of(nets.query("cnn"))
    evidence.maps[1] = 0
    first, second = evaluate("max_sensitivity", evidence, {"samples": 2}).result
    assert first > 0
    assert second == Undefined("The map is zero everywhere.")


@pytest.mark.parametrize("name", ["max_sensitivity", "seed_stability", "infidelity"])
def test_images_and_batches_do_not_matter_to_each_other(name):
    together = evaluate(name, evidence_of(nets.query("cnn", count=3), "smoothgrad", samples=4)).result
    small = evaluate(name, evidence_of(nets.query("cnn", count=3, batch=2), "smoothgrad", samples=4)).result
    alone = evaluate(name, evidence_of(nets.query("cnn", count=1), "smoothgrad", samples=4)).result
    assert small == pytest.approx(together, rel=1e-3)
    assert alone == pytest.approx(together[:1], rel=1e-3)


def test_seed_stability_is_the_mean_of_scipys_correlations():
    query = nets.query("cnn", count=2, seed=5)
    evidence = evidence_of(query, "smoothgrad", samples=3)
    others = [explain("smoothgrad", replace(query, seed=seed), {"samples": 3}).maps for seed in (6, 7, 8)]
    for magnitude in (False, True):
        expected = [
            np.mean([spearmanr(evidence.maps[image].ravel(), maps[image].ravel()).statistic for maps in others])
            for image in range(2)
        ]
        found = evaluate("seed_stability", evidence, {"seeds": 3, "magnitude": magnitude}).result
        assert found == pytest.approx(expected, abs=1e-9)
    assert max(expected) < 0.99


def test_seed_stability_of_magnitudes():
    maps = torch.randn(1, nets.SIDE, nets.SIDE)
    evidence = Evidence(nets.query("cnn", count=1), maps, explain_again=lambda changed: -maps)
    assert evaluate("seed_stability", evidence).result == pytest.approx([-1])
    assert evaluate("seed_stability", evidence, {"magnitude": True}).result == pytest.approx([1])


@pytest.mark.parametrize("method", ["saliency", "grad_cam", "edge_detector"])
def test_methods_without_randomness_are_stable_and_share_passes(method):
    query = nets.query("gap")
    evidence = evidence_of(query, method)
    explain(method, query.counted_in(query.log))
    before = query.log.passes
    assert evaluate("seed_stability", evidence).result == pytest.approx([1, 1])
    assert query.log.passes == before


def test_more_samples_are_more_stable_and_noise_is_not():
    few, many, random = (
        evaluate("seed_stability", evidence_of(nets.query("cnn"), method, **settings)).mean
        for method, settings in (("smoothgrad", {"samples": 2}), ("smoothgrad", {"samples": 32}), ("random", {}))
    )
    assert abs(random) < 0.15 < few < many - 0.2


def test_constant_maps_have_no_seed_stability():
    evidence = evidence_of(nets.query("cnn"), "smoothgrad", samples=2)
    evidence.maps[0] = 2
    first, second = evaluate("seed_stability", evidence).result
    assert first == Undefined("The map has the same value everywhere.")
    assert 0 < second < 1
    blank = replace(evidence, explain_again=lambda changed: torch.zeros_like(evidence.maps))
    assert evaluate("seed_stability", blank).result[1] == 0


@pytest.mark.parametrize("fitted", [True, False])
@pytest.mark.parametrize("fill", ["grey", "blur"])
@pytest.mark.parametrize(("net", "method"), [("cnn", "input_x_gradient"), ("gap", "grad_cam")])
def test_infidelity_is_captums_for_the_same_squares(net, method, fill, fitted):
    query, samples = nets.query(net, count=2), 12
    evidence = evidence_of(query, method)
    removed = torch.zeros(samples, 1, nets.SIDE, nets.SIDE)
    for mask, (top, left, height, width) in zip(removed, squares(query, samples, 7).tolist(), strict=True):
        mask[0, top : top + height, left : left + width] = 1
    removed = removed.repeat(2, 1, 1, 1)
    empty = baseline(query, fill).expand_as(query.images).repeat_interleave(samples, 0)

    def perturbed(images):
        return removed.expand_as(images), images * (1 - removed) + empty * removed

    theirs = infidelity(
        query.net, perturbed, query.images, evidence.maps[:, None].expand_as(query.images) / 3,
        target=query.targets.indices, n_perturb_samples=samples, normalize=fitted,
    )  # fmt: skip
    chosen = {"samples": samples, "square": 49, "fill": fill, "fitted": fitted}
    found = evaluate("infidelity", evidence, chosen).result
    assert found == pytest.approx(theirs.tolist(), rel=1e-3)
    assert min(found) > 0


def test_the_terms_of_an_additive_network_predict_every_drop():
    query = nets.query("additive")
    maps = torch.stack([query.net.terms(image[None], 1)[0] for image in query.images])
    for scale, fitted in ((1, False), (1, True), (-3, True)):
        found = evaluate("infidelity", Evidence(query, scale * maps), {"fitted": fitted}).result
        assert found == pytest.approx([0, 0], abs=1e-4)
    wrong = evaluate("infidelity", Evidence(query, -maps), {"fitted": False}).result
    assert wrong == pytest.approx(evaluate("infidelity", Evidence(query, 3 * maps), {"fitted": False}).result, rel=1e-3)
    assert min(wrong) > 1


def test_a_map_of_zeros_predicts_no_drop():
    query = nets.query("cnn", count=1)
    boxes = squares(query, 200, 7)
    drops = query.clean_scores()[:, None] - query.windows(boxes, baseline(query, "grey"))
    for fitted in (True, False):
        found = evaluate("infidelity", Evidence(query, torch.zeros(1, 32, 32)), {"fitted": fitted}).result
        assert found == pytest.approx([float(drops.square().mean())], rel=1e-4)


def test_squares_lie_inside_the_image_and_reach_its_borders():
    query = nets.query("linear")
    found = squares(query, 400, 10)
    assert found[:, :2].min() == 0
    assert found[:, :2].max() == nets.SIDE - 10
    assert (found[:, 2:] == 10).all()
    assert torch.equal(squares(query, 7, 10), found[:7])
    assert evaluate("infidelity", evidence_of(query), {"square": 224, "samples": 2}).mean == pytest.approx(0, abs=1e-6)


def test_passes_are_counted_and_progress_rises_until_it_is_cancelled():
    told = []
    query = nets.query("gap", count=2, batch=4, report=lambda fraction, _: told.append(fraction))
    evidence = evidence_of(query.run_with(report=lambda *_: None))
    evidence = replace(evidence, query=query)
    for name, number in (("max_sensitivity", 20), ("seed_stability", 2), ("infidelity", 2 + 400)):
        measured = query.fresh()
        told.clear()
        evaluate(name, replace(evidence, query=measured))
        assert measured.log.forwards == number, name
        assert told == sorted(told), name
        assert told[-1] == pytest.approx(1)
    assert MEASURES["max_sensitivity"].reruns({"samples": 10}) == 10
    assert MEASURES["seed_stability"].reruns({"seeds": 4}) == 4

    def cancelling(fraction, _):
        if fraction > 0.5:
            raise Cancelled

    for name in ("max_sensitivity", "mean_sensitivity", "seed_stability", "infidelity"):
        with pytest.raises(Cancelled):
            evaluate(name, replace(evidence, query=query.run_with(report=cancelling)))


@pytest.mark.parametrize("name", ["max_sensitivity", "mean_sensitivity", "seed_stability"])
def test_maps_alone_are_not_enough(name):
    with pytest.raises(Unsupported, match="only maps of it are given"):
        evaluate(name, Evidence(nets.query("gap"), torch.rand(2, nets.SIDE, nets.SIDE)))
