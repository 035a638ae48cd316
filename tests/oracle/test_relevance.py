"""Relevance and excitation: conserved, equal to rules written out as matrices, and to captum where it has them."""

import captum.attr
import pytest
import torch
import torchvision
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from core.errors import Unsupported
from core.explain import EXPLAINERS, explain
from core.explain.relevance import SUMS, _walked
from core.explain.sweep import Operation, by_alpha1beta0, by_epsilon, by_gamma, excitatory
from tests import nets
from tests.nets import query

RULES = ["composite", "epsilon", "gamma", "alpha1beta0"]


def relative(ours, theirs):
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("skip", list(SUMS))
@pytest.mark.parametrize("net", ["gap", "cnn", "residual"])
def test_excitation_is_a_probability_at_every_stage(net, skip):
    q = query(net)
    for finer in range(3):
        found = explain("excitation_bp", q, {"skip": skip, "finer": finer})
        raw = _walked(q, SUMS[skip], finer, contrast=False)
        assert torch.allclose(raw.sum((1, 2)), torch.ones(2), atol=1e-5)
        assert skip == "proportional" or float(raw.min()) >= 0
        assert found.remarks["probability kept"] == pytest.approx(1, abs=1e-5)
        assert found.layer == (q.model.survey.stages[::-1][finer : finer + 1] or q.model.survey.stages[:1])[0]


def test_excitation_by_hand():
    """Two winners' steps on a network of two linear layers, with the sums of the paper."""
    net = nets.seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)))
    q = query(net, target=2, side=2, layer="1")
    x = net[1](net[0](q.images)).flatten(1)
    up = net[3].weight[2].clamp(min=0) * x
    expected = (up / up.sum(1, keepdim=True)).view(2, 4, 2, 2).sum(1)
    assert torch.allclose(_walked(q, SUMS["clamp"], 0, contrast=False), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["excitation_bp", "contrastive_ebp"])
def test_batch_norm_is_folded_into_its_convolution(name):
    """With negative scales among them: passing through unchanged would not see the sign."""
    net = nets.seeded(nets.GapNet).eval()
    net.features[1].weight.data[::2] *= -1
    fused = nets.seeded(nets.GapNet).eval()
    fused.features[0] = fuse_conv_bn_eval(net.features[0], net.features[1])
    fused.features[1] = nn.Identity()
    ours, theirs = (explain(name, query(made, target=3), {"finer": 2}).maps for made in (net, fused))
    assert float(theirs.max()) > 0
    assert relative(ours, theirs) <= 1e-4


def test_a_residual_sum_is_divided_as_asked():
    """clamp, proportional and ignore at the one sum of the residual net, from the values on both sides."""
    q = query("residual", count=1, layer="norm")
    shares = {skip: _walked(q, SUMS[skip], 0, contrast=False)[0] for skip in SUMS}
    assert not torch.allclose(shares["clamp"], shares["ignore"], atol=1e-4)
    assert not torch.allclose(shares["clamp"], shares["proportional"], atol=1e-4)
    net = q.net
    skip = net.norm(net.stem(q.images)).relu()
    branch = net.two(net.one(skip).relu())
    top = (branch + skip).relu().mean((2, 3))
    up = net.fc.weight[1].clamp(min=0) * top
    arrived = (
        (up / up.sum())[..., None, None] * (branch + skip).relu() / (branch + skip).relu().sum((2, 3), keepdim=True)
    )
    direct = torch.where(branch + skip > 0, arrived, 0) * skip.clamp(min=0) / (skip.clamp(min=0) + branch.clamp(min=0))
    direct = direct.nan_to_num().sum(1)[0]
    # What came straight through the skip connection is part of the whole; the rest came through the branch.
    assert bool((shares["clamp"] >= direct - 1e-6).all())
    assert 0.05 < float(direct.sum()) < 0.95


@pytest.mark.parametrize("net", ["gap", "cnn", "residual"])
def test_contrast_adds_up_to_nothing_and_turns_with_the_weights(net):
    q = query(net)
    raw = _walked(q, SUMS["clamp"], 1, contrast=True)
    assert torch.allclose(raw.sum((1, 2)), torch.zeros(2), atol=1e-5)
    assert float(raw.abs().max()) > 1e-3
    last = q.net.fc if hasattr(q.net, "fc") else q.net.classifier[2]
    last.weight.neg_()
    assert torch.allclose(_walked(q, SUMS["clamp"], 1, contrast=True), -raw, atol=1e-6)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("make", [lambda: nets.GapNet(bias=False, norm=False), lambda: nets.TinyCnn(bias=False)])
