"""Grad-CAM, integrated gradients, occlusion and LRP of differences and groups, against plain torch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from core.explain import explain
from core.explain.baselines import baseline
from core.explain.methods.cam import grad_cam
from core.explain.methods.perturbation import sliding
from core.explain.target_name import TargetName
from tests import nets

NAMES = [TargetName((1,), (3,)), TargetName((4, 0, 2)), TargetName((1, 2), (0, 4))]
SIGNS = torch.tensor([[0, 1, 0, -1, 0], [1, 0, 1, 0, 1], [-1, 1, 1, 0, -1.0]])


@pytest.fixture(params=[0, 1, 2], ids=map(str, NAMES))
def asked(request):
    """A target, and by hand the weight of each class's logit in its score."""
    return NAMES[request.param], SIGNS[request.param]


def query(net: str, name: TargetName):
    return nets.query(net, count=1).with_targets(name.targets())


def log_odds(name: TargetName, logits: Tensor) -> Tensor:
    """By hand: the probability of a group, or the log-odds of two."""
    chances = logits.softmax(1)
    added = chances[:, list(name.added)].sum(1)
    return (added / chances[:, list(name.subtracted)].sum(1)).log() if name.subtracted else added


def test_grad_cam(asked):
    name, signs = asked
    q = query("gap", name)
    values = q.net.features(q.images).detach().requires_grad_()
    (slopes,) = torch.autograd.grad((q.net.fc(q.net.pool(values).flatten(1)) @ signs).sum(), values)
    expected = (slopes.mean((2, 3), keepdim=True) * values).sum(1).relu().detach()
    assert expected.max() > 0
    assert torch.allclose(grad_cam(q), expected, rtol=0, atol=1e-6)


def test_integrated_gradients_of_a_linear_network(asked):
    name, signs = asked
    q = query("linear", name)
    weight = (signs @ q.net.fc.weight).view(3, nets.SIDE, nets.SIDE)
    expected = ((q.images - baseline(q, "grey")) * weight).sum(1)
    assert nets.relative(explain("integrated_gradients", q, {"start": "grey"}).maps, expected) < 1e-5


def test_integrated_gradients_of_a_network_with_relu(asked):
    name, signs = asked
    q = nets.doubled(query("gap", name))
    begin, total = baseline(q, "grey").expand_as(q.images), torch.zeros_like(q.images)
    for node, weight in zip(*np.polynomial.legendre.leggauss(16), strict=True):  # from -1 to 1
        at = (begin + (node + 1) / 2 * (q.images - begin)).requires_grad_()
        total += weight / 2 * torch.autograd.grad((q.net(at) @ signs.double()).sum(), at)[0]
    expected = ((q.images - begin) * total).sum(1)
    found = explain("integrated_gradients", q, {"start": "grey", "steps": 16}).maps
    assert nets.relative(found.double(), expected) < 1e-5


@pytest.mark.parametrize("score", ["prob", "logit"])
def test_occlusion(asked, score):
    name, signs = asked
    q = query("gap", name)

    def scored(images: Tensor) -> Tensor:
        logits = q.net(images)
        return log_odds(name, logits) if score == "prob" else logits @ signs

    fill, total, cover = baseline(q, "grey"), torch.zeros(1, *q.size), torch.zeros(q.size)
    for top, left, height, width in sliding(q.size, 8, 4).tolist():
        hidden, there = q.images.clone(), (..., slice(top, top + height), slice(left, left + width))
        hidden[there] = fill.expand_as(hidden)[there]
        total[there] += float(scored(q.images) - scored(hidden))
        cover[there] += 1
    found = explain("occlusion", q, {"window": 56, "stride": 28, "score": score}).maps
    assert total.abs().max() > 1e-4
    assert torch.allclose(found, total / cover, rtol=0, atol=2e-6), "scores are near one in float32"


def test_lrp_without_biases_is_input_times_gradient(asked):
    name, signs = asked
    q = replace(query(nets.GapNet(bias=False, norm=False), name))
    torch.manual_seed(0)
    leaf = q.images.clone().requires_grad_()
    (slope,) = torch.autograd.grad((q.net(leaf) @ signs).sum(), leaf)
    found = explain("lrp", q, {"rule": "epsilon", "epsilon": 1e-9}).maps
    assert nets.relative(found, (leaf * slope).detach().sum(1)) < 1e-4


def test_other_images_of_the_batch_do_not_matter(asked):
    name, _ = asked
    q = nets.query("gap", count=3)
    one = name.targets()
    both = q.with_targets(one.repeated(0, 3))
    for method in ("grad_cam", "integrated_gradients", "occlusion", "lrp"):
        together = explain(method, both.fresh()).maps
        for row in range(3):
            alone = replace(both, images=q.images[row : row + 1], targets=one)
            found = explain(method, alone.run_with(batch=1).fresh()).maps[0]
            assert torch.allclose(found, together[row], rtol=1e-4, atol=1e-6)
