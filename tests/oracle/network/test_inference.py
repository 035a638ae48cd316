"""Networks for inference against the networks themselves, in a pass of images that were not used to make them."""

import gc
import subprocess
import sys
import threading
import weakref
from dataclasses import replace

import pytest
import torch
import torchvision
from torch import nn

from core.models.model import overwriting
from core.network import inference
from core.network.hooks import capture
from core.network.incremental import PatchedImages
from core.network.packing import packed_weights
from tests import nets
from tests.bench.measuring import ROOT


class Branches(nn.Module):
    """Two norms that must stay, as their convolution's output is read twice, and one pair that may be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.forked, self.added, self.alone = (nn.Conv2d(3, 4, 3, padding=1) for _ in range(3))
        self.one, self.two, self.rest, self.last = (nn.BatchNorm2d(4) for _ in range(4))
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        forked, added = self.forked(x), self.added(x)
        maps = self.one(forked) + self.two(forked).relu() + self.rest(added).relu() * added + self.last(self.alone(x))
        return self.fc(maps.mean((2, 3)))


class Twice(nn.Module):
    """A convolution and a norm that are called twice, and a norm without the statistics of training."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.same, self.batch = (nn.Conv2d(width, 4, 3, padding=1) for width in (3, 4, 4))
        self.norm, self.own = nn.BatchNorm2d(4), nn.BatchNorm2d(4, track_running_stats=False)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        maps = self.norm(self.same(self.first(x))).relu()
        maps = self.norm(self.same(maps)).relu()
        return self.fc(self.own(self.batch(maps)).mean((2, 3)))


def sequence(*layers):
    """These layers, then the mean of each map."""
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


PAIRS = {
    "with bias": lambda: sequence(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU()),
    "without bias": lambda: sequence(nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU()),
    "groups": lambda: sequence(nn.Conv2d(3, 6, 3, groups=3), nn.BatchNorm2d(6), nn.ReLU()),
    "no scale": lambda: sequence(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, affine=False), nn.ReLU()),
    "transposed": lambda: sequence(nn.ConvTranspose2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU()),
    "transposed groups": lambda: sequence(nn.ConvTranspose2d(3, 6, 3, groups=3), nn.BatchNorm2d(6), nn.ReLU()),
}  # fmt: skip


def norms(net):
    return sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())


def made(make, side=nets.SIDE):
    """A network with statistics of batch norms that are not trivial, as a model, and images that it has not seen."""
    net = make()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            ranges = {"running_mean": (-0.2, 0.2), "running_var": (0.5, 1.5), "weight": (0.5, 1.5), "bias": (-0.5, 0.5)}
            for name, ends in ranges.items():
                if (values := getattr(module, name)) is not None:
                    nn.init.uniform_(values, *ends)
    return nets.model(net, side=side), nets.images(2, seed=7, side=side)


@pytest.mark.parametrize("make", PAIRS.values(), ids=PAIRS.keys())
def test_a_pair_is_one_convolution(make):
    model, images = made(make)
    before = {name: value.clone() for name, value in model.net.state_dict().items()}
    assert (norms(model.net), norms(model.inference)) == (1, 0)
    assert nets.relative(model.inference(images), model.net(images)) <= 1e-5
    after = model.net.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items()), "the network itself is as before"


@pytest.mark.parametrize(
    ("make", "left"),
    [
        (lambda: torchvision.models.resnet18(weights=None), 0),
        (lambda: torchvision.models.mobilenet_v2(weights=None), 0),
        (lambda: torchvision.models.densenet121(weights=None), 62),  # those of concatenated maps
        (Branches, 3),
        (Twice, 2),
    ],
    ids=["resnet18", "mobilenet_v2", "densenet121", "branches", "twice"],
)
def test_a_network_is_the_same_and_only_pairs_are_folded(make, left):
    model, images = made(make, 64)
    assert norms(model.inference) == left
    assert nets.relative(model.inference(images), model.net(images)) <= 1e-5


def test_a_norm_with_an_activation_inside_leaves_the_activation():
    layers = pytest.importorskip("timm.layers", reason="needs timm")
    make = lambda: sequence(nn.Conv2d(3, 6, 3), layers.BatchNormAct2d(6, act_layer=nn.SiLU))  # noqa: E731
    model, images = made(make)
    assert (norms(model.net), norms(model.inference)) == (1, 0)
    assert nets.relative(model.inference(images), model.net(images)) <= 1e-6
    assert isinstance(model.net[1], layers.BatchNormAct2d), "the network itself is as before"


