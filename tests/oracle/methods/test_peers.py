"""The same maps from independent tools, where they are installed: pytorch-grad-cam, zennit, lime and captum.

Networks with random weights, and real ones on real photos where `../shared/data` is there. Run with `-s` for the table
of largest differences, relative to the largest value of the peer's map.
"""

import importlib
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path

import captum.attr
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from safetensors.torch import load_file
from torch import nn

from core.explain import explain
from core.explain.baselines import scaled
from core.explain.methods.cam import grad_cam, grad_cam_pp, hires_cam, layer_cam, responses, xgrad_cam
from core.explain.methods.modified_backprop import rectified_slope
from core.explain.methods.relevance import SUMS, _propagated, conditional_relevance
from core.explain.methods.surrogate import coins
from core.explain.segments import pieces
from core.images import decode
from tests import nets

pytestmark = pytest.mark.slow

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
CAMS = {
    "GradCAM": grad_cam, "GradCAMPlusPlus": grad_cam_pp, "LayerCAM": layer_cam, "HiResCAM": hires_cam,
    "XGradCAM": xgrad_cam,
}  # fmt: skip
REAL, MOBILE = (
    pytest.param(
        f"{name} (real)",
        marks=pytest.mark.skipif(not (DATA / "models").is_dir(), reason="the folder ../shared/data is not here"),
    )
    for name in ("squeezenet1_0", "mobilenet_v2")
)


@cache
def network(name):
    if name.endswith("(real)"):
        known = name.removesuffix(" (real)")
        net = torchvision.models.get_model(known, weights=None)
        net.load_state_dict(load_file(DATA / "models" / f"{known}.safetensors"))
        return nets.model(net, side=224)
    return nets.model(nets.seeded(thin_vgg if name == "vgg11" else getattr(torchvision.models, name)), side=64)


def thin_vgg():
    """VGG-11 with 64 instead of 4,096 channels between its linear layers, which hold nearly all of its weights."""
    net = torchvision.models.vgg11(weights=None, init_weights=False)
    net.classifier = nn.Sequential(
        nn.Linear(512 * 7 * 7, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1000)
    )
    return net


