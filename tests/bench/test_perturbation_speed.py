"""What perturbation costs beside the bare forwards it stands on, and what every method together costs.

The bare forwards are those of a plain loop, batches of 32 in the usual order of values; what is printed in brackets is
the ratio to forwards in the method's own batches and order, of the folded network and in the same precision. Images are
ready beforehand.
"""

import statistics
import time

import numpy as np
import pytest
import torch
import torchvision

from core.environment import home
from core.errors import VitrineError
from core.explain import EXPLAINERS, Query, explain
from core.explain.baselines import scaled
from core.explain.methods.perturbation import sliding
from core.explain.segments import pieces
from core.images import Picture, Preprocess
from core.models.model import as_model
from core.models.sources.flower_networks import architecture
from core.network.half_precision import PAYS, cpu_ratio
from core.workbench import Request, Workbench, pass_seconds
from tests import nets
from tests.bench.measuring import seconds

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

NETS = {
    "bundled": (lambda: architecture(6), 128),
    "squeezenet1_0": (lambda: torchvision.models.squeezenet1_0(weights=None), 224),
    "resnet18": (lambda: torchvision.models.resnet18(weights=None), 224),
    "mobilenet_v2": (lambda: torchvision.models.mobilenet_v2(weights=None), 224),
    "vgg16": (lambda: torchvision.models.vgg16(weights=None, init_weights=False), 224),
}


def ratios(work, bare, passes, rounds=3):
    """The time of the work over that of bare passes, and of those in its own batches: medians, one after the other."""
    times = [(seconds(work), seconds(lambda: bare(passes)), seconds(lambda: bare.own(passes))) for _ in range(rounds)]
    return [statistics.median(one[0] / one[other] for one in times) for other in (1, 2)]


def ready(name):
    """A question to a network of `name`, and its bare forwards."""
    make, side = NETS[name]
    torch.manual_seed(0)
    model = as_model(name, nets.seeded(make), preprocess=Preprocess(crop=side))
    image = torch.rand(1, 3, 8, 8).repeat_interleave(side // 8, 2).repeat_interleave(side // 8, 3)
    images = image + 0.1 * torch.randn(1, 3, side, side)
    with torch.no_grad():
        predicted = model.net(images).argmax(1)  # some networks end in a ReLU: another class may be zero throughout
    query = Query(model, images, predicted)

    plain = torch.randn(32, 3, side, side)
    own = plain[: query.batch].contiguous(memory_format=model.order)

    published = nets.as_published(model.net)

    @torch.no_grad()
    def bare(passes, batch=plain, net=published):
        for start in range(0, passes, len(batch)):
            net(batch[: passes - start])

    bare(8)
    bare.own = lambda passes: bare(passes, own, model.inference)
    bare.unfolded = lambda passes: bare(passes, own)
    in_half = torch.autocast("cpu", torch.bfloat16)
    bare.half = in_half(lambda passes: bare(passes, own, model.inference_in_half))
    bare.unfolded_half = in_half(bare.unfolded)
    return query, bare


def fresh(query):
    """The same query with an empty cache."""
    return query.fresh()


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "squeezenet1_0"])
def test_folding_and_half_precision_save_time(name):
    _, bare = ready(name)
    ways = {"folded": bare.own, "half": bare.unfolded_half, "folded, half": bare.half}
    rounds = [[seconds(lambda way=way: way(32)) for way in (bare.unfolded, *ways.values())] for _ in range(8)][1:]
    found = {way: statistics.median(one[k] / one[0] for one in rounds) for k, way in enumerate(ways, 1)}
    print(f"\n{name}, times the full network: " + "; ".join(f"{way} {ratio:.2f}" for way, ratio in found.items()))
    assert found["folded"] <= 1.08  # 1 where there is nothing to fold, and noise
    if multiplies_half():
        assert max(found["half"], found["folded, half"]) <= 0.85


def multiplies_half():
    """Whether half precision pays on this machine."""
    return cpu_ratio(home() / "pace") < PAYS


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "squeezenet1_0"])
@pytest.mark.parametrize(("precision", "limit"), [("full", 1.12), ("scores", 1.5)])
def test_rise_costs_the_forwards_of_its_own_kind(name, precision, limit):
    """In half precision, drawing masks, adding them up and the trial passes take a larger part: few masks show it."""
    if precision == "scores" and not multiplies_half():
        pytest.skip("this CPU multiplies bfloat16 no faster")
    query, bare = ready(name)
    query = query.run_with(precision=precision)
    own = bare.own if precision == "full" else bare.half
    works = (lambda: explain("rise", fresh(query), {"masks": 200}), lambda: own(200), lambda: bare.unfolded(200))
    rounds = [[seconds(work) for work in works] for _ in range(5)]
    alike, plain = (statistics.median(one[0] / one[other] for one in rounds) for other in (1, 2))
    print(f"\nRISE, 200 masks, {name}, {precision}: {alike:.3f} × forwards of its kind, {plain:.3f} × full ones")
    assert alike <= limit


