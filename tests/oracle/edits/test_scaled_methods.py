"""Maps of a network with scaled filters, against a hook by hand and against a network with scaled weights.

A ReLU passes factors that are not negative, so scaling its outputs is scaling the weights and biases of the convolution
before it.
"""

import copy

import pytest
import torch

from core.edits.apply import scaled
from core.edits.edit import Filters
from core.explain import EXPLAINERS
from core.explain.run import explain
from tests import nets

FACTORS = {1: 3.0, 2: 3.0, 4: 0.0, 5: 0.5}  # by filter
EDITED = ("features.5", "features.8")  # a layer on the way, and the one that class activation maps read
METHODS = [
    "saliency", "input_x_gradient", "smoothgrad", "integrated_gradients",
    "guided_backprop", "deconvnet", "excitation_bp", "contrastive_ebp", "lrp",
    "occlusion", "feature_ablation", "rise", "extremal_perturbation",
    "cam", "grad_cam", "grad_cam_pp", "layer_cam", "score_cam", "guided_grad_cam",
    "kernel_shap",
]  # fmt: skip
SINGLE = ("score_cam", "extremal_perturbation")  # compute in single precision whatever they are given


def edits(layer):
    return [Filters(layer, (unit,), factor) for unit, factor in FACTORS.items()]


def factors(count):
    values = torch.ones(count)
    for unit, factor in FACTORS.items():
        values[unit] = factor
    return values


def with_weights(layer):
    """The same network with scaled weights instead."""
    net = nets.seeded(nets.GapNet)
    before = net.features[int(layer.rpartition(".")[2]) - 1]
    scale = factors(before.out_channels)
    with torch.no_grad():
        before.weight *= scale[:, None, None, None]
        before.bias *= scale
    return nets.model(net)


@pytest.mark.parametrize("layer", EDITED)
@pytest.mark.parametrize("name", METHODS)
def test_maps_are_those_of_scaled_weights(name, layer):
    method = EXPLAINERS[name]
    model = nets.model("gap")
    precise = (lambda one: one) if name in SINGLE else nets.doubled
    asked = (nets.query(one) for one in (scaled(model, edits(layer)), with_weights(layer), nets.model("gap")))
    ours, theirs, plain = (explain(name, precise(one), nets.quick(method)).maps for one in asked)
    assert theirs.abs().max() > 0
    assert nets.relative(ours, theirs) < 1e-5
    assert nets.relative(plain, theirs) > 1e-3, "the edit changes the map"


@pytest.mark.parametrize("layer", EDITED)
def test_gradients_and_activation_maps_are_those_of_a_hook_by_hand(layer):
    model = nets.model("gap")
    inputs, kept = nets.images(2).requires_grad_(), {}
    net = copy.deepcopy(model.net)
    scale = factors(12 if layer == "features.5" else 16)[:, None, None]
    net.get_submodule(layer).register_forward_hook(lambda module, given, output: output * scale)
    net.get_submodule("features.8").register_forward_hook(lambda module, given, output: kept.update(values=output))
    scores = net(inputs)[:, 1].sum()
    slopes, own = torch.autograd.grad(scores, [inputs, kept["values"]])
    wanted = {
        "saliency": slopes.abs().amax(1),
        "input_x_gradient": (slopes * inputs).sum(1),
        "grad_cam": (own.mean((2, 3), keepdim=True) * kept["values"]).sum(1).relu(),
    }
    for name, expected in wanted.items():
        found = explain(name, nets.query(scaled(model, edits(layer))))
        maps = found.maps if found.grid is None else found.grid
        assert nets.relative(maps, expected.detach()) < 1e-5, name


@pytest.mark.parametrize("layer", EDITED)
def test_scores_are_those_of_a_hook_by_hand(layer):
    """Those that methods of perturbation ask for come from another network without watched layers."""
    model = nets.model("gap")
    net = copy.deepcopy(model.net)
    scale = factors(12 if layer == "features.5" else 16)[:, None, None]
    net.get_submodule(layer).register_forward_hook(lambda module, given, output: output * scale)
    asked = nets.query(scaled(model, edits(layer)))
    with torch.no_grad():
        logits = net(asked.images)
    assert torch.allclose(asked.logits(asked.images), logits, atol=1e-5)
    assert torch.allclose(asked.logits(asked.images, watched=False), logits, atol=1e-5)
