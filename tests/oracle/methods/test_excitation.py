"""Excitation backprop: probabilities at every stage, contrast, and sums that are divided as asked."""

from collections import OrderedDict

import pytest
import torch
import torchvision
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from core.explain import explain
from core.explain.methods.relevance import SUMS, _contrasted, _forward, _propagated
from core.explain.methods.relevance_rules import (
    Sweep,
    by_positive_values,
    excitatory,
    handed_on,
)
from core.network.hooks import capture
from tests import nets
from tests.nets import doubled, query, relative


@pytest.mark.parametrize("skip", list(SUMS))
@pytest.mark.parametrize("net", ["gap", "cnn", "residual"])
def test_excitation_is_a_probability_at_every_stage(net, skip):
    q = query(net)
    for finer in range(3):
        found = explain("excitation_bp", q, {"skip": skip, "finer": finer})
        raw = _propagated(q, SUMS[skip], finer, contrast=False)
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
    assert torch.allclose(_propagated(q, SUMS["clamp"], 0, contrast=False), expected, atol=1e-6)


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


def excited(weight, x, received):
    """The printed rule of one convolution of 3 × 3: P(j) = xⱼ Σᵢ W⁺ᵢⱼ P(i) / Σₖ W⁺ᵢₖ xₖ."""
    up = weight.clamp(min=0)
    total = nn.functional.conv2d(x, up, padding=1)
    return x * nn.functional.conv_transpose2d(torch.where(total > 0, received / total, 0), up, padding=1)


@pytest.mark.parametrize("skip", list(SUMS))
def test_a_residual_sum_is_divided_as_asked(skip):
    """The whole walk through the residual net by hand, with each way to divide its one sum."""
    q = doubled(query("residual", count=1, layer="norm"))
    net = q.net
    direct = net.norm(net.stem(q.images)).relu()
    inner = net.one(direct).relu()
    branch = net.two(inner)
    top = (branch + direct).relu()
    up = net.fc.weight[1].clamp(min=0)[None, :, None, None] * top
    arrived = up / up.sum()
    share = {
        "clamp": branch.relu() / (branch.relu() + direct),
        "proportional": branch / (branch + direct),
        "ignore": torch.ones_like(branch),
    }[skip]
    through = torch.where(arrived > 0, share * arrived, 0)
    below = excited(net.one.weight, direct, excited(net.two.weight, inner, through))
    expected = (arrived - through + below).sum(1)
    assert float((arrived - through).abs().sum()) > 0.05 or skip == "ignore"
    assert relative(_propagated(q, SUMS[skip], 0, contrast=False), expected) <= 1e-9


def arrivals(q, layers, skip, contrast=False):
    """What one walk brings to each of the layers."""
    sweep = Sweep(excitatory, by_positive_values, SUMS[skip], handed_on)
    with capture(q.net, *layers) as seen:
        _, start, seed = _forward(q, slice(None), sweep)
    if contrast:
        start, seed = _contrasted(sweep, start, seed)
    return torch.autograd.grad(start, [seen[layer] for layer in layers], seed)


@pytest.fixture(scope="module")
def vgg():
    """A question to VGG-11 with a narrow head, and all its layers before the last."""
    tv = torchvision.models.vgg

    def make():
        net = nn.Sequential(OrderedDict(features=tv.make_layers(tv.cfgs["A"]), flat=nn.Flatten()))
        net.classifier = nn.Sequential(nn.Linear(512 * 4, 32), nn.ReLU(True), nn.Dropout(), nn.Linear(32, 5))
        return net

    q = doubled(query(nets.seeded(make), count=1, side=64))
    return q, [*(f"features.{i}" for i in range(len(q.net.features))), *(f"classifier.{i}" for i in range(3))]


@pytest.fixture(scope="module")
def resnet():
    """A question to ResNet-18, and its blocks."""
    q = doubled(query(nets.seeded(torchvision.models.resnet18), count=1, side=64))
    return q, [f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)]


def test_excitation_is_a_probability_at_every_layer_of_a_vgg(vgg):
    q, layers = vgg
    for layer, found in zip(layers, arrivals(q, layers, "clamp"), strict=True):
        assert float(found.sum()) == pytest.approx(1, abs=1e-9), layer
        assert float(found.min()) >= 0, layer


@pytest.mark.parametrize("skip", list(SUMS))
def test_excitation_is_a_probability_after_every_block_of_a_resnet(resnet, skip):
    q, layers = resnet
    for layer, found in zip(layers, arrivals(q, layers, skip), strict=True):
        assert float(found.sum()) == pytest.approx(1, abs=1e-9), layer
        assert skip == "proportional" or float(found.min()) >= 0, layer


@pytest.mark.parametrize("shape", ["vgg", "resnet"])
def test_contrast_adds_up_to_nothing_at_every_layer_below(shape, request):
    q, layers = request.getfixturevalue(shape)
    for layer, found in zip(layers, arrivals(q, layers, "clamp", contrast=True), strict=True):
        assert float(found.sum()) == pytest.approx(0, abs=1e-9), layer
        assert float(found.abs().sum()) > 1e-3, layer


def test_what_no_input_excites_is_lost_and_told():
    """A filter that its bias alone switches on hands nothing down: of two, only the other one's share arrives."""
    net = nets.seeded(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)
        )
    )
    net[2].weight.data.abs_()
    net[2].weight.data[0] *= -1
    net[2].bias.data.copy_(torch.tensor([50.0, 0.1]))
    net[5].weight.data.abs_()
    q = query(net, side=2, layer="1")
    reached = (net[5].weight[1] * net[:5](q.images)).view(2, 2, 4).sum(2)
    fed = (net[:2](q.images).amax(1) > 0).all()
    assert bool(fed), "every place has something that excites the second filter"
    expected = reached[:, 1] / reached.sum(1)
    found = explain("excitation_bp", q)
    assert found.remarks["probability kept"] == pytest.approx(float(expected.min()), rel=1e-5)
    assert found.remarks["probability kept"] < 0.9


@pytest.mark.parametrize("net", ["gap", "cnn", "residual"])
def test_contrast_adds_up_to_nothing_and_turns_with_the_weights(net):
    q = query(net)
    raw = _propagated(q, SUMS["clamp"], 1, contrast=True)
    assert torch.allclose(raw.sum((1, 2)), torch.zeros(2), atol=1e-5)
    assert float(raw.abs().max()) > 1e-3
    last = q.net.fc if hasattr(q.net, "fc") else q.net.classifier[2]
    last.weight.neg_()
    assert torch.allclose(_propagated(q, SUMS["clamp"], 1, contrast=True), -raw, atol=1e-6)
