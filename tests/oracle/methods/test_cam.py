"""Class activation maps against identities of networks that end in pooling, and against captum."""

from dataclasses import replace

import captum.attr
import pytest
import torch

import core.explain.methods.cam as family
from core.errors import Unsupported
from core.explain import EXPLAINERS, explain
from core.explain.methods.cam import (
    cam,
    grad_cam,
    grad_cam_pp,
    hires_cam,
    layer_cam,
    responses,
    upsampled_activation,
    xgrad_cam,
)
from core.explain.methods.modified_backprop import rectified_slope
from core.images import resized
from tests import nets
from tests.nets import query


def test_grad_cam_times_its_positions_adds_up_to_the_logit():
    """On a network that ends in pooling and one linear layer, Σ before ReLU + bias = logit."""
    q = query("gap")
    recording = q.forward_backward()
    values, slopes = recording.values[q.at], recording.slopes[q.at]
    before = (slopes.mean((2, 3), keepdim=True) * values).sum((1, 2, 3))
    assert torch.allclose(before + q.net.fc.bias[1], recording.logits[:, 1], atol=1e-5)
    assert torch.allclose(cam(q).mean((1, 2)) + q.net.fc.bias[1], recording.logits[:, 1], atol=1e-5)
    assert torch.allclose(cam(q).relu(), grad_cam(q) * 64, rtol=1e-4, atol=1e-6)
    assert torch.allclose(grad_cam(q), (slopes.mean((2, 3), keepdim=True) * values).sum(1).relu())


@pytest.mark.parametrize(("net", "layer"), [("gap", "features.8"), ("cnn", "features.4"), ("residual", "two")])
def test_grad_cam_equals_captum(net, layer):
    q = query(net, layer=layer)
    peer = captum.attr.LayerGradCam(q.net, q.net.get_submodule(layer))
    theirs = peer.attribute(q.images, target=1, relu_attributions=True).detach()
    theirs = captum.attr.LayerAttribution.interpolate(theirs, q.size, "bilinear")[:, 0]
    ours = explain("grad_cam", q).maps
    assert float(theirs.max()) > 0
    assert float((ours - theirs).abs().max() / theirs.max()) <= 1e-6


def test_grad_cam_of_a_class_with_negative_weights_is_blank_and_says_so():
    net = nets.seeded(nets.GapNet)
    with torch.no_grad():
        net.fc.weight[2] = -net.fc.weight[2].abs()
    found = explain("grad_cam", query(net, target=2))
    assert not found.maps.any()
    assert found.note() == "No evidence: the map is zero everywhere."


def test_grad_cam_of_tokens_drops_the_class_token():
    q = query("vit")
    recording = q.forward_backward()
    values, slopes = recording.values[q.at][:, 1:], recording.slopes[q.at][:, 1:]
    expected = (values * slopes.mean(1, keepdim=True)).sum(2).relu().view(2, 4, 4)
    assert torch.allclose(grad_cam(q), expected)


class PreActivation(torch.nn.Module):
    """A network whose last ReLU is called by hand between its last layer and the pooling, as in DenseNet."""

    def __init__(self):
        super().__init__()
        self.features = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, 2, 1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(8, 12, 3, padding=1),
            torch.nn.BatchNorm2d(12),
        )
        self.fc = torch.nn.Linear(12, nets.CLASSES)

    def forward(self, x):
        return self.fc(torch.nn.functional.relu(self.features(x), inplace=True).mean((2, 3)))


@pytest.mark.parametrize("make", [nets.NoRelu, nets.ReusedRelu, PreActivation])
def test_cam_averages_to_the_logit_whatever_the_activation(make):
    q = query(nets.seeded(make))
    found = explain("cam", q)
    assert found.layer == q.model.survey.default
    assert torch.allclose(cam(q).mean((1, 2)) + q.net.fc.bias[1], found.scores, atol=1e-5)


def test_cam_is_refused_where_the_network_ends_otherwise():
    for net in ("cnn", "vit", "linear"):
        with pytest.raises(Unsupported, match="global average pooling"):
            explain("cam", query(net))


