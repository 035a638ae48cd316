"""Gradients against known weights, finite differences and captum."""

from dataclasses import replace

import captum.attr
import numpy as np
import pytest
import torch

from core.card import Passes
from core.errors import Unsupported
from core.explain import EXPLAINERS, explain
from core.explain.baselines import baseline
from tests import nets
from tests.nets import doubled, query


def test_saliency_of_a_linear_network_is_its_weights():
    net = nets.seeded(nets.LinearNet)
    expected = net.fc.weight[1].view(3, nets.SIDE, nets.SIDE).abs()
    q = query(net)
    for reduce, value in [("max_abs", expected.amax(0)), ("sum_abs", expected.sum(0))]:
        maps = explain("saliency", q, {"reduce": reduce}).maps
        assert torch.allclose(maps, value.expand_as(maps), rtol=1e-6)


def test_saliency_equals_finite_differences():
    q = doubled(query("cnn", count=1))
    net, image = q.net, q.images
    slope = explain("saliency", q, {"reduce": "sum_abs"}).maps[0]
    step = 1e-6
    for row, column in [(3, 4), (16, 20), (31, 0)]:
        total = 0.0
        for channel in range(3):
            up, down = image.clone(), image.clone()
            up[0, channel, row, column] += step
            down[0, channel, row, column] -= step
            total += abs(float(net(up)[0, 1] - net(down)[0, 1]) / (2 * step))
        assert float(slope[row, column]) == pytest.approx(total, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("net", ["gap", "cnn", "residual", "norelu", "vit"])
@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not")
def test_saliency_equals_captum(net):
    q = query(net)
    theirs = captum.attr.Saliency(q.net).attribute(q.images.clone(), target=1, abs=True).amax(1)
    ours = explain("saliency", q).maps
    assert float((ours - theirs).abs().max() / theirs.max()) <= 1e-6


@pytest.mark.parametrize("name", ["input_x_gradient", "layerwise_ixg"])
def test_products_add_up_to_the_logit_without_biases(name):
    q = query(nets.seeded(lambda: nets.GapNet(bias=False, norm=False)), target=3)
    found = explain(name, q)
    assert torch.allclose(found.maps.sum((1, 2)), found.scores, rtol=1e-5)
    recording = q.forward_backward(*q.model.survey.stages)
    assert len(q.model.survey.stages) == 3
    for layer in q.model.survey.stages:
        assert torch.allclose(
            (recording.values[layer] * recording.slopes[layer]).sum((1, 2, 3)),
            recording.logits[:, 3],
            rtol=1e-5,
        )


def test_layerwise_ixg_equals_captum():
    q = query("gap")
    names = q.model.survey.stages
    peer = captum.attr.LayerGradientXActivation(q.net, [q.net.get_submodule(name) for name in names])
    theirs = [part.detach().sum(1) for part in peer.attribute(q.images.clone(), target=1)]
    for skipped in (0, 1, 2, 4):
        kept = theirs[min(skipped, 2) :]
        large = [
            torch.nn.functional.interpolate(part[:, None], q.size, mode="bilinear")[:, 0] * part[0].numel() / 32**2
            for part in kept
        ]
        ours = explain("layerwise_ixg", q, {"skip_first": skipped}).maps
        assert torch.allclose(ours, sum(large) / len(large), atol=1e-6 * float(ours.abs().max()))


def test_layerwise_ixg_of_a_transformer_reads_the_input_of_each_block():
    q = doubled(query("vit"))
    recording = q.forward_backward(
        "encoder.dropout", "encoder.layers.encoder_layer_0", "encoder.layers.encoder_layer_1"
    )
    parts = [(recording.values[n] * recording.slopes[n]).sum(2)[:, 1:].view(2, 4, 4) for n in q.model.survey.stages]
    assert len(parts) == 3
    enlarged = [torch.nn.functional.interpolate(p[:, None], q.size, mode="bilinear")[:, 0] / 64 for p in parts]
    ours = explain("layerwise_ixg", q, {"skip_first": 0}).maps.double()
    assert torch.allclose(ours, sum(enlarged) / 3, rtol=1e-4, atol=1e-6 * float(ours.abs().max()))


def test_attention_weighs_the_tokens():
    """The attention of the last block, worked out from its weights."""
    q = doubled(query("vit", count=1))
    name = "encoder.layers.encoder_layer_1"
    block = q.net.encoder.layers.encoder_layer_2
    recording = q.forward_backward(name)
    tokens = block.ln_1(recording.values[name])
    queries, keys, _ = torch.nn.functional.linear(
        tokens, block.self_attention.in_proj_weight, block.self_attention.in_proj_bias
    ).chunk(3, dim=2)
    heads = [part.view(1, 17, 2, 8).transpose(1, 2) for part in (queries, keys)]
    received = (heads[0] @ heads[1].transpose(2, 3) / 8**0.5).softmax(3).mean((1, 2))
    expected = ((recording.values[name] * recording.slopes[name]).sum(2) * received)[:, 1:].view(1, 4, 4)
    ours = explain("layerwise_ixg", q, {"skip_first": 4, "attention_weight": True}).maps.double()
    enlarged = torch.nn.functional.interpolate(expected[:, None], q.size, mode="bilinear")[:, 0] / 64
    assert torch.allclose(ours, enlarged, rtol=1e-4, atol=1e-6 * float(enlarged.abs().max()))
    with pytest.raises(Unsupported, match="attention"):
        explain("layerwise_ixg", query("gap"), {"attention_weight": True})


def test_attention_is_read_in_passes_that_fit_a_batch():
    q = query("vit", count=5, batch=2)
    seen = []
    q.net.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    explained = explain("layerwise_ixg", q, {"attention_weight": True})
    found = explained.maps
    assert max(seen) == 2
    method = EXPLAINERS["layerwise_ixg"]
    claimed = method.passes(method.chosen({"attention_weight": True}), nets.SIDE) * 5
    assert claimed == explained.passes == Passes(10, 5)
    assert method.passes(method.chosen({}), nets.SIDE) == Passes(1, 1)
    alone = explain("layerwise_ixg", query("vit", count=5, batch=5), {"attention_weight": True}).maps
    assert torch.allclose(found, alone, atol=1e-5 * float(alone.abs().max()))


def test_smoothgrad_of_a_linear_network_is_its_gradient():
    q = query("linear")
    plain = explain("saliency", q).maps
    assert torch.allclose(explain("smoothgrad", q).maps, plain, rtol=1e-5)
    assert torch.allclose(explain("smoothgrad_sq", q).maps, plain.square(), rtol=1e-5)
    assert float(explain("vargrad", q).maps.max()) < 1e-9


def test_smoothgrad_without_noise_is_the_gradient():
    q = query("cnn")
    ours = explain("smoothgrad", q, {"spread": 0, "samples": 3}).maps
    assert torch.allclose(ours, explain("saliency", q).maps, atol=1e-7)


def test_smoothgrad_family_equals_a_plain_loop():
    q = query("cnn", count=1, seed=5)
    sigma = 0.2 * (q.images.max() - q.images.min())
    slopes = []
    for draw in range(6):
        noise = torch.randn(3, nets.SIDE, nets.SIDE, generator=q.rng(draw))
        slopes.append(q.gradient(q.images + sigma * noise, q.targets)[0])
    stack = torch.stack(slopes).double()
    expected = {
        "smoothgrad": stack.mean(0).abs().amax(0),
        "smoothgrad_sq": stack.square().mean(0).amax(0),
        "vargrad": stack.var(0, unbiased=False).amax(0),
    }
    for name, wanted in expected.items():
        ours = explain(name, q, {"samples": 6, "spread": 0.2}).maps[0].double()
        assert torch.allclose(ours, wanted, atol=1e-6 * float(wanted.max()))


@pytest.mark.parametrize("start", ["black", "grey", "blur", "uniform"])
@pytest.mark.parametrize("net", ["gap", "cnn", "residual", "norelu", "vit"])
def test_integrated_gradients_equal_captum(net, start):
    q = doubled(query(net))
    peer = captum.attr.IntegratedGradients(q.net)
    begin = baseline(q, start).expand_as(q.images).double()
    theirs = peer.attribute(q.images, baselines=begin, target=1, n_steps=20).sum(1)
    ours = explain("integrated_gradients", q, {"steps": 20, "start": start}).maps
    assert float((ours - theirs).abs().max() / theirs.abs().max()) <= 1e-6


def test_integrated_gradients_are_complete():
    linear = explain("integrated_gradients", query("linear"), {"steps": 4})
    assert linear.remarks["completeness error"] < 1e-5
    missed = [explain("integrated_gradients", query("cnn"), {"steps": steps}) for steps in (4, 200)]
    assert missed[1].remarks["completeness error"] < 0.02
    assert missed[1].remarks["completeness error"] < missed[0].remarks["completeness error"]
    early = explain(
        "integrated_gradients", query("cnn", batch=2), {"steps": 200}, watch=lambda look: look.fraction > 0.1
    )
    assert not early.finished
    assert early.remarks["completeness error"] > missed[1].remarks["completeness error"]  # of the map so far


def test_gradient_shap_of_a_linear_network_is_exact():
    q = query("linear")
    weight = q.net.fc.weight[1].view(3, nets.SIDE, nets.SIDE)
    expected = (weight * (q.images - baseline(q, "black"))).sum(1)
    ours = explain("gradient_shap", q, {"samples": 2, "start": "black", "spread": 0}).maps
    assert torch.allclose(ours, expected, atol=1e-5)


def test_gradient_shap_is_as_far_from_integrated_gradients_as_its_number_of_samples_says():
    """The mean of n draws on the path misses the path's mean by sqrt(variance / n), on average over the seeds."""
    q = query("cnn", count=1)
    points, samples = 400, 100
    along = (torch.arange(points) + 0.5).view(-1, 1, 1, 1) / points
    path = (along * q.images).requires_grad_()
    drawn = (q.images * torch.autograd.grad(q.net(path)[:, 1].sum(), path)[0]).sum(1)
    expected = float(drawn.var(0).sum() / samples)
    settings = {"samples": samples, "start": "grey", "spread": 0}
    found = torch.cat([explain("gradient_shap", replace(q, seed=seed), settings).maps for seed in range(12)])
    missed = (found - drawn.mean(0)).square().sum((1, 2)).mean()
    assert 0.4 * expected < float(missed) < 2.5 * expected


def test_gradient_shap_draws_a_new_baseline_each_time():
    q = query("linear", count=1)
    weight = q.net.fc.weight[1].view(3, nets.SIDE, nets.SIDE)
    drawn = torch.stack([baseline(q, "uniform", 2 * draw)[0] for draw in range(3)])
    expected = (weight * (q.images[0] - drawn.mean(0))).sum(0)
    ours = explain("gradient_shap", q, {"samples": 3, "spread": 0}).maps[0]
    assert torch.allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("start", ["black", "blur"])
def test_gradient_shap_equals_captum_on_the_same_draws(start, monkeypatch):
    q = doubled(query("residual", count=1, seed=4, batch=4))
    reach, noise, parts = 0.1 * float(q.images.max() - q.images.min()), [], []
    for draw in range(6):
        rng = q.rng(2 * draw + 1)
        noise.append(torch.randn(q.images.shape[1:], generator=rng))
        parts.append(float(torch.rand(1, generator=rng)))
    monkeypatch.setattr(torch, "normal", lambda mean, std: std * torch.stack(noise))
    monkeypatch.setattr(np.random, "uniform", lambda low, high, count: parts)
    begin = baseline(q, start).double()
    theirs = captum.attr.GradientShap(q.net).attribute(q.images, begin, n_samples=6, stdevs=reach, target=1).sum(1)
    ours = explain("gradient_shap", q, {"samples": 6, "start": start}).maps
    assert float((ours - theirs).abs().max() / theirs.abs().max()) <= 1e-6


def test_baselines_are_what_they_are_called():
    """The mean colour, black, a blur of 10 px in 224, and colours that are uniform and drawn anew."""
    q = query("gap", side=64)
    pixels = q.model.preprocess.pixels
    mean = torch.tensor(q.model.preprocess.mean).view(1, 3, 1, 1)
    assert torch.allclose(pixels(baseline(q, "grey")), mean.expand(1, 3, 64, 64), atol=1e-6)
    assert torch.allclose(pixels(baseline(q, "black")), torch.zeros(1, 3, 64, 64), atol=1e-6)
    dot = torch.zeros(2, 3, 64, 64)
    dot[:, :, 32, 32] = 1
    across = baseline(replace(q, images=dot), "blur")[0, 0].sum(0)
    places = torch.arange(64) - 32.0
    assert float((across * places.square()).sum().sqrt()) == pytest.approx(10 * 64 / 224, rel=0.02)
    drawn = pixels(baseline(q, "uniform"))
    assert float(drawn.min()) >= -1e-6
    assert float(drawn.max()) <= 1 + 1e-6
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(drawn.var()) == pytest.approx(1 / 12, abs=0.005)
    for other in (baseline(q, "uniform", 1), baseline(replace(q, seed=1), "uniform")):
        assert not torch.equal(pixels(other), drawn)


class Cubed(torch.nn.Module):
    """The third power of the image's mean: on the path from zero its gradient grows with the square."""

    def forward(self, x):
        return x.mean((1, 2, 3))[:, None] ** 3 * torch.ones(nets.CLASSES)


def test_the_running_map_of_integrated_gradients_is_that_of_the_whole_path():
    q = query(Cubed(), count=1, batch=1)
    q.images.fill_(1.0)
    seen = []
    whole = explain("integrated_gradients", q, {"steps": 100, "start": "grey"}, lambda look: bool(seen.append(look)))
    assert len(seen) == 100
    assert float(whole.maps.sum()) == pytest.approx(float(whole.scores[0]), rel=1e-4)
    for done, look in list(enumerate(seen, start=1))[4:]:
        off = float(look.maps.sum() / whole.maps.sum()) - 1
        assert abs(off) <= 2 / done, f"after {done} points"
