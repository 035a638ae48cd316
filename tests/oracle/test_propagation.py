"""Changed backward rules against captum, a backward written out by hand, and networks where they change nothing."""

import captum.attr
import pytest
import torch
import torchvision
from torch import nn

from core.errors import Unsupported
from core.explain import explain
from core.explain.propagation import rectified_slope
from tests import nets
from tests.nets import query

PEERS = [("guided", "GuidedBackprop"), ("deconvnet", "Deconvolution")]


def relative(ours, theirs):
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize(
    "make", [nets.GapNet, nets.TinyCnn, torchvision.models.resnet18, torchvision.models.squeezenet1_1]
)
@pytest.mark.parametrize(("kind", "peer"), PEERS)
@pytest.mark.filterwarnings("ignore:Setting backward hooks", "ignore:Input Tensor 0 did not")
def test_rectified_slope_equals_captum(make, kind, peer):
    side = nets.SIDE if make.__module__ == nets.__name__ else 64
    q = query(nets.seeded(make), side=side)
    theirs = getattr(captum.attr, peer)(nets.seeded(make).eval()).attribute(q.images.clone(), target=1)
    assert relative(rectified_slope(q, kind), theirs) <= 1e-6


@pytest.mark.parametrize("net", ["gap", "cnn", "residual"])
@pytest.mark.parametrize("kind", ["guided", "deconvnet"])
def test_rectified_slope_differs_from_the_gradient(net, kind):
    q = query(net)
    assert relative(rectified_slope(q, kind), q.gradient(q.images, q.targets)) > 0.1


def test_rectified_slope_by_hand():
    net = nets.seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3)))
    q = query(net, count=1, target=2, side=2)
    before = net[1](q.images.flatten(1))
    positive = net[3].weight[2].clamp(min=0)
    for kind, gate in [("guided", before > 0), ("deconvnet", torch.ones_like(before))]:
        expected = ((positive * gate) @ net[1].weight).view(1, 3, 2, 2)
        assert torch.allclose(rectified_slope(q, kind), expected, atol=1e-7)


def test_guided_drops_what_is_exactly_zero():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 4, bias=False), nn.ReLU(), nn.Linear(4, 2, bias=False))
    nn.init.ones_(net[1].weight), nn.init.ones_(net[3].weight)
    q = query(net, count=1, side=2)
    q.images.zero_()
    assert not rectified_slope(q, "guided").any()
    assert (rectified_slope(q, "deconvnet") == 4).all()


def test_guided_equals_the_gradient_where_everything_is_positive():
    net = nets.seeded(lambda: nets.TinyCnn(bias=False))
    for parameter in net.parameters():
        parameter.data.abs_()
    q = query(net)
    q.images.abs_()
    assert relative(rectified_slope(q, "guided"), q.gradient(q.images, q.targets)) <= 1e-6


@pytest.mark.parametrize("net", ["linear", "norelu", "vit"])
def test_a_network_without_relu_is_refused(net):
    with pytest.raises(Unsupported, match="has no ReLU"):
        explain("guided_backprop", query(net))


def test_a_relu_that_this_score_never_meets_is_refused():
    class Aside(nn.Module):
        """Its ReLU is called only for large inputs, which the survey's image does not hold."""

        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(12, 2)

        def forward(self, x):
            if float(x.detach().abs().max()) < 50:
                x = x.relu()
            return self.fc(x.flatten(1))

    q = query(nets.seeded(Aside), side=2)
    q.images.mul_(1000)
    with pytest.raises(Unsupported, match="met no ReLU"):
        explain("guided_backprop", q)