def test_cams_of_a_pooled_network_are_multiples_of_each_other():
    """The slope is w/Z everywhere: HiResCAM = XGrad-CAM = Grad-CAM; LayerCAM and ++ only see positive weights."""
    q = query("gap")
    values, weight = q.forward_backward().values[q.at], q.net.fc.weight[1]
    positive = weight.clamp(min=0)[None, :, None, None]
    assert torch.allclose(hires_cam(q), grad_cam(q), atol=1e-6)
    assert torch.allclose(xgrad_cam(q), grad_cam(q), atol=1e-6)
    assert torch.allclose(layer_cam(q), (positive / 64 * values).sum(1), atol=1e-6)
    paper = positive / (2 + weight[None, :, None, None] * values.mean((2, 3), keepdim=True))
    assert torch.allclose(grad_cam_pp(q), (paper * values).sum(1), rtol=1e-5, atol=1e-7)
    assert torch.allclose(grad_cam_pp(q, normalise="authors"), (positive / 64 * values).sum(1), atol=1e-6)


def doubled(net, **rest):
    """A question in double precision, and what its layer answers as maps (K, h, w): its values and their slopes."""
    q = query(net, count=1, **rest)
    q.net.double()
    q = replace(q, images=q.images.double())
    values, slopes = responses(q)
    return q, values[0], slopes[0]


def test_grad_cam_pp_equals_the_printed_formula():
    """Equation 19 with its powers, by position, on a network whose gradients differ between positions."""
    q, values, slopes = doubled("cnn")
    for normalise in ("paper", "authors"):
        total = torch.zeros(values.shape[1:], dtype=torch.float64)
        for one, slope in zip(values, slopes, strict=True):
            bottom = 2 * slope**2 + one.sum() * slope**3
            shares = torch.where(slope > 0, slope**2 / bottom, 0.0)
            if normalise == "authors" and shares.sum() > 0:
                shares = shares / shares.sum()
            total += (shares * slope.clamp(min=0)).sum() * one
        ours = grad_cam_pp(q, normalise=normalise)[0]
        assert torch.allclose(ours, total.clamp(min=0), rtol=1e-9, atol=1e-12 * float(total.max()))


@pytest.mark.parametrize(("net", "layer"), [("norelu", "features.1"), ("norelu", ""), ("vit", "")])
def test_xgrad_cam_and_grad_cam_pp_of_a_smooth_activation_divide_by_plain_sums(net, layer):
    """By position. In Grad-CAM++ a filter of negative sum counts as one of sum zero: its α has a pole."""
    q, values, slopes = doubled(net, layer=layer)
    assert float(values.min()) < 0
    cross, plus = torch.zeros_like(values[0]), torch.zeros_like(values[0])
    for one, slope in zip(values, slopes, strict=True):
        cross += (one * slope / one.sum()).sum() * one
        bottom = 2 * slope**2 + max(float(one.sum()), 0.0) * slope**3
        plus += (torch.where(slope > 0, slope**2 / bottom, 0.0) * slope.clamp(min=0)).sum() * one
    for ours, expected in ((xgrad_cam(q), cross), (grad_cam_pp(q), plus)):
        assert torch.allclose(ours[0], expected.clamp(min=0), rtol=1e-8, atol=1e-10 * float(expected.abs().max()))


def test_a_filter_that_answers_nothing_has_no_weight():
    net = nets.seeded(nets.GapNet)
    net.features[7].weight.data[3], net.features[7].bias.data[3] = 0, 0
    q = query(net)
    assert torch.allclose(xgrad_cam(q), grad_cam(q), atol=1e-6)


@pytest.mark.parametrize("name", ["grad_cam", "grad_cam_pp"])
def test_guided_cams_are_the_product(name):
    q = query("cnn")
    fine = rectified_slope(q, "guided").abs().amax(1)
    where = explain(name, q).maps
    assert torch.allclose(explain(f"guided_{name}", q).maps, fine * where, atol=1e-7)
    assert not explain(f"guided_{name}", q).maps[where == 0].any()
    signed = explain(f"guided_{name}", q, {"reduce": "sum"})
    assert torch.allclose(signed.maps, rectified_slope(q, "guided").sum(1) * where, atol=1e-7)
    assert float(signed.maps.min()) < 0
    assert signed.signed