class Viewing(nn.Module):
    """A network that relies on the order of its maps in memory, which it may choose itself."""

    def __init__(self, *layers, chooses=False) -> None:
        super().__init__()
        self.layers, self.fc, self.chooses = nn.Sequential(*layers), nn.Linear(6 * (nets.SIDE - 2) ** 2, 3), chooses

    def forward(self, x):
        maps = self.layers(x.contiguous() if self.chooses else x)
        return self.fc(maps.view(len(x), maps[0].numel()))


def test_nothing_to_save_is_the_network_itself():
    model, _ = made(lambda: Viewing(nn.Conv2d(3, 6, 3)))
    assert model.order == torch.contiguous_format
    assert model.inference is model.net
    assert model.inference_in_half is model.net
    assert inference.added_bytes(model.net) == 0


@pytest.mark.parametrize("make", [nets.NoRelu, Twice, nets.tiny_vit, nets.GapNet])
def test_convolutions_have_packed_weights(make):
    model, images = made(make)
    images = images.contiguous(memory_format=model.order)
    assert nets.relative(model.inference(images), model.net(images)) <= 1e-5
    convolutions = [module for module in model.inference.modules() if isinstance(module, nn.Conv2d)]
    assert len(list(packed_weights(model.inference))) == len(convolutions) > 0
    assert not list(packed_weights(model.net))


def test_a_network_that_chooses_an_order_in_memory_has_no_packed_weights_but_all_else():
    model, images = made(lambda: Viewing(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), chooses=True))
    images = images.contiguous(memory_format=model.order)
    assert model.order == torch.channels_last
    assert (norms(model.net), norms(model.inference)) == (1, 0)
    assert nets.relative(model.inference(images), model.net(images)) <= 1e-6
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = model.inference_in_half(images)
        assert torch.equal(half, model.inference(images))
    assert model.inference_in_half is not model.inference
    assert not [*packed_weights(model.inference), *packed_weights(model.inference_in_half)]


@pytest.mark.parametrize("make", [nets.TinyCnn, nets.ReusedRelu, torchvision.models.squeezenet1_0])
def test_modules_work_in_place_where_their_author_had_them(make):
    model, images = made(make, 64 if make is torchvision.models.squeezenet1_0 else nets.SIDE)
    assert overwriting(model.net) == {}
    assert overwriting(model.inference) == model.overwrote != {}
    given = images.clone()
    found = model.inference(images)
    assert torch.equal(images, given)
    assert nets.relative(found, model.net(images)) <= 1e-5


@pytest.mark.parametrize("make", [nets.TinyCnn, nets.GapNet, torchvision.models.squeezenet1_0])
def test_weights_that_are_cast_already_change_no_bit(make):
    model, images = made(make, 64 if make is torchvision.models.squeezenet1_0 else nets.SIDE)
    alone = model.memory
    half = model.inference_in_half
    assert half is model.inference_in_half is not model.inference
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected, found = model.inference(images), half(images)
    assert torch.equal(found, expected)
    kinds = {type(module) for module in half.modules() if getattr(module, "weight", None) is not None}
    cast = {type(module) for module in half.modules() if hasattr(module, "weight") and module.weight.itemsize == 2}
    assert cast == kinds - {nn.BatchNorm2d} != set()
    grown = sum(value.nbytes for value in half.state_dict().values() if value.itemsize == 2)
    assert model.memory == alone + inference.added_bytes(model.net) >= alone + grown