@pytest.mark.parametrize(("name", "masks"), [("bundled", 1000), ("squeezenet1_0", 1000)])
def test_rise_costs_its_forwards(name, masks):
    query, bare = ready(name)
    found, alike = ratios(lambda: explain("rise", fresh(query), {"masks": masks}), bare, masks)
    print(f"\nRISE, {masks} masks, {name}: {found:.3f} × bare forwards ({alike:.3f})")
    assert found <= 1.05


@pytest.mark.parametrize(("name", "passes"), [("bundled", 1000), ("squeezenet1_0", 1000)])
def test_lime_costs_its_forwards(name, passes):
    query, bare = ready(name)
    cut = seconds(lambda: pieces(query, "quickshift", 50, "mean"))
    found, alike = ratios(lambda: explain("lime_image", query, {"samples": passes}), bare, passes)
    print(
        f"\nLIME, {passes} copies, {name}: {found:.3f} × bare forwards ({alike:.3f}), and {cut:.2f} s to cut the image"
    )
    assert found <= 1.15


@pytest.mark.parametrize(
    ("name", "limit", "rounds"), [("bundled", 1, 3), ("squeezenet1_0", 1, 3), ("resnet18", 0.8, 3), ("vgg16", 0.5, 1)]
)
def test_occlusion_costs_less_than_its_forwards(name, limit, rounds):
    query, bare = ready(name)
    passes = explain("occlusion", fresh(query)).forwards
    found, alike = ratios(lambda: explain("occlusion", fresh(query)), bare, passes, rounds)
    print(f"\nOcclusion, {passes} passes, {name}: {found:.3f} × bare forwards ({alike:.3f})")
    assert found <= limit


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_0", "vgg16"])
@torch.no_grad()
def test_windows_equal_full_passes(name):
    query, _ = ready(name)
    boxes = sliding(query.size, scaled(32, 224), scaled(16, 224))[::20]
    hidden = query.images.repeat(len(boxes), 1, 1, 1)
    for image, (top, left, height, width) in zip(hidden, boxes.tolist(), strict=True):
        image[:, top : top + height, left : left + width] = 0
    expected = query.net(hidden)[:, query.targets.indices[0]]
    found = query.windows(boxes, torch.zeros_like(query.images))[0]
    error = float((found - expected).abs().max() / expected.abs().max())
    print(f"\nwindows against full passes, {name}: largest relative difference {error:.1e}")
    assert error <= 1e-5


def test_every_method_quickly_on_one_image():
    """A session that has seen nothing yet; which batch suits the machine is known from before."""
    torch.manual_seed(0)
    model = as_model("squeezenet1_0", NETS["squeezenet1_0"][0](), preprocess=Preprocess(crop=224))
    noise = np.random.default_rng(0).integers(0, 256, (28, 28, 3), dtype=np.uint8)
    picture = Picture("noise", noise.repeat(8, 0).repeat(8, 1), "0" * 64)
    each = pass_seconds(model)
    bench, done = Workbench(model), []
    names = [name for name, reason in bench.usable().items() if not reason]
    start = time.perf_counter()

    def finished(request, answer):
        done.append((request.name, time.perf_counter() - start, answer))

    bench.compare(picture, [Request(name, 1, EXPLAINERS[name].budget("quick")) for name in names], finished)
    before = 0.0
    print(f"\nevery method at quick on squeezenet1_0, {each * 1e3:.0f} ms a pass; seconds each, and since the start:")
    for name, at, answer in done:
        passes = answer.forwards + 2 * answer.backwards
        print(f"{name:24} {at - before:7.2f} {at:7.2f} {passes:6} passes, at {each:.3f} s {passes * each:6.1f} s")
        before = at
    assert not any(isinstance(answer, VitrineError) for _, _, answer in done)
    assert len(done) == len(names) >= 30
    assert done[9][1] <= 3
    assert done[-1][1] <= 120
