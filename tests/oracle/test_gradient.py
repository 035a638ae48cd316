"""Gradients against known weights, finite differences and captum."""

from dataclasses import replace

import captum.attr
import pytest
import torch

from core.explain.base import explain
from tests import nets
from tests.nets import query


def test_saliency_of_a_linear_network_is_its_weights():
    net = nets.seeded(nets.LinearNet)
    expected = net.fc.weight[1].view(3, nets.SIDE, nets.SIDE).abs()
    q = query(net)
    for reduce, value in [("max_abs", expected.amax(0)), ("sum_abs", expected.sum(0))]:
        maps = explain("saliency", q, {"reduce": reduce}).maps
        assert torch.allclose(maps, value.expand_as(maps), rtol=1e-6)


def test_saliency_equals_finite_differences():
    q = query("cnn", count=1)
    net, image = q.net.double(), q.images.double()
    slope = explain("saliency", replace(q, images=image), {"reduce": "sum_abs"}).maps[0]
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