def test_a_network_whose_weights_are_read_in_another_way_is_not_cast():
    class Read(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.relu, self.fc = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Linear(4, 3)

        def forward(self, x):
            return (self.relu(self.first(x)).float().mean((2, 3)) @ self.first.weight.sum((2, 3))).exp()

    model, _ = made(Read)
    assert model.inference is not model.net
    assert model.inference_in_half is model.inference


def test_a_network_that_would_overwrite_its_images_is_left():
    model, images = made(lambda: sequence(nn.ReLU(inplace=True), nn.Conv2d(3, 6, 3)))
    given = images.clone()
    assert model.inference is model.net
    model.inference(images)
    assert torch.equal(images, given)


@pytest.mark.parametrize(
    "kind", [nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh]
)
def test_windows_are_computed_where_they_matter_also_in_place(kind):
    """Not on whole maps, which an operation without a rule of its own would need."""
    model, _ = made(lambda: sequence(nn.Conv2d(3, 6, 3), kind(inplace=True), nn.Conv2d(6, 4, 3)))
    query = nets.query(model, 1)
    assert overwriting(model.inference) == {kind.__name__: 1}
    sizes = []
    handle = model.inference[2].register_forward_hook(lambda module, inputs, output: sizes.append(type(output)))
    boxes, fill = torch.tensor([[4, 4, 5, 5], [0, 9, 5, 5]]), torch.zeros_like(query.images)
    found = query.windows(boxes, fill)[0]
    handle.remove()
    assert sizes == [PatchedImages]
    for (top, left, height, width), score in zip(boxes.tolist(), found, strict=True):
        whole = query.images.clone()
        whole[..., top : top + height, left : left + width] = 0
        assert torch.allclose(query.score(whole, query.targets)[0], score, atol=1e-6)


def test_a_network_with_hooks_of_its_own_is_left():
    model, _ = made(PAIRS["groups"])
    handle = model.net[0].register_forward_hook(lambda module, inputs, output: output * 0)
    assert model.inference is model.net
    handle.remove()


def test_a_hook_that_is_there_for_one_block_does_not_matter():
    model, images = made(PAIRS["groups"])
    with capture(model.net, "0") as outputs:
        assert model.inference is not model.net
        outputs.clear()
        model.inference(images)
    assert not outputs


def test_one_that_would_differ_is_not_used(monkeypatch):
    model, _ = made(PAIRS["with bias"])
    monkeypatch.setattr(inference, "ROUNDING", -1.0)
    assert model.inference is model.net
    monkeypatch.undo()
    other, _ = made(PAIRS["groups"])
    other.net[1].running_var.fill_(torch.nan)
    assert other.inference is other.net, "nan is equal to nothing"


def test_threads_share_one_copy(monkeypatch):
    model, _ = made(PAIRS["with bias"])
    made_copies, ready, found, make = [], threading.Barrier(4), [], inference._made

    def counted(net, images):
        made_copies.append(net)
        return make(net, images)

    def work():
        ready.wait()
        found.append(model.inference)

    monkeypatch.setattr(inference, "_made", counted)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made_copies == [model.net]
    assert len(found) == 4
    assert all(one is found[0] for one in found)


def test_a_copy_is_counted_and_freed_with_its_network():
    model, _ = made(PAIRS["with bias"])
    before = model.memory
    copy = weakref.ref(model.inference)
    folded, packed = 4 * (6 * 3 * 9 + 6), 4 * 6 * 3 * 9
    assert model.memory == before + folded + packed
    del model
    gc.collect()
    assert copy() is None


def test_other_weights_are_folded_anew():
    model, images = made(PAIRS["with bias"])
    first = model.inference
    model.net[0].weight = nn.Parameter(torch.randn_like(model.net[0].weight), requires_grad=False)
    changed = replace(model, sha="other")
    assert changed.inference is not first
    assert nets.relative(changed.inference(images), model.net(images)) <= 1e-5


def test_scores_are_folded_and_what_is_watched_or_differentiated_is_not():
    query, seen = nets.query("gap"), []
    assert query.model.inference is not query.net
    norm = query.net.features[1]
    forward = norm.forward
    norm.forward = lambda x: seen.append(len(x)) or forward(x)
    query.score(query.images, query.targets)
    query.logits(query.images, watched=False)
    query.windows(torch.tensor([[0, 0, 4, 4]]), torch.zeros_like(query.images))
    assert not seen
    query.logits(query.images)
    query.gradient(query.images, query.targets)
    before = len(seen)
    assert before >= 2
    assert query.clean_logits().shape == (2, nets.CLASSES)
    assert len(seen) == before + 1


@pytest.mark.parametrize(
    ("layers", "kept"), [(["1"], True), (["3"], True), (["3.act"], True), (["2"], False), (["1", "0"], False)]
)
def test_a_layer_is_read_in_the_folded_network_where_it_is_the_same(layers, kept):
    timm = pytest.importorskip("timm.layers", reason="needs timm")
    net = sequence(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 4, 3), timm.BatchNormAct2d(4)).eval()
    for norm in (net[1], net[3]):
        norm.running_mean.normal_(generator=torch.Generator().manual_seed(1))
        norm.running_var.uniform_(0.5, 2, generator=torch.Generator().manual_seed(2))
    model = nets.model(nn.Sequential(*net, nn.Linear(4, 5)))
    read = model.network_for(layers)
    assert read is (model.inference if kept else model.net)
    images = torch.randn(2, *model.preprocess.shape, generator=torch.Generator().manual_seed(3))
    with torch.no_grad(), capture(model.net, *layers) as expected, capture(read, *layers) as found:
        model.net(images)
        read(images)
    for layer in layers:
        assert torch.allclose(found[layer], expected[layer], atol=1e-5)


def test_folding_imports_no_compiler():
    """It takes seconds to import, which the first pass of many methods would wait for."""
    code = (
        "import sys, torch; from torch import nn; from core.network.inference import for_inference\n"
        "net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()\n"
        "print(for_inference(net, '', lambda: torch.rand(2, 3, 8, 8)) is not net, 'torch._dynamo' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert out.split() == ["True", "False"]