@pytest.mark.parametrize("name", ["grad_cam", "grad_cam_pp"])
def test_guided_cams_are_guided_backprop_where_the_map_is_one(name, monkeypatch):
    q = query("cnn")
    inner = "grad_cam" if name == "grad_cam" else "_grad_cam_pp"
    monkeypatch.setattr(family, inner, lambda asked, *rest: torch.ones(len(asked.images), 4, 4))
    for reduce in ("max_abs", "sum_abs"):
        ours = explain(f"guided_{name}", q, {"reduce": reduce}).maps
        assert torch.equal(ours, explain("guided_backprop", q, {"reduce": reduce}).maps)


def test_score_cam_equals_a_plain_loop():
    q = query("cnn", count=1)
    values = q.forward_backward().values[q.at][0]
    scores = []
    for one in values:
        large = resized(one[None], q.size)
        spread = large.max() - large.min()
        mask = (large - large.min()) / spread if spread > 0 else torch.zeros_like(large)
        scores.append(float(q.net(q.images * mask[None]).detach()[0, 1]))
    weights = torch.tensor(scores).softmax(0)
    expected = (weights[:, None, None] * values).sum(0).relu()
    ours = explain("score_cam", q).maps
    assert torch.allclose(ours, resized(expected[None], q.size), rtol=1e-4)
    strongest = values.mean((1, 2)).topk(8).indices
    few = (torch.tensor(scores)[strongest].softmax(0)[:, None, None] * values[strongest]).sum(0)
    assert torch.allclose(explain("score_cam", q, {"channels": 8}).maps, resized(few[None], q.size), rtol=1e-4)


def test_score_cam_of_the_paper_tries_every_filter():
    wide = torch.nn.Sequential(torch.nn.Conv2d(3, 600, 8, 8), torch.nn.ReLU(), torch.nn.Conv2d(600, 4, 4))
    q = query(nets.seeded(lambda: torch.nn.Sequential(wide, torch.nn.Flatten())), count=1, layer="0.1")
    assert explain("score_cam", q, EXPLAINERS["score_cam"].budget("paper")).forwards >= 600


def test_upsampled_activation_shows_the_strongest_filters():
    q = query("gap", count=1)
    values = q.forward_backward().values[q.at][0]
    strongest = resized(values[values.square().mean((1, 2)).topk(3).indices], q.size)
    low, high = strongest.amin((1, 2), keepdim=True), strongest.amax((1, 2), keepdim=True)
    scaled = (strongest - low) / (high - low)
    assert torch.allclose(upsampled_activation(q, units=1)[0], scaled[0])
    assert torch.allclose(upsampled_activation(q, units=3)[0], scaled.amax(0))
    asked = query("gap", count=1, target=3, unit_layer="features.5")
    unit = resized(asked.forward_backward("features.5").values["features.5"][:, 3], q.size)[0]
    expected = (unit - unit.min()) / (unit.max() - unit.min())
    assert torch.allclose(upsampled_activation(asked)[0], expected)


def test_cams_explain_a_unit_of_a_later_layer():
    q = query("gap", count=1, target=5, unit_layer="features.8", layer="features.5")
    values = q.forward_backward().values["features.5"]
    leaf = values.clone().requires_grad_()
    later = q.net.features[6:](leaf)[0, 5].mean()
    slopes = torch.autograd.grad(later, leaf)[0]
    assert torch.allclose(grad_cam(q), (slopes.mean((2, 3), keepdim=True) * values).sum(1).relu(), atol=1e-7)
    with pytest.raises(Unsupported, match="not units"):
        explain("cam", q)


def test_upsampled_activation_takes_as_many_filters_as_asked_or_all():
    """The layer has 16 filters of 8 × 8."""
    q = query("gap", count=2)
    values = q.forward_backward().values[q.at]
    assert values.shape[1:] == (16, 8, 8)
    for units in (7, 9, 15, 16, 40):
        for one, found in zip(values, upsampled_activation(q, units=units), strict=True):
            chosen = resized(one[one.square().mean((1, 2)).argsort(descending=True)[:units]], q.size)
            low, high = chosen.amin((1, 2), keepdim=True), chosen.amax((1, 2), keepdim=True)
            scaled = (chosen - low) / (high - low).clamp_min(1e-30)
            assert torch.allclose(found, scaled.amax(0), atol=1e-6)
