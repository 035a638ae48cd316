"""Changed backward rules against captum, a backward written out by hand, and networks where they change nothing."""

import captum.attr
import pytest
import torch
import torchvision
from torch import nn

from core.errors import Unsupported
from core.explain import EXPLAINERS, explain
from core.explain.methods.modified_backprop import rectified_slope
from core.explain.relu_rules import Switch
from core.network.hooks import capture
from tests import nets
from tests.nets import doubled, query, relative

PEERS = [("guided", "GuidedBackprop"), ("deconvnet", "Deconvolution")]


@pytest.mark.parametrize(
    "make", [nets.GapNet, nets.TinyCnn, torchvision.models.resnet18, torchvision.models.squeezenet1_1]
)
@pytest.mark.parametrize(("kind", "peer"), PEERS)
@pytest.mark.filterwarnings("ignore:Setting backward hooks", "ignore:Input Tensor 0 did not")
def test_rectified_slope_equals_captum(make, kind, peer):
    side = nets.SIDE if make.__module__ == nets.__name__ else 64
    q = doubled(query(nets.seeded(make), side=side))
    theirs = getattr(captum.attr, peer)(nets.seeded(make).eval().double()).attribute(q.images.clone(), target=1)
    assert relative(rectified_slope(q, kind), theirs) <= 1e-9


class Rectified(torch.autograd.Function):
    """A ReLU, or with `top` a ReLU6, whose backward is the printed rule."""

    @staticmethod
    def forward(ctx, z, kind, top):
        ctx.save_for_backward(z)
        ctx.kind, ctx.top = kind, top
        return z.clamp(0, top)

    @staticmethod
    def backward(ctx, received):
        (z,) = ctx.saved_tensors
        gate = (z > 0) & (z < ctx.top) if ctx.kind == "guided" else True
        return received * (received > 0) * gate, None, None


class Residual(nn.Module):
    """A sum of two ways around which the ReLU is called, not a module."""

    def __init__(self, act):
        super().__init__()
        self.act, self.stem, self.norm = act, nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8)
        self.one, self.two, self.fc = nn.Conv2d(8, 8, 3, 1, 1), nn.Conv2d(8, 8, 3, 1, 1), nn.Linear(8, nets.CLASSES)

    def forward(self, x):
        x = self.act(self.norm(self.stem(x)))
        return self.fc(self.act(x + self.two(self.act(self.one(x)))).mean((2, 3)))


class Branches(nn.Module):
    """Ways of different width beside a pooling, as in GoogLeNet."""

    def __init__(self, act):
        super().__init__()
        self.act, self.stem = act, nn.Conv2d(3, 8, 3, 2, 1)
        self.one, self.two, self.fc = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 3, 1, 1), nn.Linear(16, nets.CLASSES)

    def forward(self, x):
        x = self.act(self.stem(x))
        ways = [self.act(self.one(x)), self.act(self.two(x)), nn.functional.max_pool2d(x, 3, 1, 1)]
        return self.fc(torch.cat(ways, 1).mean((2, 3)))


class Dense(nn.Module):
    """Norm and ReLU before each convolution, whose output is put beside its input, as in DenseNet."""

    def __init__(self, act):
        super().__init__()
        self.act, self.stem = act, nn.Conv2d(3, 8, 3, 2, 1)
        self.norm, self.conv = nn.BatchNorm2d(8), nn.Conv2d(8, 4, 3, 1, 1)
        self.last, self.fc = nn.BatchNorm2d(12), nn.Linear(12, nets.CLASSES)

    def forward(self, x):
        x = self.stem(x)
        x = torch.cat([x, self.conv(self.act(self.norm(x)))], 1)
        return self.fc(self.act(self.last(x)).mean((2, 3)))


