"""Class activation maps against identities of networks that end in pooling, and against captum."""

import captum.attr
import pytest
import torch

from core.explain.base import explain
from core.explain.cam import grad_cam
from tests import nets
from tests.nets import query


def test_grad_cam_times_its_positions_adds_up_to_the_logit():
    """On a network that ends in pooling and one linear layer, Σ before ReLU + bias = logit."""
    q = query("gap")
    tape = q.tape()
    values, slopes = tape.values[q.at], tape.slopes[q.at]
    before = (slopes.mean((2, 3), keepdim=True) * values).sum((1, 2, 3))
    assert torch.allclose(before + q.net.fc.bias[1], tape.logits[:, 1], atol=1e-5)
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
    tape = q.tape()
    values, slopes = tape.values[q.at][:, 1:], tape.slopes[q.at][:, 1:]
    expected = (values * slopes.mean(1, keepdim=True)).sum(2).relu().view(2, 4, 4)
    assert torch.allclose(grad_cam(q), expected)