def test_relevance_is_conserved_without_biases(make, rule):
    found = explain("lrp", query(nets.seeded(make)), {"rule": rule, "epsilon": 1e-9})
    assert torch.allclose(found.maps.sum((1, 2)), found.scores, rtol=1e-3)
    assert found.remarks["share of the score kept"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("net", ["gap", "cnn", "residual"])
def test_epsilon_tends_to_input_times_gradient(net):
    q = query(net)
    ours = explain("lrp", q, {"rule": "epsilon", "epsilon": 1e-9}).maps
    assert relative(ours, explain("input_x_gradient", q).maps) <= 1e-3


@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not")
@pytest.mark.parametrize("make", [nets.TinyCnn, lambda: nets.GapNet(norm=False), torchvision.models.squeezenet1_1])
def test_epsilon_equals_captum(make):
    side = 64 if make is torchvision.models.squeezenet1_1 else nets.SIDE
    net = nets.seeded(make).eval()
    for name, module in list(net.named_modules()):
        if isinstance(module, nn.Identity):
            net.features[int(name.split(".")[1])] = nn.Dropout()
            net.eval()
    q = query(nets.seeded(make), side=side)
    theirs = captum.attr.LRP(net).attribute(q.images.clone(), target=1).detach().sum(1)
    ours = explain("lrp", q, {"rule": "epsilon", "epsilon": 1e-9}).maps
    assert relative(ours, theirs) <= 1e-3


def matrix_rule(weight, bias, x, received, rule, gamma=0.25):
    """A rule with every contribution z[i, j] = w[i, j] x[j] written into one matrix."""
    z = weight * x[None]
    if rule == "epsilon":
        total = z.sum(1) + bias
    elif rule == "alpha1beta0":
        z, bias = z.clamp(min=0), bias.clamp(min=0)
        total = z.sum(1) + bias
    elif rule == "excitation":
        z = weight.clamp(min=0) * x.clamp(min=0)[None]
        total = z.sum(1)
    else:
        sign = torch.sign(z.sum(1) + bias)[:, None]
        z = z + gamma * torch.where(torch.sign(z) == sign, z, 0.0)
        bias = bias + gamma * torch.where(torch.sign(bias) == sign[:, 0], bias, 0.0)
        total = z.sum(1) + bias
    return torch.where(total[:, None] == 0, 0.0, z / total[:, None] * received[:, None]).sum(0)


@pytest.mark.parametrize("rule", ["epsilon", "gamma", "alpha1beta0", "excitation"])
def test_rules_equal_matrices(rule):
    """A convolution as the matrix that it is, found by pushing every unit image through it."""
    generator = torch.Generator().manual_seed(1)
    conv = nn.Conv2d(2, 3, 3, stride=2, padding=1).double().requires_grad_(False)
    conv.weight.copy_(torch.randn(conv.weight.shape, generator=generator))
    conv.bias.copy_(torch.randn(3, generator=generator))
    x = torch.randn(1, 2, 6, 6, generator=generator, dtype=torch.float64)
    units = torch.eye(72, dtype=torch.float64).view(72, 2, 6, 6)
    matrix = nn.functional.conv2d(units, conv.weight, None, 2, 1).flatten(1).T
    received = torch.randn(1, 3, 3, 3, generator=generator, dtype=torch.float64)
    bias = conv.bias.view(1, 3, 1, 1).expand(1, 3, 3, 3).flatten()
    operation = Operation(
        x, conv.weight, conv.bias.view(1, 3, 1, 1), lambda a, w: nn.functional.conv2d(a, w, None, 2, 1)
    )
    ours = {
        "epsilon": lambda: by_epsilon(operation, received, 1e-12),
        "gamma": lambda: by_gamma(operation, received, 0.25, 1e-12),
        "alpha1beta0": lambda: by_alpha1beta0(operation, received, 1e-12),
        "excitation": lambda: excitatory(operation, received),
    }[rule]()
    expected = matrix_rule(matrix, bias, x.flatten(), received.flatten(), rule)
    assert torch.allclose(ours.flatten(), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ["lrp", "excitation_bp", "contrastive_ebp"])
@pytest.mark.parametrize(("net", "word"), [("vit", "gelu"), ("norelu", "gelu"), ("additive", "einsum")])
def test_an_operation_without_rule_is_named(name, net, word):
    reason = EXPLAINERS[name].unmet(nets.model(net))
    assert word in reason or "has none" in reason
    with pytest.raises(Unsupported):
        explain(name, query(net))


def test_two_signals_multiplied_are_refused():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)
            self.fc = nn.Linear(4, 3)

        def forward(self, x):
            x = self.conv(x).relu()
            return self.fc((x * x.mean((2, 3), keepdim=True)).mean((2, 3)))

    assert EXPLAINERS["lrp"].unmet(nets.model(nets.seeded(Gated))) == "LRP has no rule for mul, which Gated uses."


def test_units_are_explained_too():
    q = query("gap", target=5, unit_layer="features.8", layer="features.2")
    walked = explain("excitation_bp", q)
    alive = q.net.features(q.images)[:, 5].amax((1, 2)) > 0
    assert torch.allclose(walked.maps.sum((1, 2)), alive.float(), atol=1e-5)
    found = explain("lrp", query(nets.seeded(lambda: nets.GapNet(False, False)), target=5, unit_layer="features.8"))
    assert torch.allclose(found.maps.sum((1, 2)), found.scores, rtol=1e-3, atol=1e-7)
    with pytest.raises(Unsupported, match="not units"):
        explain("contrastive_ebp", q)


def test_a_score_of_zero_has_nothing_to_hand_down():
    """A network that ends in a ReLU says exactly zero of many classes; that neither crashes nor looks like evidence."""
    net = nets.seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * nets.SIDE**2, 4), nn.ReLU()))
    net[1].bias.data.fill_(-1e4)
    found = explain("lrp", query(nets.model(net)), {})
    assert not found.maps.any()
    assert "zero" in found.remarks["share of the score kept"]