def asked(name, target=217, side=224):
    """One photo of that side where the weights are real, else two images of noise."""
    model = network(name)
    if not name.endswith("(real)"):
        return nets.query(model, target=target, side=64)
    path = sorted((DATA / "photos" / "n02102040").iterdir())[0]
    cut = replace(model.preprocess, crop=side, resize=side * 8 // 7)
    photo = cut.tensor(cut.view(decode(path.read_bytes(), path.name).pixels))
    return replace(nets.query(model, count=1, target=target, side=side), images=photo[None])


def difference(what, name, ours, theirs):
    ours, theirs = ours.detach().double(), torch.as_tensor(theirs).detach().double()
    found = float((ours - theirs).abs().max() / theirs.abs().max())
    print(f"| {what} | {name} | {found:.1e} |")
    return found


def from_grad_cam(peer, query, layer):
    """The raw map of one of its classes, before it is scaled and enlarged."""
    tools = pytest.importorskip("pytorch_grad_cam", reason="needs the extra `peers`")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    targets = [ClassifierOutputTarget(int(target)) for target in query.targets.indices]
    module, images = query.net.get_submodule(layer), query.images.clone().requires_grad_()
    with getattr(tools, peer)(model=query.net, target_layers=[module]) as cam:
        cam.activations_and_grads(images) if peer == "ScoreCAM" else cam(images, targets)
        kept = cam.activations_and_grads
        values = kept.activations[0].numpy()
        slopes = kept.gradients[0].numpy() if kept.gradients else None
        return values, slopes, np.maximum(cam.get_cam_image(images, module, targets, values, slopes, False), 0)


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", REAL, MOBILE])
@pytest.mark.parametrize("peer", CAMS)
def test_cams_equal_grad_cam_of_others(peer, name, monkeypatch):
    query = asked(name)
    values, _, theirs = from_grad_cam(peer, query, query.at)
    ours = CAMS[peer](query)
    found = difference(f"{peer}, pytorch-grad-cam", name, ours, theirs)
    if peer == "GradCAMPlusPlus":
        # It adds 1e-6 to a denominator that is itself of the size of g²: without that, the two agree.
        without(monkeypatch, 1e-6, "pytorch_grad_cam.grad_cam_plusplus", peer)
        *_, theirs = from_grad_cam(peer, query, query.at)
        found = difference(f"{peer} without its 1e-6, pytorch-grad-cam", name, ours, theirs)
    assert found <= 1e-5
    assert torch.allclose(responses(query)[0], torch.from_numpy(values), atol=1e-5)


def without(monkeypatch, constant, module, name):
    """Have the peer's own code run with a constant made vanishingly small."""
    code = getattr(importlib.import_module(module), name).get_cam_weights.__code__
    assert constant in code.co_consts
    constants = tuple(1e-37 if value == constant else value for value in code.co_consts)
    monkeypatch.setattr(f"{module}.{name}.get_cam_weights.__code__", code.replace(co_consts=constants))


@pytest.mark.parametrize("name", ["resnet18", REAL])
def test_score_cam_equals_grad_cam_of_others_once_maps_are_enlarged_alike(name, monkeypatch):
    """It enlarges maps corner to corner, and here they are enlarged pixel centre to pixel centre."""
    query = replace(asked(name, side=96), layer="layer3" if name == "resnet18" else "")
    ours = explain("score_cam", query).maps
    monkeypatch.setattr(nn, "UpsamplingBilinear2d", lambda size: nn.Upsample(size, mode="bilinear"))
    *_, theirs = from_grad_cam("ScoreCAM", query, query.at)
    assert difference("ScoreCAM, pytorch-grad-cam", name, ours, enlarged(theirs, query)) <= 1e-5


def enlarged(maps, query):
    return F.interpolate(torch.from_numpy(maps)[:, None], query.size, mode="bilinear")[:, 0]


class DrawnMap:
    """Hands lime draws made elsewhere in place of random ones."""

    def __init__(self, visible):
        self.visible = visible

    def randint(self, low, high, size):
        assert (low, high, size) == (0, 2, self.visible.size)
        return self.visible.ravel()


@pytest.mark.parametrize("name", ["resnet18", REAL, MOBILE])
@pytest.mark.parametrize("cut", ["quickshift", "slic"])
def test_lime_equals_lime_of_others_on_the_same_segments_and_draws(cut, name, monkeypatch):
    """Its distance is the cosine to the whole image, which for draws of zeros and ones is 1 − √(visible share)."""
    tools = pytest.importorskip("lime.lime_image", reason="needs the extra `peers`")
    monkeypatch.setattr(tools, "tqdm", iter)  # its bars would hide the table
    query = doubled(asked(name, side=128))
    query = replace(query, images=query.images[:1], targets=query.targets[:1])
    settings = {"samples": 100, "cut": cut, "segments": 30, "score": "prob"}
    ours, cut_up = explain("lime_image", query, settings), pieces(query, cut, 30, "mean")
    visible = coins(cut_up)(range(100)).numpy().astype(int)

    @torch.no_grad()
    def probabilities(images):
        return query.net(torch.from_numpy(images).permute(0, 3, 1, 2)).softmax(1).numpy()

    peer = tools.LimeImageExplainer(kernel_width=0.25)
    peer.random_state = DrawnMap(visible)
    theirs = peer.explain_instance(
        query.images[0].permute(1, 2, 0).numpy(), probabilities, labels=(217,), top_labels=None, num_samples=100,
        segmentation_fn=lambda image: cut_up.cells.numpy(), random_seed=0,
    )  # fmt: skip
    values = torch.zeros(cut_up.count, dtype=torch.float64)
    for segment, coefficient in theirs.local_exp[217]:
        values[segment] = coefficient
    assert difference(f"LIME on {cut}, lime", name, ours.maps[0], values[cut_up.cells]) <= 1e-5
    assert ours.remarks["weighted R²"] == pytest.approx(theirs.score, rel=1e-5)
    assert ours.remarks["local prediction"] == pytest.approx(theirs.local_pred[0], rel=1e-5)


def from_zennit(composite, query, layer=""):
    """Relevance at the input, or at the output of a layer."""
    seen, model = {}, query.net
    with composite.context(model) as changed:
        images = query.images.clone().requires_grad_()
        handle = (
            model.get_submodule(layer).register_forward_hook(lambda m, i, out: seen.update(at=out)) if layer else None
        )
        logits = changed(images)
        if handle:
            handle.remove()
        chosen = torch.zeros_like(logits)
        chosen[torch.arange(len(chosen)), query.targets.indices] = 1
        start = chosen if layer else chosen * logits.detach()
        return torch.autograd.grad(logits, seen["at"] if layer else images, start)[0].sum(1)


def lrp_like(rule):
    """The composite of zennit with the same rules as ours."""
    pytest.importorskip("zennit", reason="needs the extra `peers`")
    from zennit.composites import EpsilonPlus, LayerMapComposite, layer_map_base
    from zennit.rules import Epsilon, Gamma, ZPlus
    from zennit.types import Linear

    if rule == "composite":
        return EpsilonPlus(epsilon=1e-6, stabilizer=1e-6)
    rules = {"epsilon": Epsilon(1e-6), "gamma": Gamma(0.25, 1e-6), "alpha1beta0": ZPlus(1e-6)}
    return LayerMapComposite([(Linear, rules[rule]), *layer_map_base(1e-6)])


@pytest.mark.parametrize("name", ["vgg11", REAL])
@pytest.mark.parametrize("rule", ["composite", "epsilon", "gamma", "alpha1beta0"])
def test_relevance_equals_zennit(rule, name):
    query = doubled(asked(name))
    theirs = from_zennit(lrp_like(rule), query)
    found = difference(f"LRP {rule}, zennit", name, explain("lrp", query, {"rule": rule}).maps, theirs)
    assert found <= 1e-5


def test_relevance_by_way_of_a_unit_equals_zennit():
    query, layer, unit = doubled(asked("vgg11")), "features.9", 5

    def only(_module, received):  # what a ReLU receives is the relevance of its output
        kept = torch.zeros_like(received[0])
        kept[:, unit] = received[0][:, unit]
        return (kept,)

    handle = query.net.get_submodule(layer).register_full_backward_pre_hook(only)
    theirs = from_zennit(lrp_like("composite"), query)
    handle.remove()
    ours = conditional_relevance(query, layer, unit)
    assert difference("LRP by way of a unit, zennit", "vgg11", ours, theirs) <= 1e-5


@pytest.mark.parametrize("name", ["vgg11", REAL])
def test_excitation_equals_zennit(name):
    pytest.importorskip("zennit", reason="needs the extra `peers`")
    from zennit.composites import ExcitationBackprop

    query = doubled(asked(name))
    layer = query.model.survey.stages[-2]
    theirs = from_zennit(ExcitationBackprop(stabilizer=1e-12, zero_params="bias"), query, layer)
    ours = _propagated(query, SUMS["clamp"], 1, contrast=False)
    assert difference("excitation, zennit", name, ours, theirs) <= 1e-5


def doubled(query):
    """The same question to a copy in double precision."""
    model = replace(query.model, net=deepcopy(query.net).double(), sha=query.model.sha + "64")
    return replace(query, model=model, images=query.images.double())


@pytest.mark.parametrize("name", ["resnet18", REAL])
@pytest.mark.filterwarnings("ignore:Setting backward hooks", "ignore:Input Tensor 0 did not")
def test_maps_equal_captum(name):
    # In double precision: a ReLU that rounding switches on one side only would look like a different method.
    query, attr = doubled(asked(name)), captum.attr
    net, images, side = query.net, query.images, query.size
    layer = net.get_submodule(query.at)
    cam = attr.LayerGradCam(net, layer).attribute(images, target=217, relu_attributions=True)
    size, step = scaled(64, side[0]), scaled(32, side[0])
    window = {"sliding_window_shapes": (3, size, size), "strides": (3, step, step)}
    theirs = {
        "saliency": attr.Saliency(net).attribute(images.clone(), target=217).amax(1),
        "input_x_gradient": attr.InputXGradient(net).attribute(images.clone(), target=217).sum(1),
        "integrated_gradients": attr.IntegratedGradients(net).attribute(images, target=217, n_steps=20).sum(1),
        "grad_cam": attr.LayerAttribution.interpolate(cam, side, "bilinear")[:, 0],
        "occlusion": attr.Occlusion(net).attribute(images, target=217, perturbations_per_eval=16, **window)[:, 0],
    }
    settings = {
        "integrated_gradients": {"steps": 20, "start": "grey"},
        "occlusion": {"window": 64, "stride": 32, "score": "logit"},
    }
    for kind, peer in (("guided", "GuidedBackprop"), ("deconvnet", "Deconvolution")):
        target = 217 if kind == "guided" else 250  # through the trained network hardly any other class survives
        slope = getattr(attr, peer)(net).attribute(images.clone(), target=target)
        assert slope.any()
        other = replace(query, targets=torch.full_like(query.targets.indices, target))
        assert difference(f"{kind}, captum", name, rectified_slope(other, kind), slope) <= 1e-5
    for method, wanted in theirs.items():
        ours = explain(method, query, settings.get(method)).maps
        assert difference(f"{method}, captum", name, ours, wanted) <= 1e-5