class Inverted(nn.Module):
    """A wide middle of single channels between narrow ends without a ReLU, as in MobileNetV2."""

    def __init__(self, act):
        super().__init__()
        self.act, self.stem = act, nn.Conv2d(3, 8, 3, 2, 1)
        self.wide, self.each = nn.Conv2d(8, 16, 1), nn.Conv2d(16, 16, 3, 1, 1, groups=16)
        self.narrow, self.fc = nn.Conv2d(16, 8, 1), nn.Linear(8, nets.CLASSES)

    def forward(self, x):
        x = self.act(5 * self.stem(x))
        return self.fc((x + self.narrow(self.act(self.each(self.act(5 * self.wide(x)))))).mean((2, 3)))


@pytest.mark.parametrize(
    ("call", "top"),
    [
        (lambda z: nn.functional.relu(z, inplace=True), torch.inf),
        (torch.relu, torch.inf),
        (lambda z: z.relu(), torch.inf),
        (nn.functional.relu6, 6),
        (nn.ReLU6(inplace=True), 6),
    ],
    ids=["in place", "torch", "method", "relu6", "module of relu6"],
)
@pytest.mark.parametrize("make", [Residual, Branches, Dense, Inverted])
@pytest.mark.parametrize("kind", ["guided", "deconvnet"])
def test_rectified_slope_of_a_relu_that_is_called_equals_its_rule_written_out(kind, make, call, top):
    q = doubled(query(nets.seeded(lambda: make(call))))
    plain = nets.seeded(lambda: make(lambda z: Rectified.apply(z, kind, top))).eval().double()
    leaf = q.images.clone().requires_grad_()
    (theirs,) = torch.autograd.grad(plain(leaf)[:, 1].sum(), leaf)
    assert relative(rectified_slope(q, kind), theirs) <= 1e-9
    assert relative(q.gradient(q.images, q.targets), theirs) > 0.05


@pytest.mark.parametrize("net", ["gap", "cnn"])
def test_deconvnet_is_nowhere_negative_at_the_input_of_a_relu(net):
    q = query(net)
    before = (
        ["features.1", "features.4", "features.7"] if net == "gap" else ["features.0", "features.3", "classifier.0"]
    )
    switch = Switch()
    with capture(q.net, *before) as seen, switch.rules():
        total = q.net(q.images.requires_grad_())[:, 1].sum()
    switch.rule = "deconvnet"
    for received in torch.autograd.grad(total, [seen[name] for name in before]):
        assert float(received.min()) >= 0
        assert float(received.max()) > 0


def test_a_hardtanh_is_no_relu_unless_it_runs_from_zero_to_six():
    def ending(act):
        return nets.model(nets.seeded(lambda: nn.Sequential(nn.Conv2d(3, 8, 3), act, nn.Flatten(), nn.Linear(7200, 3))))

    for act in (nn.Hardtanh(), nn.Hardtanh(0, 1), nn.Hardtanh(-6, 6)):
        with pytest.raises(Unsupported, match=r"has no ReLU.*hardtanh"):
            explain("guided_backprop", query(ending(act)))
        assert "hardtanh" in EXPLAINERS["lrp"].unmet(ending(act))
    for act in (nn.ReLU6(), nn.Hardtanh(0, 6), nn.ReLU()):
        assert not EXPLAINERS["guided_backprop"].unmet(ending(act))


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
    q = doubled(q)
    assert relative(rectified_slope(q, "guided"), q.gradient(q.images, q.targets)) <= 1e-9


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
    with pytest.raises(Unsupported, match="uses no ReLU"):
        explain("guided_backprop", q)


@pytest.mark.parametrize("name", ["guided_backprop", "deconvnet", "guided_grad_cam"])
def test_what_stays_a_plain_gradient_beside_a_relu_is_told(name):
    """As in MobileNetV3: one activation has a rule to change, another has not."""

    def mixed(smooth):
        return nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3), smooth, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(6, 3),
        )  # fmt: skip

    found = explain(name, query(nets.seeded(lambda: mixed(nn.Hardswish()))))
    assert found.remarks["plain gradient at"] == "hardswish"
    assert "plain gradient at" not in explain(name, query(nets.seeded(lambda: mixed(nn.ReLU())))).remarks
