"""Ten white-box maps cost little more than one forward and one backward, and a quarter of other tools' one by one."""

import time

import numpy as np
import pytest
import torch
import torchvision

from core.cache import TensorCache
from core.explain import EXPLAINERS
from core.images import Picture
from core.workbench import Request, Workbench
from tests import nets

pytestmark = pytest.mark.bench

WHITE_BOX = (
    "saliency", "input_x_gradient", "cam", "grad_cam", "grad_cam_pp", "layer_cam", "hires_cam", "xgrad_cam",
    "layerwise_ixg", "upsampled_activation",
)  # fmt: skip
ROUNDS = 7
TARGET = 3
PICTURE = Picture("noise", np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8), "noise")


def image_of(model):
    """The picture as the network sees it."""
    return model.preprocess.tensor(model.preprocess.view(PICTURE.pixels))[None]


def spent(work):
    """Seconds of processor time: what other programs take meanwhile is not ours."""
    start = time.process_time()
    work()
    return time.process_time() - start


def fastest(*works):
    """The shortest time of each work, taken in turns."""
    for work in works:
        work()
    return [min(times) for times in zip(*[[spent(work) for work in works] for _ in range(ROUNDS)], strict=True)]


def bare(model, image):
    net = nets.as_published(model.net)

    def work():
        leaf = image.clone().requires_grad_()
        torch.autograd.grad(net(leaf)[0, TARGET], leaf)

    return work


def ours(model, picture, names):
    """A session that has seen nothing yet answers a comparison."""

    def work():
        failed = []
        requests = [Request(name, TARGET) for name in names]
        Workbench(model, TensorCache(1 << 30)).compare(
            picture, requests, lambda request, answer: failed.append(answer) if isinstance(answer, Exception) else None
        )
        assert not failed

    return work


def peers(model, image):
    """The same maps from captum and pytorch-grad-cam, each as its users call it."""
    import captum.attr
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    net = nets.as_published(model.net)
    layer = net.get_submodule(model.survey.default)
    stages = [net.get_submodule(stage) for stage in model.survey.stages[1:]]
    cams = ("GradCAM", "GradCAMPlusPlus", "LayerCAM", "HiResCAM", "XGradCAM")

    def work():
        captum.attr.Saliency(net).attribute(image.clone().requires_grad_(), target=TARGET)
        captum.attr.InputXGradient(net).attribute(image.clone().requires_grad_(), target=TARGET)
        for stage in stages:
            captum.attr.LayerGradientXActivation(net, stage).attribute(image, target=TARGET)
        captum.attr.LayerActivation(net, layer).attribute(image)
        for name in cams:
            with getattr(pytorch_grad_cam, name)(model=net, target_layers=[layer]) as cam:
                cam(input_tensor=image.clone().requires_grad_(), targets=[ClassifierOutputTarget(TARGET)])

    return work


@pytest.fixture(params=["squeezenet1_0", "resnet18", "vgg11"])
def model(request):
    return nets.model(nets.seeded(getattr(torchvision.models, request.param)), side=224)


def test_ten_maps_cost_little_more_than_one_pass(model):
    names = [name for name in WHITE_BOX if not EXPLAINERS[name].unmet(model)]
    one, ten = fastest(bare(model, image_of(model)), ours(model, PICTURE, names))
    print(f"{model.name}: {len(names)} maps {ten * 1e3:.0f} ms, one pass {one * 1e3:.0f} ms: {ten / one:.2f} ×")
    assert ten <= 1.3 * one


def test_ten_maps_are_four_times_faster_than_one_by_one(model):
    pytest.importorskip("pytorch_grad_cam", reason="needs the extra `peers`")
    names = [name for name in WHITE_BOX if not EXPLAINERS[name].unmet(model)]
    ten, others = fastest(ours(model, PICTURE, names), peers(model, image_of(model)))
    print(f"{model.name}: one by one {others * 1e3:.0f} ms, {len(names)} maps {ten * 1e3:.0f} ms: {others / ten:.1f} ×")
    assert others >= 4 * ten
