"""Explanations of ResNet-50 at 224 px beside other tools as their users call them.

Weights are random, batch norms have the statistics of other noise. Other tools get the network as it is published.
"""

import statistics
from itertools import count

import numpy as np
import pytest
import torch
import torchvision

from core.cache import TensorCache
from core.explain import EXPLAINERS, Explanation
from core.images import Picture, Preprocess
from core.progress import silent
from core.stored_maps.run import explain_folder
from core.workbench import Request, Workbench
from tests import nets
from tests.bench.measuring import seconds
from tests.bench.test_folder_speed import prepared

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]
ROUNDS = 3
MASKS = 128  # of RISE, which takes more by default: more change no ratio but the time to wait
PICTURE = Picture("noise", np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8), "noise")
CAMS = (
    "GradCAM", "GradCAMPlusPlus", "XGradCAM", "HiResCAM", "LayerCAM", "GradCAMElementWise", "EigenCAM", "EigenGradCAM",
    "KPCA_CAM", "RandomCAM",
)  # fmt: skip


def beside(what, tool, ours, *theirs):
    """The time of our work over the fastest way of another tool, taken in turns: the median.

    Our work may return its precision.
    """
    precision, *_ = [work() for work in (ours, *theirs)]
    rounds = [[seconds(work) for work in (ours, *theirs)] for _ in range(ROUNDS)]
    found = statistics.median(own / min(others) for own, *others in rounds)
    own, other = (statistics.median(one) for one in zip(*((own, min(rest)) for own, *rest in rounds), strict=True))
    told = f", precision {precision}" if precision else ""
    print(f"\n{what}: {own:.1f} s, {tool} {other:.1f} s: {found:.2f} ×{told}")
    return found


@pytest.fixture(autouse=True)
def _as_users_have_it(monkeypatch):
    """The precision that this machine decides on; other tests fix it."""
    monkeypatch.delenv("VITRINE_PRECISION", raising=False)


@pytest.fixture(scope="module")
def model():
    noise = np.random.default_rng(1).integers(0, 256, (16, 224, 224, 3), dtype=np.uint8)
    like_it = torch.stack([Preprocess().tensor(pixels) for pixels in noise])
    return nets.model(nets.normalised(nets.seeded(torchvision.models.resnet50), like_it), side=224)


@pytest.fixture(scope="module")
def net(model):
    return nets.as_published(model.net)


@pytest.fixture(scope="module")
def image(model):
    return model.preprocess.tensor(model.preprocess.view(PICTURE.pixels))[None]


@pytest.fixture(scope="module")
def target(model, image):
    with torch.no_grad():
        return int(model.net(image).argmax())


def compared(model, *requests):
    """A session that has seen nothing yet computes these maps, in the precision of this machine."""

    def work():
        answers = []
        Workbench(model, TensorCache(1 << 30)).compare(PICTURE, requests, lambda _, answer: answers.append(answer))
        assert all(isinstance(answer, Explanation) for answer in answers)
        return answers[-1].remarks.get("precision")

    return work


def test_rise(model, net, image, target):
    """The other is the procedure of its authors: all masks are enlarged, then applied in batches of 100."""

    @torch.no_grad()
    def theirs():
        chance = np.random.default_rng(0)
        coarse = torch.from_numpy((chance.random((MASKS, 1, 8, 8)) < 0.5).astype(np.float32))
        masks = torch.nn.functional.interpolate(coarse, size=(256, 256), mode="bilinear")[..., :224, :224]
        scores = [net(image * part).softmax(1) for part in masks.split(100)]
        (torch.cat(scores).T @ masks.flatten(1)).view(-1, 224, 224) / MASKS / 0.5

    ours = compared(model, Request("rise", target, {"masks": MASKS}))
    assert beside(f"RISE, {MASKS} masks", "its authors' procedure", ours, theirs) < 1


def test_lime(model, net, target):
    """As many samples as both take by default: with fewer, the segmentation, which is the same, would decide."""
    samples = EXPLAINERS["lime_image"].defaults["samples"]
    lime_image = pytest.importorskip("lime.lime_image", reason="needs the extra `peers`")

    @torch.no_grad()
    def classify(pixels):
        inputs = torch.stack([model.preprocess.tensor(one.astype(np.uint8)) for one in pixels])
        return net(inputs).softmax(1).numpy()

    def theirs():
        explainer = lime_image.LimeImageExplainer(random_state=0)
        explainer.explain_instance(PICTURE.pixels, classify, top_labels=1, num_samples=samples)

    ours = compared(model, Request("lime_image", target))
    assert beside(f"LIME, {samples} samples", "lime", ours, theirs) < 1


def test_occlusion(model, net, image, target):
    attr = pytest.importorskip("captum.attr")
    window, stride = (EXPLAINERS["occlusion"].defaults[name] for name in ("window", "stride"))

    def theirs(at_once):
        def work():
            attr.Occlusion(net).attribute(
                image, target=target, sliding_window_shapes=(3, window, window), strides=(3, stride, stride),
                perturbations_per_eval=at_once,
            )  # fmt: skip

        return work

    ours = compared(model, Request("occlusion", target))
    assert beside(f"occlusion, {window} px by {stride}", "captum", ours, theirs(1), theirs(16)) < 1


def test_ten_maps_of_a_layer(model, net, image, target):
    """Ours follow from activations and gradients; of the other tool those are taken that need the fewest passes."""
    cams = pytest.importorskip("pytorch_grad_cam", reason="needs the extra `peers`")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    names = (
        "cam", "grad_cam", "grad_cam_pp", "layer_cam", "hires_cam", "xgrad_cam", "layerwise_ixg",
        "upsampled_activation", "saliency", "input_x_gradient",
    )  # fmt: skip
    layer = net.get_submodule(model.survey.default)

    def theirs():
        for name in CAMS:
            with getattr(cams, name)(model=net, target_layers=[layer]) as cam:
                cam(input_tensor=image.clone().requires_grad_(), targets=[ClassifierOutputTarget(target)])

    ours = compared(model, *(Request(name, target) for name in names))
    assert beside("ten maps of a layer", "pytorch-grad-cam", ours, theirs) < 0.5


def test_a_hundred_photos(model, net, tmp_path):
    """Ours reads the photos and writes their maps, too; the other is given the network's inputs."""
    cams = pytest.importorskip("pytorch_grad_cam", reason="needs the extra `peers`")
    bench, number = Workbench(model), count()
    images, settings = prepared(model, tmp_path, 100)
    inputs = torch.cat([bench.inputs(image.read()) for image in images])
    layer = net.get_submodule(model.survey.default)

    def theirs():
        with cams.GradCAM(model=net, target_layers=[layer]) as cam:
            for part in inputs.split(20):
                cam(input_tensor=part.clone().requires_grad_(), targets=None)

    def ours():
        bench.cache.clear()
        out = tmp_path / f"out{next(number)}"
        out.mkdir()
        explain_folder(bench, images, settings, out, silent)

    assert beside("Grad-CAM of 100 photos, 20 at a time", "pytorch-grad-cam", ours, theirs) < 1
